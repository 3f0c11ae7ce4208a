package relay

import (
	"net/netip"
	"time"
)

// TCP says how the kernel finds out that a peer is gone which says so to nobody.
// The zero value leaves it to the kernel: bytes that nobody acknowledges are sent
// again for a quarter of an hour, and silence lasts for ever.
type TCP struct {
	// KeepAlive is the silence after which the peer is probed, in whole seconds;
	// zero is never. Then it is given up after three probes without answer, when
	// UserTimeout has passed if there is one.
	KeepAlive time.Duration
	// UserTimeout is how long sent bytes may go without being acknowledged, and how
	// long a peer may have no room for any. Once a probe goes unanswered it counts
	// from the beginning of the silence. Only Linux has it.
	UserTimeout time.Duration
}

// DialOptions say how to reach an endpoint.
type DialOptions struct {
	Deadline time.Time // zero means none
	TCP      TCP
	// Source is the address that the connection comes from; the kernel chooses one
	// if it is zero. It is of the endpoint's family.
	Source netip.Addr
}

// probes returns when the first probe is sent, how far they are apart, and how
// many go unanswered before the peer is given up. With a user timeout the kernel
// ignores the number: it gives up at the first probe that is due after that time
// (tcp_keepalive_timer in Linux). So the probes are spread over what is left of it.
func (t TCP) probes() (idle, interval time.Duration, count int) {
	interval, count = min(t.KeepAlive/4, 15*time.Second), 4
	if t.UserTimeout > t.KeepAlive {
		interval, count = (t.UserTimeout-t.KeepAlive)/3, 3
	}
	return t.KeepAlive, max(interval.Truncate(time.Second), time.Second), count
}
