package relay

import (
	"net"

	"golang.org/x/sys/unix"
)

// streamSet is what a loop keeps of streams.
type streamSet struct {
	groups []*loopGroup
	bySlot []*loopStream // nil where free
	free   []int32       // slots
	again  []*loopStream // have more to read than one turn gives them
	swept  int           // slot that was looked at last
	spare  [][]byte      // buffers of queues, to be borrowed
	kept   int           // bytes in spare
}

// loopGroup is a group in a loop. All of it belongs to the loop's goroutine.
type loopGroup struct {
	loop    *loop
	options GroupOptions
	touched bool          // something happened in this turn
	dirty   []*loopStream // have something to send, or are ending
	leaving []*loopStream // end at a certain tick at the latest
}

func (r *Relay) newLoopGroup(o GroupOptions) Group {
	g := &loopGroup{loop: r.loops[o.Loop%len(r.loops)], options: o}
	g.Do(func() { g.loop.streams.groups = append(g.loop.streams.groups, g) })
	return g
}

// Do implements Group.
func (g *loopGroup) Do(f func()) bool { return g.loop.post(message{group: g, run: f}) }

// Add implements Group.
func (g *loopGroup) Add(c net.Conn, begin func(Stream) Handler) error {
	e, ok := newEnd(c)
	if !ok {
		return errNotRelayConn
	}
	fd, err := e.conn.fd()
	if err != nil {
		return err
	}
	s := &loopStream{group: g, fd: int32(fd), tls: e.tlsSide()}
	rest := e.leftOver()
	heard := e.conn.release(g.loop)
	g.loop.relay.pairs.Add(1)
	if !g.Do(func() { s.begin(begin, rest, heard) }) {
		rawClose(fd)
		g.loop.relay.pairs.Done()
		return net.ErrClosed
	}
	return nil
}

// endTurn lets the groups send.
func (l *loop) endTurn() {
	for _, g := range l.streams.groups {
		g.endTurn()
	}
}

// endTurn goes on until nothing happens any more: sending ends streams, whose
// handlers may write to others.
func (g *loopGroup) endTurn() {
	for g.touched || len(g.dirty) > 0 {
		if g.touched {
			g.touched = false
			if g.options.Turn != nil {
				g.options.Turn()
			}
		}
		dirty := g.dirty
		g.dirty = nil
		for i, s := range dirty {
			s.dirty, dirty[i] = false, nil
			s.settle()
		}
		if g.dirty == nil {
			g.dirty = dirty[:0]
		}
	}
}

// tickGroups is called once for each tick that the loop sees.
func (l *loop) tickGroups() {
	if len(l.streams.groups) == 0 {
		return
	}
	for _, g := range l.streams.groups {
		g.endOverdue()
		if g.options.Tick != nil {
			g.touched = true
			g.options.Tick()
		}
	}
	l.sweepStreams()
	l.endTurn()
}

func (g *loopGroup) endOverdue() {
	leaving := g.leaving
	g.leaving = nil
	for _, s := range leaving {
		switch {
		case s.gone:
		case g.loop.now >= s.until:
			s.finish()
		default:
			g.leaving = append(g.leaving, s)
		}
	}
}

func (l *loop) continueStreams() {
	turn := l.streams.again
	l.streams.again = nil
	for _, s := range turn {
		s.queued = false
		s.pump()
	}
}

// sweepStreams is sweep for streams.
func (l *loop) sweepStreams() {
	all := &l.streams
	for range len(all.bySlot)/sweepTicks + 1 {
		if all.swept++; all.swept >= len(all.bySlot) {
			all.swept = -1
			return
		}
		if s := all.bySlot[all.swept]; s != nil && s.tls != nil && s.tls.own != nil && l.now-s.last >= int64(dozeAfter) {
			s.tls.own.Sleep()
		}
	}
}

// handleStream is told of events of the stream in a slot.
func (l *loop) handleStream(slot int32, events uint32) {
	s := l.streams.bySlot[slot]
	if s == nil {
		return
	}
	const ends = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if events&(unix.EPOLLIN|unix.EPOLLPRI|ends) != 0 {
		s.readable = true
		s.readOn = s.readOn || events&(unix.EPOLLPRI|ends) != 0 // see side.readOn
	}
	if s.full && events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		s.resume()
	}
	s.pump()
}
