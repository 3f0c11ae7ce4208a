package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// loopStream is a stream in a loop. All of it belongs to the loop's goroutine.
// Nothing is closed, and no handler told of an end, but in settle and endOverdue,
// so whoever calls a handler need not expect that a stream is gone afterwards.
type loopStream struct {
	group   *loopGroup
	handler Handler
	tls     *tlsSide // nil for plain TCP
	text    queue    // over TLS: payload that is no records yet
	wire    queue    // what goes to the socket next
	err     error    // why the stream ends; nil while it does not
	last    int64    // tick at which bytes last came
	until   int64    // tick at which the stream ends at the latest; 0 for never
	fd      int32
	slot    int32
	grade   uint8 // of the next read, which takes readLeast << grade

	readable bool // a read may bring something
	readOn   bool // a short read need not mean that nothing is left
	paused   bool
	queued   bool // in streamSet.again
	dirty    bool // in loopGroup.dirty
	full     bool // the socket did not take everything: it says when it takes more
	over     bool // the peer has ended
	closed   bool // Close or Abort was called: nothing is received any more
	broken   bool // a write failed: what is written is dropped
	notified bool // close_notify was sent
	shut     bool // FIN was sent
	hangUp   bool // to be closed with the end of the turn
	gone     bool // closed, and Ended was called
}

// begin makes the loop carry s.
func (s *loopStream) begin(begin func(Stream) Handler, rest leftOver, heard bool) {
	l := s.group.loop
	set := &l.streams
	if n := len(set.free); n > 0 {
		s.slot = set.free[n-1]
		set.free = set.free[:n-1]
		set.bySlot[s.slot] = s
	} else {
		s.slot = int32(len(set.bySlot))
		set.bySlot = append(set.bySlot, s)
	}
	if s.tls != nil {
		s.tls.moveTo(l)
	}
	s.last = l.now
	s.handler = begin(s)
	op := unix.EPOLL_CTL_ADD
	if heard {
		op = unix.EPOLL_CTL_MOD
	}
	if err := unix.EpollCtl(l.epoll, op, int(s.fd), &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff,
		Fd:     s.slot, Pad: streamEvent,
	}); err != nil {
		s.lost(os.NewSyscallError("epoll_ctl", err))
		return
	}
	s.readable = true // an edge before this moment was not seen
	if len(rest.plain) > 0 {
		s.receive(rest.plain)
	}
	if rest.err != nil || len(rest.bytes) > 0 || s.tls != nil {
		s.take(rest.bytes, rest.err)
	}
	s.pump()
}

// Pause implements Stream.
func (s *loopStream) Pause(on bool) {
	if s.paused = on; on {
		s.grade = 0
		return
	}
	s.readLater()
}

// Close implements Stream.
func (s *loopStream) Close() {
	if s.gone {
		return
	}
	s.closed = true
	s.fail(net.ErrClosed)
	s.endWithin(closeGrace)
	s.readLater() // for the peer's end, also while paused
}

// Abort implements Stream.
func (s *loopStream) Abort() {
	if s.gone {
		return
	}
	s.closed, s.broken = true, true
	s.drop()
	s.lost(net.ErrClosed)
}

// readLater reads on in the next turn, or later in this one.
func (s *loopStream) readLater() {
	if s.readable && !s.queued && !s.gone {
		s.queued = true
		s.group.loop.streams.again = append(s.group.loop.streams.again, s)
	}
}

// pump receives what has come, as far as its share of a turn goes.
func (s *loopStream) pump() {
	l := s.group.loop
	for share := turnShare; s.reads(); {
		if share <= 0 {
			s.readLater()
			return
		}
		size := readLeast << s.grade
		n, err := rawRead(int(s.fd), l.in[:size])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			s.readable = false
			return
		case err != nil:
			s.lost(os.NewSyscallError("read", err))
			return
		case n == 0:
			s.take(nil, io.EOF)
			return
		}
		share -= n
		if n < size && !s.readOn {
			s.readable = false // as for pairs, the next edge says when there is more
		}
		if n == size && s.grade < gradeMost {
			s.grade++
		}
		s.take(l.in[:n], nil)
	}
}

