//go:build !linux

package relay

import (
	"net"
	"os"
	"syscall"
)

// listen makes the kernel probe the peers of connections that are accepted, or
// not; when and how often is the system's affair.
func (t TCP) listen(fd int) error {
	on := 0
	if t.KeepAlive > 0 {
		on = 1
	}
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, on))
}

func (o DialOptions) dialer() net.Dialer {
	d := net.Dialer{Deadline: o.Deadline, KeepAlive: -1}
	if o.TCP.KeepAlive > 0 {
		idle, interval, count := o.TCP.probes()
		d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: idle, Interval: interval, Count: count}
	}
	if o.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: o.Source.AsSlice()}
	}
	return d
}
