package grpcrelay

import "time"

// Group is a set of connections of clients and to providers between which calls
// go. Nothing of it may be used from two goroutines at once: a loop owns it, or a
// lock guards it (see [Driver]).
type Group struct {
	o       Options
	start   time.Time
	now     int64 // nanoseconds since start
	swept   int64
	stats   Stats
	wheel   wheel
	dirty   []*conn
	known   intern
	clients map[*Client]struct{}
	servers map[*Provider]struct{}

	buffers      [][]byte
	calls        []*Call // free
	forwards     []*forward
	deadCalls    []*Call // free with the next flush
	deadForwards []*forward
}

// Stats counts what no handler hears of.
type Stats struct {
	Refused   uint64 // calls that ended before the handler was told: over a limit, not gRPC, given up
	Malformed uint64 // streams reset because the client got them wrong
	Faults    uint64 // client connections closed for an error or for abuse
}

// Stats since the group was made.
func (g *Group) Stats() Stats { return g.stats }

// NewGroup makes an empty group. It starts nothing.
func NewGroup(o Options) *Group {
	return &Group{
		o: o.withDefaults(), start: time.Now(),
		known: make(intern), clients: make(map[*Client]struct{}), servers: make(map[*Provider]struct{}),
	}
}

// tell takes the time of whatever happens next.
func (g *Group) tell() { g.now = int64(time.Since(g.start)) }

// Flush gives every connection that has something to send one Write. The driver
// calls it at the end of each of its turns, after any Receive, Ended, Resume, Tick
// or call by others.
func (g *Group) Flush() {
	for i := 0; i < len(g.dirty); i++ { // a flush may make room, and so work for others
		g.dirty[i].flush()
	}
	clear(g.dirty)
	g.dirty = g.dirty[:0]
	g.recycle()
}

// Tick is for deadlines and liveness. The driver calls it every 10 ms; deadlines are
// kept no more exactly than that, and an interval beyond Options.Margin would miss
// those of whole calls. While there are no Calls, once a second will do.
func (g *Group) Tick(now time.Time) {
	g.now = max(g.now, int64(now.Sub(g.start)))
	g.wheel.advance(g.now)
	const each = int64(time.Second)
	if g.now-g.swept < each {
		return
	}
	g.swept = g.now
	for c := range g.clients {
		c.sweep()
	}
	for p := range g.servers {
		p.sweep()
	}
}

// Calls is how many calls are under way, those of our own among them.
func (g *Group) Calls() int {
	n := 0
	for c := range g.clients {
		n += c.live
	}
	for p := range g.servers {
		n += p.own
	}
	return n
}

const (
	buffersKept    = 64
	bufferSize     = 4 << 10
	bufferKeptSize = 512 << 10
	objectsKept    = 4096
	bodyKeptSize   = 4 << 10
)

// buffer lends an empty buffer; a connection that is idle has none.
func (g *Group) buffer() []byte {
	if n := len(g.buffers); n > 0 {
		b := g.buffers[n-1]
		g.buffers = g.buffers[:n-1]
		return b
	}
	return make([]byte, 0, bufferSize)
}

func (g *Group) release(b []byte) {
	if cap(b) > 0 && cap(b) <= bufferKeptSize && len(g.buffers) < buffersKept {
		g.buffers = append(g.buffers, b[:0])
	}
}

func (g *Group) newCall() *Call {
	if n := len(g.calls); n > 0 {
		c := g.calls[n-1]
		g.calls = g.calls[:n-1]
		return c
	}
	return &Call{}
}

func (g *Group) newForward() *forward {
	if n := len(g.forwards); n > 0 {
		f := g.forwards[n-1]
		g.forwards = g.forwards[:n-1]
		return f
	}
	return &forward{}
}

// recycle makes what has ended since the last flush ready to be used again. Not
// earlier: code further up the stack may still look at it.
func (g *Group) recycle() {
	for i, c := range g.deadCalls {
		*c = Call{body: keep(c.body), answer: keep(c.answer)}
		if len(g.calls) < objectsKept {
			g.calls = append(g.calls, c)
		}
		g.deadCalls[i] = nil
	}
	g.deadCalls = g.deadCalls[:0]
	for i, f := range g.deadForwards {
		*f = forward{answer: keep(f.answer)}
		if len(g.forwards) < objectsKept {
			g.forwards = append(g.forwards, f)
		}
		g.deadForwards[i] = nil
	}
	g.deadForwards = g.deadForwards[:0]
}

func keep(b []byte) []byte {
	if cap(b) > bodyKeptSize {
		return nil
	}
	return b[:0]
}
