package relay

import (
	"errors"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// loopPair is a pair in a loop. Fields beyond the ledger belong to the loop's
// goroutine once it carries the pair. There is one for each connection, so the
// fields are ordered for size.
type loopPair struct {
	ledger
	sides    [2]side
	onWheel  timer[*loopPair]
	loop     atomic.Pointer[loop]
	follow   Follower  // nil if nobody takes leave
	farewell *farewell // nil while none waits

	slot   int32
	linger int32   // tick; 0 while both directions are open
	lost   [2]bool // sides that follow lost
	room   [2]bool // sides of which the loop hears when they have room for writes
	queued bool    // in loop.again
	parted bool    // nothing more is passed on
	gone   bool    // closed, and done was called
}

// side is one socket of a pair.
type side struct {
	tls     *tlsSide // nil for plain TCP
	backlog *backlog // nil while the socket takes everything
	fd      int32
	last    int32 // tick at which bytes last came
	grade   uint8 // of the next read, which takes readLeast << grade
	fulls   uint8 // reads of the largest size in a row, up to spliceAfter

	readable bool // a read may bring something
	readOn   bool // a short read need not mean that nothing is left
	over     bool // nothing more is read
	notified bool // close_notify was sent
	shut     bool // nothing more is written
	broken   bool // a write failed: what the other side sends is dropped
}

// leftOver is what one side had sent before the pair was given to the relay.
type leftOver struct {
	plain []byte // what TLS made of it
	err   error  // what follows plain
	bytes []byte // from the socket; they come after plain
}

func sideBroke(i int) Reason {
	if i == client {
		return ClientReset
	}
	return UpstreamReset
}

// Close implements Pair.
func (p *loopPair) Close(why Reason) {
	p.conclude(why, nil)
	p.loop.Load().post(message{pair: p, close: true})
}

// at is the loop that carries the pair, for the code that runs in it.
func (p *loopPair) at() *loop { return p.loop.Load() }

func (p *loopPair) timer() *timer[*loopPair] { return &p.onWheel }

// check implements timed.
func (p *loopPair) check(now int64) (again int64) {
	due := p.next()
	if due != 0 && now >= due {
		p.at().over = append(p.at().over, p)
		return 0
	}
	return due
}

// next is when the pair is to be looked at, or 0 for never.
func (p *loopPair) next() int64 {
	due := p.due(int64(p.sides[client].last), int64(p.sides[upstream].last), int64(p.linger))
	if p.farewell != nil {
		due = earlier(due, p.farewell.look)
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
		n, err := rawRead(int(src.fd), p.at().in[:readLeast<<src.grade])
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
		full := n == readLeast<<src.grade
		if !full && !src.readOn {
			// All there was: the next edge says when there is more (epoll(7)).
			src.readable = false
		}
		p.take(i, p.at().in[:n], nil)
		switch {
		case dst.blocked():
			src.grade, src.fulls = 0, 0
		case !full:
			src.fulls = 0
		case src.grade < gradeMost:
			src.grade++
		case src.fulls < spliceAfter:
			src.fulls++
		}
	}
}

// takeLeftOver forwards what was received before the loop had the pair.
func (p *loopPair) takeLeftOver(i int, rest leftOver) {
	if len(rest.plain) > 0 {
		p.forward(i, rest.plain)
	}
	if rest.err != nil || len(rest.bytes) > 0 || p.sides[i].tls != nil {
		p.take(i, rest.bytes, rest.err)
	}
}

// take forwards what can be made of the bytes that side i sent; end is what
// follows them.
func (p *loopPair) take(i int, b []byte, end error) {
	src := &p.sides[i]
	if src.tls != nil {
		end = p.open(src, i, b, end)
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

// forward sends payload of side i to the other side.
func (p *loopPair) forward(i int, b []byte) {
	dst := &p.sides[1-i]
	if p.parted {
		return
	}
	if p.follow != nil && !dst.shut {
		b = p.show(i, b)
	}
	size := uint64(len(b))
	if o := p.options.observe; i == upstream && o != nil && o(b) {
		p.options.observe = nil
	}
	p.countReceived(i, size)
	if dst.broken || dst.shut {
		return
	}
	p.deliver(dst, b)
	if p.farewell != nil {
		p.part() // at once: what it sent behind b is dropped
	}
}

// deliver sends payload to s.
func (p *loopPair) deliver(s *side, b []byte) {
	if s.tls == nil {
		p.write(s, b, uint64(len(b)))
		return
	}
	if err := s.tls.seal(p.at(), b); err != nil {
		p.writeFailed(s, err)
		return
	}
	p.send(s, uint64(len(b)))
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
	}
	p.at().wheel.put(p, p.next()) // also an earlier end: the wheel may just have let go of the pair
}

// settle passes the end of each direction on when all its bytes are, and closes
// the pair when both have ended.
func (p *loopPair) settle() {
	if p.gone {
		return
	}
	if p.farewell != nil {
		p.part() // a side may have ended, or a pipe run empty
	}
	last := p.sides[client].over && p.sides[upstream].over
	for i := range p.sides {
		src, dst := &p.sides[i], &p.sides[1-i]
		if (src.over || p.parted) && !dst.shut {
			p.closeWrite(dst, last)
		}
	}
	if last && p.sides[client].shut && p.sides[upstream].shut {
		p.finish()
	}
}

// closeWrite sends close_notify where there is TLS (RFC 8446 section 6.1), and
// FIN once everything else is sent; the last one is sent by close.
func (p *loopPair) closeWrite(s *side, last bool) {
	if s.tls != nil && !s.notified {
		s.notified = true
		s.tls.closeNotify(p.at())
		p.send(s, 0)
	}
	if !s.blocked() && !s.shut {
		s.shut = true
		if !last {
			rawShutdown(int(s.fd))
		}
	}
}

// abort stops reading and closes when what is pending has gone, or soon.
func (p *loopPair) abort() {
	p.stop()
	p.settle()
}

// stop is abort for where the pair must not vanish yet.
func (p *loopPair) stop() {
	p.sides[client].over, p.sides[upstream].over = true, true
	p.end()
}

// end passes nothing more on and ends what is sent to both sides, within
// abortGrace.
func (p *loopPair) end() {
	p.parted, p.farewell = true, nil
	p.lingerFor(int32(ticks(abortGrace)))
	for i := range p.sides { // FIN first: with bytes unread, close alone would send RST
		if !p.sides[i].shut {
			p.closeWrite(&p.sides[i], false)
		}
	}
}

// finish closes both sockets and reports.
func (p *loopPair) finish() {
	p.gone = true
	l := p.loop.Load()
	l.wheel.remove(p)
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
		rawClose(int(s.fd)) // which takes it out of epoll
	}
	l.pairs[p.slot] = nil
	l.free = append(l.free, p.slot)
	res := p.result()
	p.sides, p.farewell = [2]side{}, nil // done may keep the pair
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
