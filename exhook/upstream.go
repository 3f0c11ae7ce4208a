package exhook

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// Upstream sends the calls of one group to the endpoints of one pool. Its exported methods may be called from any goroutine,
// but not from within the group.
type Upstream struct {
	name  string
	pool  *balancer.Pool
	aware bool
	loop  Loop
	log   *slog.Logger

	inherited []byte // state of the process before; of Run

	// All that follows, up to the channels, belongs to the group.
	group    *grpcrelay.Group // as soon as Run runs
	rules    *rules
	patience time.Duration
	began    time.Time
	depth    int // of events within events
	stirred  bool
	thorough bool // look at all that waits, whether there is room or not
	stopping bool

	members []balancer.Member
	links   []*link // in the order of members
	byID    map[balancer.NodeID]*link
	conns   map[*grpcrelay.Provider]struct{} // those too that no link has any more, but that have calls
	unfit   []balancer.NodeID                // scratch of pick

	live    int // calls of clients that have not ended
	free    []*call
	dead    []*call // free when the outermost event ends
	queues  [classes]queue
	early   early
	scratch []byte // an answer made here

	nodes    nodes
	memories [hook.V3 + 1]memory
	unsaved  bool    // what the state file is to have
	loading  []*call // OnProviderLoaded and Unloaded of EMQX that are not answered
	headers  [hook.V3 + 1]*grpcrelay.Header
	drained  []chan struct{} // to be closed when nothing is under way
	ticks    int64
	altered  bool // since the status was published

	// What others read, and what the goroutines of Run are given.
	stats  stats
	status atomic.Pointer[Status]
	dials  chan dialling
	notes  chan note
	lost   atomic.Uint64 // notes that found no place
	saving atomic.Pointer[saving]
	save   chan struct{}
}

// New makes an upstream whose group loop runs. It starts nothing. The group must be made with what [Upstream.Relay] returns.
func New(o Options, loop Loop) *Upstream {
	u := &Upstream{
		name: o.Name, pool: o.Pool, aware: o.Hooks != nil, loop: loop, log: o.Logger, inherited: o.State,
		rules: newRules(o.Settings), patience: patience, began: time.Now(),
		byID: make(map[balancer.NodeID]*link), conns: make(map[*grpcrelay.Provider]struct{}),
		dials: make(chan dialling, 64), notes: make(chan note, 256), save: make(chan struct{}, 1),
	}
	if u.log == nil {
		u.log = slog.New(slog.DiscardHandler)
	}
	u.early.lanes = make(map[balancer.Key]*lane)
	for v := hook.V1; v <= hook.V3; v++ {
		u.headers[v] = grpcrelay.NewHeader(hook.Method{Version: v, Hook: hook.ProviderLoaded}.Path(), "")
		u.nodes.named[v] = make(map[string]*node)
	}
	u.presume()
	u.status.Store(newStatus(o.Name))
	return u
}

// Relay is what the group of this upstream is to be made with. What it leaves open may be filled in.
func (u *Upstream) Relay() grpcrelay.Options {
	o := grpcrelay.Options{Handler: handler{u}, Margin: margin}
	if u.aware {
		o.Whole = func(path string) bool {
			_, known := hook.ParseMethod(path)
			return known
		}
	}
	return o
}

// Configure replaces the settings. Connections, what providers answered and calls under way stay.
func (u *Upstream) Configure(s Settings) {
	switch {
	case !u.aware:
		s.Hooks = nil
	case s.Hooks == nil:
		s.Hooks = &Hooks{}
	}
	r := newRules(s)
	u.do(func() {
		old := u.rules
		u.rules = r
		u.presume()
		u.unsaved = u.unsaved || r.stateFile != old.stateFile
		if r.callAs != old.callAs {
			u.reload()
		}
		u.stir()
	})
}

// Drain waits until what was answered early is delivered and no call is under way, and then lets the connections to
// providers end. Whoever has the connections of clients drains those first. It returns ctx's error when that comes before.
func (u *Upstream) Drain(ctx context.Context) error {
	idle := make(chan struct{})
	if !u.do(func() {
		u.drained = append(u.drained, idle)
		u.stir()
	}) {
		return nil
	}
	select {
	case <-idle:
	case <-ctx.Done():
		return ctx.Err()
	}
	u.do(func() {
		u.stopping = true
		for _, l := range u.links {
			if l.p != nil {
				l.p.Drain()
			}
		}
	})
	return nil
}

// do runs f as an event of the group.
func (u *Upstream) do(f func()) bool {
	return u.loop.Do(func(g *grpcrelay.Group) {
		u.group = g
		u.enter()
		f()
		u.leave()
	})
}

// enter and leave are around everything that happens in the group, since one event may come within another.
func (u *Upstream) enter() { u.depth++ }

func (u *Upstream) leave() {
	if u.depth > 1 {
		u.depth--
		return
	}
	for u.stirred { // what follows may stir again
		u.stirred = false
		u.pump()
		u.deliver()
		u.thorough = false
	}
	u.depth = 0
	for i, s := range u.dead {
		*s = call{want: want{tried: s.tried[:0]}}
		if len(u.free) < callsKept {
			u.free = append(u.free, s)
		}
		u.dead[i] = nil
	}
	u.dead = u.dead[:0]
	if len(u.drained) > 0 && u.live == 0 && u.early.idle() {
		for _, idle := range u.drained {
			close(idle)
		}
		u.drained = nil
	}
}

const callsKept = 4096

// stir has what waits looked at again, when the event that is under way ends.
func (u *Upstream) stir() { u.stirred, u.altered = true, true }

// tick comes every 100 ms.
func (u *Upstream) tick() {
	now := time.Now()
	u.ticks++
	u.syncMembers(now)
	for _, l := range u.links {
		u.tend(l, now)
	}
	u.nodes.expire(u, now)
	u.checkLoading()
	u.early.tick(now)
	if u.waits() {
		u.thorough = true
		u.stir()
	}
	u.remember()
	u.publish(now)
}

// waits tells whether any call or notification does.
func (u *Upstream) waits() bool {
	for i := range u.queues {
		if u.queues[i].length > 0 {
			return true
		}
	}
	return u.early.queued > 0
}
