package relay

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// prepare sets the options of a new socket, in as few system calls as there can
// be: each connection pays for them.
func (o *DialOptions) prepare(fd int) {
	rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if o.TCP.KeepAlive > 0 {
		idle, interval, count := o.TCP.probes()
		rawSetInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(idle))
		rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(interval))
		if o.TCP.UserTimeout == 0 { // else it would not count
			rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, count)
		}
	}
	if o.TCP.UserTimeout > 0 {
		rawSetInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, milliseconds(o.TCP.UserTimeout))
	}
	if o.Source.IsValid() {
		// The port is chosen by connect, which knows the endpoint: otherwise all
		// endpoints would have to share the ports of the address.
		rawSetInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}
}

// listen sets the options on a listening socket. Connections inherit them, so
// that none costs a system call of its own.
func (t TCP) listen(fd int) error {
	set := func(level, option, value int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, value))
	}
	errs := []error{set(unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, milliseconds(t.UserTimeout))}
	if t.KeepAlive == 0 {
		return errors.Join(append(errs, set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0))...)
	}
	idle, interval, count := t.probes()
	return errors.Join(append(errs,
		set(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, seconds(idle)),
		set(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, seconds(interval)),
		set(unix.IPPROTO_TCP, unix.TCP_KEEPCNT, count),
		set(unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))...)
}

// dialer is for what is not dialled in a loop.
func (o DialOptions) dialer() net.Dialer {
	d := net.Dialer{Deadline: o.Deadline, KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { o.prepare(int(fd)) })
	}}
	if o.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: o.Source.AsSlice()}
	}
	return d
}

func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

func milliseconds(d time.Duration) int { return int((d + time.Millisecond - 1) / time.Millisecond) }
