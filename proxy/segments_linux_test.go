package proxy

import (
	"encoding/binary"
	"net"
	"syscall"
	"testing"
	"unsafe"
)

// dataSegments is how many segments with payload have come in. A small write
// under TCP_NODELAY makes one segment.
func dataSegments(t testing.TB, c *net.TCPConn) uint32 {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	const dataSegsIn = 152 // offset of tcpi_data_segs_in in struct tcp_info
	var info [256]byte
	size := uint32(len(info))
	var errno syscall.Errno
	must(t, raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	}))
	if errno != 0 || size < dataSegsIn+4 {
		t.Fatalf("TCP_INFO: %v, %d bytes", errno, size)
	}
	return binary.NativeEndian.Uint32(info[dataSegsIn:])
}
