package relay

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Which loop a connection goes to, and how its sockets get there.

func (r *Relay) addToLoop(c, u end, o Options, done func(Result)) (Pair, error) {
	l := r.choose()
	p := &loopPair{follow: o.Follow}
	p.ledger = newLedger(o, done)
	for i, e := range [...]end{c, u} {
		fd, err := e.conn.fd()
		if err != nil {
			if i > 0 && c.conn.tcp != nil {
				unix.Close(int(p.sides[0].fd))
			}
			return nil, err
		}
		p.sides[i] = side{tls: e.tlsSide(), fd: int32(fd)}
	}
	begun := c.conn.strandIn(l)
	m := message{pair: p}
	for i, e := range [...]end{c, u} {
		if rest := e.leftOver(); e.ours != nil || e.tls != nil || len(rest.bytes) > 0 {
			if m.rest == nil {
				m.rest = new([2]leftOver)
			}
			m.rest[i] = rest
		}
		m.heard[i] = e.conn.release(l)
	}
	r.live.Add(1)
	r.pairs.Add(1)
	p.loop.Store(l)
	if begun {
		l.added = append(l.added, m)
		return p, nil
	}
	l.post(m)
	return p, nil
}

// strandIn reports whether it is code of a strand in l that has c, which is then
// the caller.
func (c *Conn) strandIn(l *loop) bool {
	return c.tcp == nil && c.socket.loop == l && c.socket.strand != nil
}

// fd returns the descriptor that a loop shall use.
func (c *Conn) fd() (int, error) {
	if c.tcp == nil {
		return c.socket.fd, nil
	}
	return duplicate(c.raw)
}

// release makes the socket l's alone. It reports whether l hears of it already.
func (c *Conn) release(l *loop) (heard bool) {
	c.relayed = true
	if c.tcp != nil {
		c.tcp.Close() // the descriptor that Go's netpoller knows; the socket lives on in the other
		c.tcp, c.raw = nil, nil
		c.socket.fd, c.socket.slot = -1, -1
		return false
	}
	heard = c.socket.forget()
	if heard && c.socket.loop != l {
		unix.EpollCtl(c.socket.loop.epoll, unix.EPOLL_CTL_DEL, c.socket.fd, nil)
		heard = false
	}
	c.socket.fd = -1
	return heard
}

// duplicate returns a second descriptor of the socket.
func duplicate(raw syscall.RawConn) (fd int, err error) {
	cerr := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if cerr != nil {
		return -1, cerr
	}
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	return fd, nil
}

// busyLoad is the share of its time, in thousandths, from which a loop is given
// no more pairs while another has less to do.
const busyLoad = 600

// choose fills one loop after the other: small messages cost mostly the waking
// up, and one loop that is awake anyway carries them for less than two that
// sleep in between.
func (r *Relay) choose() *loop {
	least := r.loops[0]
	for _, l := range r.loops {
		load := l.load.Load()
		if load < busyLoad {
			return l
		}
		if load < least.load.Load() {
			least = l
		}
	}
	return least
}

// strandsEach is how many strands a loop is given before another one gets some
// too: in a storm load, which is that of the last tick, comes too late.
const strandsEach = 16

// chooseForStrand is choose for the beginning of a connection.
func (r *Relay) chooseForStrand() *loop {
	l := r.choose()
	for _, other := range r.loops {
		if l.running.Load() >= strandsEach && other.running.Load() < l.running.Load() {
			l = other
		}
	}
	l.running.Add(1)
	return l
}
