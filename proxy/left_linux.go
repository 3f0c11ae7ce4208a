package proxy

import (
	"net"

	"golang.org/x/sys/unix"
)

// hasLeft reports whether the peer has closed or reset the connection, also
// when there are bytes before the end that nobody has read.
func hasLeft(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	const established = 1 // TCP_ESTABLISHED, see tcp_states.h
	left := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		left = err == nil && info.State != established
	})
	return left || err != nil
}
