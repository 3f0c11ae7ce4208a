package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// The portable implementation of streams: a lock for each group, a reader and a
// writer for each stream.

// portableGroups are those of a relay.
type portableGroups struct {
	mu    sync.Mutex
	all   []*portableGroup
	ended bool
}

func (gs *portableGroups) add(g *portableGroup) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.all = append(gs.all, g)
	g.ended = gs.ended
}

func (gs *portableGroups) tick() {
	gs.mu.Lock()
	all := gs.all
	gs.mu.Unlock()
	for _, g := range all {
		if g.options.Tick != nil {
			g.event(g.options.Tick)
		}
	}
}

// end lets go of the groups when all of their streams have ended.
func (gs *portableGroups) end() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.ended = true
	for _, g := range gs.all {
		g.inboxMu.Lock()
		g.ended = true
		g.inboxMu.Unlock()
		g.workers.Wait()
	}
}

type portableGroup struct {
	relay   *Relay
	options GroupOptions
	mu      sync.Mutex // of the group's events

	inboxMu sync.Mutex // may be taken within mu
	inbox   []func()
	working bool
	ended   bool
	workers sync.WaitGroup
}

func (r *Relay) newPortableGroup(o GroupOptions) Group {
	g := &portableGroup{relay: r, options: o}
	r.groups.add(g)
	return g
}

// event runs f as a turn of its own. What it writes goes out afterwards, since
// writers need the lock to begin.
func (g *portableGroup) event(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	g.endTurn()
}

func (g *portableGroup) endTurn() {
	if g.options.Turn != nil {
		g.options.Turn()
	}
}

// Do implements Group.
func (g *portableGroup) Do(f func()) bool {
	g.inboxMu.Lock()
	defer g.inboxMu.Unlock()
	if g.ended {
		return false
	}
	g.inbox = append(g.inbox, f)
	if !g.working {
		g.working = true
		g.workers.Go(g.readInbox)
	}
	return true
}

func (g *portableGroup) readInbox() {
	for {
		g.inboxMu.Lock()
		todo := g.inbox
		g.inbox = nil
		g.working = len(todo) > 0
		g.inboxMu.Unlock()
		if len(todo) == 0 {
			return
		}
		g.event(func() {
			for _, f := range todo {
				f()
			}
		})
	}
}

// Add implements Group.
func (g *portableGroup) Add(c net.Conn, begin func(Stream) Handler) error {
	e, ok := newEnd(c)
	if !ok {
		return errNotRelayConn
	}
	s := &portableStream{group: g, conn: c, end: e}
	s.changed.L = &g.mu
	g.relay.pairs.Add(1)
	if !g.Do(func() {
		s.handler = begin(s)
		go s.run()
	}) {
		e.conn.Close()
		g.relay.pairs.Done()
		return net.ErrClosed
	}
	return nil
}

// portableStream has all but its connection guarded by the lock of its group.
type portableStream struct {
	group   *portableGroup
	handler Handler
	conn    net.Conn  // as it was added
	end     end       // the same
	changed sync.Cond // what follows

	out     []byte
	sending int   // bytes of the write that is under way
	err     error // why the stream ends; nil while it does not
	paused  bool
	closed  bool // Close or Abort was called: nothing is received any more
	broken  bool // nothing more is sent
	shut    bool // the end was sent
	gone    bool
}

// Write implements Stream.
func (s *portableStream) Write(b []byte) {
	if s.closed || s.broken || s.shut || s.gone {
		return
	}
	s.out = append(s.out, b...)
	s.changed.Broadcast()
}

// Backlog implements Stream.
func (s *portableStream) Backlog() int { return len(s.out) + s.sending }

// Pause implements Stream.
func (s *portableStream) Pause(on bool) {
	s.paused = on
	s.changed.Broadcast()
}

// Close implements Stream.
func (s *portableStream) Close() {
	if s.gone {
		return
	}
	s.closed = true
	s.fail(net.ErrClosed)
	s.end.conn.SetDeadline(time.Now().Add(closeGrace))
}

// Abort implements Stream.
func (s *portableStream) Abort() {
	if s.gone {
		return
	}
	s.closed = true
	s.breakOff(net.ErrClosed)
	s.end.conn.Close()
}

func (s *portableStream) fail(err error) {
	if s.err == nil {
		s.err = err
	}
	s.changed.Broadcast()
}

func (s *portableStream) breakOff(err error) {
	s.broken, s.out = true, nil
	s.fail(err)
}

func (s *portableStream) run() {
	var writing sync.WaitGroup
	writing.Go(s.write)
	s.read()
	writing.Wait()
	s.end.conn.Close()
	s.group.event(func() {
		s.gone = true
		s.handler.Ended(s.err)
	})
	s.group.relay.pairs.Done()
}

// read receives until the peer has ended or nothing more is to be received.
func (s *portableStream) read() {
	b := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(b)
	for {
		n, err := s.conn.Read(b[:])
		if !s.received(b[:n], err) {
			return
		}
	}
}

func (s *portableStream) received(b []byte, end error) (goOn bool) {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	for s.paused && s.err == nil {
		s.changed.Wait()
	}
	if len(b) > 0 && !s.closed && !s.paused {
		s.handler.Receive(b)
		g.endTurn()
	}
	if end == nil && s.paused && s.broken {
		end = s.err // nobody waits for what the peer sent before
	}
	switch end = streamEnd(end); {
	case end == nil:
		return true
	case errors.Is(end, io.EOF):
		s.fail(io.EOF)
		s.end.conn.SetWriteDeadline(time.Now().Add(closeGrace))
	default:
		s.breakOff(end)
		s.end.conn.Close()
	}
	return false
}

// write sends until the stream ends, and then its end.
func (s *portableStream) write() {
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		for len(s.out) == 0 && s.err == nil {
			s.changed.Wait()
		}
		if len(s.out) == 0 {
			break
		}
		b := s.out
		s.out, s.sending = nil, len(b)
		g.mu.Unlock()
		_, err := s.conn.Write(b)
		g.mu.Lock()
		s.sending = 0
		if err != nil {
			s.breakOff(err)
			s.end.conn.SetReadDeadline(time.Now().Add(errorLinger))
			return
		}
		if len(s.out) == 0 && s.err == nil {
			s.handler.Drained()
			g.endTurn()
		}
	}
	if s.broken {
		return
	}
	s.shut = true
	g.mu.Unlock()
	s.end.closeWrite()
	g.mu.Lock()
}
