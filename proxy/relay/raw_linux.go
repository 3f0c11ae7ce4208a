package relay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of a loop on its sockets do not wait, and the Go scheduler
// is not told of them. In an ordinary system call its monitor thread would take
// the processor away from the loop whenever it looks during a longer one, and
// look thousands of times a second from then on: at 4,000 messages a second that
// was a quarter of the CPU time.

func rawRead(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return result(n, errno)
}

func rawWrite(fd int, b []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return result(n, errno)
}

func rawSplice(from, to, most int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most),
		unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	return result(n, errno)
}

func result(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func rawClose(fd int) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

func rawShutdown(fd int) { unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0) }

func rawSetInt(fd, level, option, value int) {
	v := int32(value)
	unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option), uintptr(unsafe.Pointer(&v)), 4, 0)
}

// rawConnect connects to an address without a zone.
func rawConnect(fd int, to netip.AddrPort) error {
	port := hostOrder(to.Port())
	if to.Addr().Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Port: port, Addr: to.Addr().As4()}
		return withAddress(unix.SYS_CONNECT, fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa))
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: port, Addr: to.Addr().As16()}
	return withAddress(unix.SYS_CONNECT, fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa))
}

// rawBind binds to an address without a zone, and to no port.
func rawBind(fd int, from netip.Addr) error {
	if from.Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: from.As4()}
		return withAddress(unix.SYS_BIND, fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa))
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: from.As16()}
	return withAddress(unix.SYS_BIND, fd, unsafe.Pointer(&sa), unsafe.Sizeof(sa))
}

func withAddress(call uintptr, fd int, sa unsafe.Pointer, size uintptr) error {
	if _, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(sa), size); errno != 0 {
		return errno
	}
	return nil
}

// rawAccept returns the next connection that is waiting, and its peer.
func rawAccept(listen int) (fd int, from netip.AddrPort, err error) {
	var sa unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(sa))
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listen), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)),
		unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, from, errno
	}
	return int(n), addrPort(&sa), nil
}

// rawLocal returns the address that a socket is bound to. That of x/sys makes a
// second system call, and two allocations.
func rawLocal(fd int) netip.AddrPort {
	var sa unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(sa))
	if _, _, errno := unix.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size))); errno != 0 {
		return netip.AddrPort{}
	}
	return addrPort(&sa)
}

func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), hostOrder(in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		addr := netip.AddrFrom16(in.Addr).Unmap()
		if in.Scope_id != 0 {
			addr = withZone(addr, int(in.Scope_id))
		}
		return netip.AddrPortFrom(addr, hostOrder(in.Port))
	}
	return netip.AddrPort{}
}

func withZone(addr netip.Addr, index int) netip.Addr {
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return addr
	}
	return addr.WithZone(i.Name)
}

// hostOrder turns a port in network order around where it must, and back.
func hostOrder(port uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, port))
}
