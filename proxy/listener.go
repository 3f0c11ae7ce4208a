package proxy

import (
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/proxy/accesslog"
	"github.com/mqedge/mqedge/proxy/relay"
)

// Listener serves the connections of one entry under listeners. Its counters
// and its live connections survive [Listener.Configure].
type Listener struct {
	name      string
	began     time.Time
	relay     *relay.Relay
	log       *slog.Logger
	metrics   *Metrics
	settings  atomic.Pointer[Settings]
	accessLog atomic.Pointer[accesslog.Log]

	conns   table
	serving sync.WaitGroup // connections, from accept to the last line of the log
	lastID  atomic.Uint64

	places     atomic.Int64 // taken of MaxConnections
	halfOpen   atomic.Int64 // taken of MaxHalfOpen
	connects   *pacer       // of ConnectRate
	fulls      *pacer       // of FullHandshakes
	turnedAway atomic.Int32 // on their way out, of those beyond a limit
	earlies    sync.Pool    // of *early
	rooms      sync.Pool    // of *room
	lines      sync.Pool    // of *lastLine

	mu    sync.Mutex
	perIP map[netip.Addr]int // only of connections accepted under a limit

	accepted     atomic.Uint64
	acceptErrors atomic.Uint64
	refused      reasons
	closed       reasons
	bytes        relay.Counters
	handshakes   [handshakeResults]atomic.Uint64
	connacks     [256]atomic.Uint64
	lastRefusal  atomic.Pointer[string]
}

// NewListener returns a listener that works under s. The relay must be running
// while it serves.
func NewListener(name string, r *relay.Relay, m *Metrics, log *slog.Logger, s *Settings) *Listener {
	l := &Listener{name: name, began: time.Now(), relay: r, metrics: m, log: log.With("listener", name), perIP: make(map[netip.Addr]int)}
	l.settings.Store(s)
	l.earlies.New = func() any { return new(early) }
	l.rooms.New = func() any { return new(room) }
	l.lines.New = func() any { return new(lastLine) }
	l.connects, l.fulls = newPacer(&l.serving, s.ConnectRate), newPacer(&l.serving, s.FullHandshakes)
	return l
}

// Name is the listener's key in the configuration.
func (l *Listener) Name() string { return l.name }

// Configure puts s in force for connections accepted from now on, its rates also
// for those that wait. The caller does not change s afterwards.
func (l *Listener) Configure(s *Settings) {
	l.settings.Store(s)
	l.connects.configure(s.ConnectRate)
	l.fulls.configure(s.FullHandshakes)
}

// LogTo makes log take the lines of all connections that end from now on, also of
// those accepted before; nil means none.
func (l *Listener) LogTo(log *accesslog.Log) { l.accessLog.Store(log) }

// Wait returns when the last connection has ended. Nothing may be accepted any more.
func (l *Listener) Wait() { l.serving.Wait() }

func (l *Listener) accept(stream *relay.Conn) {
	l.accepted.Add(1)
	c := newConn(l, stream)
	l.serving.Add(1)
	l.conns.add(c)
	l.relay.Go(stream, c.serve)
}

// take counts a connection against limit, 0 for none, unless it is reached. The
// place is given back with Add(-1).
func take(places *atomic.Int64, limit int) bool {
	for {
		n := places.Load()
		if limit > 0 && n >= int64(limit) {
			return false
		}
		if places.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// takePlaceOf counts a connection from a against limit. The place is given
// back with releasePlaceOf.
func (l *Listener) takePlaceOf(a netip.Addr, limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perIP[a] >= limit {
		return false
	}
	l.perIP[a]++
	return true
}

func (l *Listener) releasePlaceOf(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perIP[a]--; l.perIP[a] <= 0 {
		delete(l.perIP, a)
	}
}

// reasons counts by reason. The set of reasons is bounded.
type reasons struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (r *reasons) add(reason string) {
	r.mu.Lock()
	if r.counts == nil {
		r.counts = make(map[string]uint64)
	}
	r.counts[reason]++
	r.mu.Unlock()
}

func (r *reasons) snapshot() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]uint64, len(r.counts))
	for k, v := range r.counts {
		out[k] = v
	}
	return out
}
