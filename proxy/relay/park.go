package relay

import (
	"net"
	"time"
)

// parkLook is how often a parked goroutine of the portable implementation
// continues, so that its caller can look whether the peer is there.
const parkLook = time.Second

// Park waits, in the function given to [Relay.Go] for c, for [Conn.Wake] or for
// anything to happen on the connection, such as that the peer leaves. It may
// return nil for neither, so the caller looks. After [Conn.Abort] its error is
// net.ErrClosed. Deadlines of c do not matter to it.
func (c *Conn) Park() error {
	if c.tcp == nil {
		return c.socket.park()
	}
	t := time.NewTimer(parkLook)
	defer t.Stop()
	select {
	case <-c.ctx.Done():
		return net.ErrClosed
	case <-c.woken:
	case <-t.C:
	}
	return nil
}

// Wake makes Park return, the one that waits or, if none does, perhaps the next.
// It may be called from anywhere at any time, also when c is closed or relayed.
func (c *Conn) Wake() {
	if c.woken == nil {
		c.socket.loop.post(message{conn: c, woken: true})
		return
	}
	select {
	case c.woken <- struct{}{}:
	default:
	}
}
