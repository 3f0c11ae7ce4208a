package relay

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The sides of a pair.
const (
	client   = 0
	upstream = 1
)

// loopPair is a pair in a loop. Fields beyond the ledger belong to the loop's
// goroutine once it carries the pair.
type loopPair struct {
	ledger
	loop  atomic.Pointer[loop]
	slot  int32
	sides [2]side

	linger   int32 // tick; 0 while both directions are open
	begun    bool  // what came before the loop has been taken
	observed bool
	queued   bool // in loop.again
	gone     bool // closed, and done was called
}

// side is one socket of a pair. There are two for each connection: what is
// needed only while bytes move is behind backlog.
type side struct {
	end
	backlog *backlog // nil while the socket takes everything
	fd      int32
	last    int32 // tick at which bytes last came
	size    int32 // of the next read
	fulls   uint8 // reads of the largest size in a row, up to spliceAfter

	readable bool // a read may bring something
	readOn   bool // a short read need not mean that nothing is left
	over     bool // nothing more is read
	notified bool // close_notify was sent
	shut     bool // nothing more is written
	broken   bool // a write failed: what the other side sends is dropped
}

func sideBroke(i int) Reason {
	if i == client {
		return ClientReset
	}
	return UpstreamReset
}

func (r *Relay) addToLoop(c, u end, o Options, done func(Result)) (Pair, error) {
	cfd, err := detach(c.conn)
	if err != nil {
		return nil, err
	}
	ufd, err := detach(u.conn)
	if err != nil {
		unix.Close(cfd)
		return nil, err
	}
	p := &loopPair{}
	p.ledger = newLedger(o, done, p)
	p.sides = [2]side{{end: c, fd: int32(cfd), size: readLeast}, {end: u, fd: int32(ufd), size: readLeast}}
	for _, e := range []end{c, u} {
		e.conn.tcp.Close() // the descriptor that Go's netpoller knows; the socket lives on in the other
		e.conn.relayed, e.conn.tcp, e.conn.raw = true, nil, nil
	}
	r.live.Add(1)
	r.pairs.Add(1)
	r.choose().post(message{pair: p})
	return p, nil
}

