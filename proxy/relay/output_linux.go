package relay

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// How a loop sends, and what it keeps of what a socket does not take.

// backlog is what is on its way to a socket. While it holds bytes the other
// side is not read.
type backlog struct {
	pending []byte // not taken yet
	pipe    *pipe  // nil while nothing is spliced
	owed    uint64 // bytes of payload that are not counted as sent yet
}

// maxBacklog is more than payload ever makes, which is not read while its
// destination is blocked. Only answers of crypto/tls are added then: a peer that
// asks for KeyUpdates (RFC 8446 section 4.6.3) and reads none could have them
// pile up for ever.
const maxBacklog = 4 * readMost

var errBacklog = errors.New("the peer makes TLS answer and does not read the answers")

// blocked reports whether the socket has not taken everything yet.
func (s *side) blocked() bool {
	b := s.backlog
	return b != nil && (len(b.pending) > 0 || b.pipe != nil && b.pipe.n > 0)
}

// countSent counts payload that s has taken.
func (p *loopPair) countSent(s *side, n uint64) {
	if s == &p.sides[upstream] {
		p.toUpstream.Add(n)
		return
	}
	p.toClient.Add(n)
	if c := p.options.counters; c != nil {
		c.ToClient.Add(n)
	}
}

// settleDebt counts what s is owed but for the last left bytes, which it has
// not taken.
func (p *loopPair) settleDebt(s *side, left int) {
	b := s.backlog
	if b == nil || b.owed <= uint64(left) {
		return
	}
	n := b.owed - uint64(left)
	b.owed -= n
	p.countSent(s, n)
}

// send writes what crypto/tls has staged for s; payload is how much of it counts.
func (p *loopPair) send(s *side, payload uint64) {
	l := p.at()
	p.write(s, l.staged, payload)
	if cap(l.staged) > 2*readMost {
		l.staged = nil
	}
	l.staged = l.staged[:0]
}

// write sends b, and keeps what the socket does not take.
func (p *loopPair) write(s *side, b []byte, payload uint64) {
	if s.broken || s.shut {
		return
	}
	if !s.blocked() {
		n, err := writeSome(int(s.fd), b)
		if err != nil {
			p.writeFailed(s, err)
			return
		}
		if b = b[n:]; len(b) == 0 {
			p.countSent(s, payload)
			return
		}
	}
	if s.backlog == nil {
		s.backlog = &backlog{}
	}
	if len(s.backlog.pending)+len(b) > maxBacklog {
		p.writeFailed(s, errBacklog)
		return
	}
	s.backlog.pending = append(s.backlog.pending, b...)
	s.backlog.owed += payload
	p.awaitRoom(s)
}

// awaitRoom makes the loop hear when s takes more. Until a socket has been full
// for the first time it does not: each has room at first, and a turn of the loop
// for that word would be in vain.
func (p *loopPair) awaitRoom(s *side) {
	i := p.number(s)
	if p.room[i] {
		return
	}
	p.room[i] = true
	if err := p.at().listen(unix.EPOLL_CTL_MOD, int(s.fd), true, p.slot, i); err != nil {
		p.writeFailed(s, os.NewSyscallError("epoll_ctl", err))
	}
}

// number is the index of s.
func (p *loopPair) number(s *side) int32 {
	if s == &p.sides[upstream] {
		return upstream
	}
	return client
}

// flush sends what is on its way.
func (p *loopPair) flush(s *side) {
	b := s.backlog
	if b.pipe != nil {
		p.drainPipe(s)
		return
	}
	n, err := writeSome(int(s.fd), b.pending)
	if err != nil {
		p.writeFailed(s, err)
		return
	}
	if b.pending = b.pending[n:]; len(b.pending) == 0 {
		p.settleDebt(s, 0)
		s.backlog = nil // an idle pair holds no buffer
	}
}

// writeSome writes as much as the socket takes.
func writeSome(fd int, b []byte) (n int, err error) {
	for n < len(b) {
		m, err := rawWrite(fd, b[n:])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return n, nil
		case err != nil:
			return n, os.NewSyscallError("write", err)
		}
		n += m
		if n < len(b) {
			return n, nil // the socket is full: the next edge says when it is not
		}
	}
	return n, nil
}

// writeFailed makes the loop drop what is still sent to s, so that the other
// side, and what s may have sent before it broke, can end well.
func (p *loopPair) writeFailed(s *side, err error) {
	if b := s.backlog; b != nil && b.pipe != nil {
		b.pipe.close()
	}
	s.broken, s.shut, s.backlog = true, true, nil // nobody knows how much of it arrived
	p.conclude(sideBroke(int(p.number(s))), err)
	p.lingerFor(int32(ticks(errorLinger)))
}