func (s *loopStream) reads() bool {
	return s.readable && !s.over && !s.hangUp && !s.gone && (!s.paused || s.closed)
}

// take gives the handler what can be made of the bytes that came; end is what
// follows them.
func (s *loopStream) take(b []byte, end error) {
	switch {
	case s.closed: // only the end is of interest
	case s.tls == nil:
		if len(b) > 0 {
			s.receive(b)
		}
	case s.tls.own != nil:
		end = s.open(b, end)
	default:
		end = s.openStd(b, end)
	}
	switch {
	case end == nil:
	case errors.Is(end, io.EOF):
		s.over = true
		s.fail(io.EOF)
		s.endWithin(closeGrace)
	default:
		s.lost(end)
	}
}

func (s *loopStream) open(b []byte, end error) error {
	l := s.group.loop
	plain, err := s.tls.own.Open(l.plain[:0], b, &l.work)
	s.answer(l.work.Reply)
	l.work.Reply = l.work.Reply[:0]
	if len(plain) > 0 {
		s.receive(plain)
	}
	if err != nil {
		return err
	}
	return end
}

func (s *loopStream) openStd(b []byte, end error) error {
	l, t := s.group.loop, s.tls
	t.under.unread, t.under.end = b, end
	for {
		n, err := t.std.Read(l.plain)
		s.answer(l.staged)
		l.staged = l.staged[:0]
		if n > 0 {
			s.receive(l.plain[:n])
		}
		switch {
		case err == errNoData:
			t.under.unread = nil // a slice of the loop's buffer
			return nil
		case err != nil:
			return streamEnd(err)
		}
	}
}

func (s *loopStream) receive(b []byte) {
	s.last = s.group.loop.now
	if s.closed {
		return
	}
	s.group.touched = true
	s.handler.Receive(b)
}

// fail notes why the stream ends, unless that is known already.
func (s *loopStream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.mark()
}

// lost ends the stream with this turn.
func (s *loopStream) lost(err error) {
	s.hangUp = true
	s.fail(err)
}

// endWithin bounds how long the end of the stream may take.
func (s *loopStream) endWithin(d time.Duration) {
	until := s.group.loop.now + ticks(d)
	if s.until == 0 {
		s.group.leaving = append(s.group.leaving, s)
		s.until = until
	}
	s.until = min(s.until, until)
}

// settle sends what is queued, and goes on with the end of the stream.
func (s *loopStream) settle() {
	if s.gone {
		return
	}
	s.flush()
	switch {
	case s.err == nil:
		return
	case s.hangUp, s.broken && (s.over || s.closed || s.paused):
		s.finish()
		return
	case s.broken: // what the peer sent before is still received
		return
	}
	if s.tls != nil && !s.notified && s.text.size() == 0 {
		s.notified = true
		l := s.group.loop
		s.tls.closeNotify(l)
		s.wire.add(l, l.staged)
		l.staged = l.staged[:0]
		s.flush()
	}
	switch {
	case s.unsent() > 0:
	case s.over:
		s.finish()
	case !s.shut:
		s.shut = true
		rawShutdown(int(s.fd))
	}
}

// finish closes the socket and tells the handler.
func (s *loopStream) finish() {
	g, l := s.group, s.group.loop
	s.gone = true
	s.drop()
	rawClose(int(s.fd)) // which takes it out of epoll
	l.streams.bySlot[s.slot] = nil
	l.streams.free = append(l.streams.free, s.slot)
	s.tls = nil // the handler may keep the stream
	g.touched = true
	s.handler.Ended(s.err)
	l.relay.pairs.Done()
}