// detach returns a second descriptor of the socket.
func detach(c *Conn) (fd int, err error) {
	cerr := c.raw.Control(func(old uintptr) {
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

// Close implements Pair.
func (p *loopPair) Close(why Reason) {
	p.conclude(why, nil)
	p.loop.Load().post(message{pair: p, close: true})
}

// at is the loop that carries the pair, for the code that runs in it.
func (p *loopPair) at() *loop { return p.loop.Load() }

// check implements checker.
func (p *loopPair) check(now int64) (again int64) {
	due := p.due(int64(p.sides[client].last), int64(p.sides[upstream].last), int64(p.linger))
	if due != 0 && now >= due {
		p.at().over = append(p.at().over, p)
		return 0
	}
	return due
}

// serve moves what can be moved and sees to the end of the pair.
func (p *loopPair) serve() {
	p.pump(client)
	p.pump(upstream)
	p.settle()
}

// pump carries bytes from side i to the other as long as both play along.
func (p *loopPair) pump(i int) {
	src, dst := &p.sides[i], &p.sides[1-i]
	for share := turnShare; src.readable && !src.over && !dst.blocked(); {
		if share <= 0 {
			p.queue()
			return
		}
		if p.splices(i) {
			n, goOn := p.splice(i)
			if !goOn {
				return
			}
			share -= n
			continue
		}
		n, err := rawRead(int(src.fd), p.at().in[:src.size])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			src.readable = false
			return
		case err != nil:
			p.sideFailed(i, os.NewSyscallError("read", err))
			return
		case n == 0:
			p.take(i, nil, io.EOF)
			return
		}
		share -= n
		full := n == int(src.size)
		if !full && !src.readOn {
			// All there was: the next edge says when there is more (epoll(7)).
			src.readable = false
		}
		p.take(i, p.at().in[:n], nil)
		switch {
		case dst.blocked():
			src.size, src.fulls = readLeast, 0
		case !full:
			src.fulls = 0
		case src.size < readMost:
			src.size *= 2
		case src.fulls < spliceAfter:
			src.fulls++
		}
	}
}

// takeLeftOver forwards what was received before the loop had the pair.
func (p *loopPair) takeLeftOver(i int) {
	c := p.sides[i].conn
	rest := c.unread
	c.unread = nil
	if p.sides[i].tls == nil {
		p.sides[i].conn = nil // only crypto/tls has use for it
	}
	if len(rest) > 0 || p.sides[i].tls != nil {
		p.take(i, rest, nil)
	}
}

// take forwards what can be made of the bytes that side i sent; end is what
// follows them.
func (p *loopPair) take(i int, b []byte, end error) {
	src := &p.sides[i]
	if src.tls != nil {
		end = p.decrypt(src, i, b, end)
	} else if len(b) > 0 {
		p.forward(i, b)
	}
	switch {
	case end == nil:
	case errors.Is(end, io.EOF):
		src.over = true
		p.conclude(closedBy(i), nil)
		p.lingerFor(p.options.linger)
	default:
		p.sideFailed(i, end)
	}
}

func closedBy(i int) Reason {
	if i == client {
		return ClientClosed
	}
	return UpstreamClosed
}

// decrypt forwards what crypto/tls makes of b, in as few writes as it can.
func (p *loopPair) decrypt(src *side, i int, b []byte, end error) error {
	c := src.conn
	c.unread, c.end = b, end
	plain, n := p.at().plain, 0
	for {
		m, err := src.tls.Read(plain[n:])
		n += m
		if len(p.at().staged) > 0 { // an answer to the peer, say to its KeyUpdate
			p.send(src, 0)
		}
		if n > 0 && (err != nil || len(plain)-n < 16<<10) {
			p.forward(i, plain[:n])
			n = 0
		}
		switch {
		case err == errNoData:
			c.unread = nil // a slice of the loop's buffer
			return nil
		case err != nil:
			return streamEnd(err)
		}
	}
}

// forward sends payload of side i to the other side.
func (p *loopPair) forward(i int, b []byte) {
	dst := &p.sides[1-i]
	size := uint64(len(b))
	if o := p.options.observe; i == upstream && o != nil && !p.observed {
		p.observed = o(b)
	}
	p.countReceived(i, size)
	if dst.broken || dst.shut {
		return
	}
	if dst.tls == nil {
		p.write(dst, b, size)
		return
	}
	if _, err := dst.tls.Write(b); err != nil {
		p.writeFailed(dst, err)
		return
	}
	p.send(dst, size)
}

func (p *loopPair) countReceived(i int, n uint64) {
	p.sides[i].last = int32(p.at().now)
	if i == upstream {
		p.fromUpstream.Add(n)
		return
	}
	p.fromClient.Add(n)
	if c := p.options.counters; c != nil {
		c.FromClient.Add(n)
	}
}

// sideFailed ends the reading of side i.
func (p *loopPair) sideFailed(i int, err error) {
	p.sides[i].over = true
	p.conclude(sideBroke(i), err)
	p.lingerFor(int32(ticks(errorLinger)))
}

// lingerFor bounds what is left of the pair once a direction has ended.
func (p *loopPair) lingerFor(span int32) {
	if span == 0 || p.gone {
		return
	}
	if until := int32(p.at().now) + span; p.linger == 0 || until < p.linger {
		p.linger = until
		p.at().wheel.put(&p.timer, int64(until))
	}
}

// settle passes the end of each direction on when all its bytes are, and closes
// the pair when both have ended.
func (p *loopPair) settle() {
	if p.gone {
		return
	}
	for i := range p.sides {
		src, dst := &p.sides[i], &p.sides[1-i]
		if src.over && !dst.shut {
			p.closeWrite(dst)
		}
	}
	c, u := &p.sides[client], &p.sides[upstream]
	if c.over && u.over && c.shut && u.shut {
		p.finish()
	}
}

// closeWrite sends close_notify where there is TLS (RFC 8446 section 6.1), and
// FIN once everything else is sent.
func (p *loopPair) closeWrite(s *side) {
	if s.tls != nil && !s.notified {
		s.notified = true
		s.tls.CloseWrite()
		p.send(s, 0)
	}
	if !s.blocked() && !s.shut {
		s.shut = true
		unix.Shutdown(int(s.fd), unix.SHUT_WR)
	}
}

// abort stops reading and closes when what is pending has gone, or soon.
func (p *loopPair) abort() {
	p.sides[client].over, p.sides[upstream].over = true, true
	p.lingerFor(int32(ticks(abortGrace)))
	p.settle()
}

// finish closes both sockets and reports.
func (p *loopPair) finish() {
	p.gone = true
	l := p.loop.Load()
	l.wheel.remove(&p.timer)
	for i := range p.sides {
		s := &p.sides[i]
		if b := s.backlog; b != nil {
			left := len(b.pending) // over TLS these are more than the payload in them, so it errs on the low side
			if b.pipe != nil {
				left = b.pipe.n
				l.returnPipe(b.pipe)
			}
			p.settleDebt(s, left)
		}
		unix.Close(int(s.fd)) // which takes it out of epoll
	}
	l.pairs[p.slot] = nil
	l.free = append(l.free, p.slot)
	res := p.result()
	p.sides = [2]side{} // done may keep the pair
	l.relay.live.Add(-1)
	p.done(res)
	l.relay.pairs.Done()
}

func (p *loopPair) queue() {
	if !p.queued {
		p.queued = true
		p.at().again = append(p.at().again, p)
	}
}
