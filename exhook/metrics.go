package exhook

import (
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// bounds are those of the histogram of durations. It is never written to.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// series is how long calls of one method and code took. One goroutine at a time writes it.
type series struct {
	counts [len(bounds) + 1]atomic.Uint64
	nanos  atomic.Int64
}

const codeSlots = int(codes.Unauthenticated) + 1

// stats are read by others at any time.
type stats struct {
	calls        [hookSlots][codeSlots]atomic.Pointer[series]
	fallbacks    [hookSlots]atomic.Uint64
	earlyQueued  [hookSlots]atomic.Uint64
	earlyDropped [hookSlots]atomic.Uint64
	drift        atomic.Int64
	drifts       atomic.Uint64
}

func (s *stats) called(h hook.Hook, e grpcrelay.End) {
	code := int(e.Code)
	if code >= codeSlots {
		code = int(codes.Unknown)
	}
	at := &s.calls[h][code]
	one := at.Load()
	if one == nil {
		one = &series{}
		at.Store(one)
	}
	i := 0
	for i < len(bounds) && e.Took > bounds[i] {
		i++
	}
	one.counts[i].Add(1)
	one.nanos.Add(int64(e.Took))
}

// CallStats is how long the calls of one method took that ended with one code.
type CallStats struct {
	Method  string // of the newest version of ExHook; "other" for all that is none of its hooks
	Code    codes.Code
	Count   uint64
	Seconds float64 // in all
	Buckets map[float64]uint64
}

// Stats are what an upstream counted since it was made. Hooks are named as in EMQX 5.
type Stats struct {
	Calls        []CallStats
	Fallbacks    map[string]uint64 // calls that no provider answered, by hook
	EarlyQueued  map[string]uint64 // notifications answered before their delivery, by hook
	EarlyDropped map[string]uint64 // those that were never delivered, by hook
	Drift        int64             // hooks that providers register and an EMQX node does not know of, now
	Drifts       uint64            // how often hooks were registered that EMQX does not know of
	Nodes        map[string]uint64 // calls of ExHook by EMQX node; of the 65th and all after it as "other"
}

const mostNodeStats = 64

// Stats are cheap enough to be asked for with each scrape.
func (u *Upstream) Stats() Stats {
	s := Stats{Fallbacks: map[string]uint64{}, EarlyQueued: map[string]uint64{}, EarlyDropped: map[string]uint64{}, Drift: u.stats.drift.Load(), Drifts: u.stats.drifts.Load(), Nodes: map[string]uint64{}}
	for _, n := range u.Status().Nodes {
		name := n.Node
		if _, known := s.Nodes[name]; !known && len(s.Nodes) >= mostNodeStats {
			name = "other"
		}
		s.Nodes[name] += n.Calls
	}
	for h := range hook.Hook(hookSlots) {
		method := "other"
		if h != hook.None {
			method = hook.Method{Version: hook.V3, Hook: h}.RPC()
		}
		for code := range codeSlots {
			if one := u.stats.calls[h][code].Load(); one != nil {
				s.Calls = append(s.Calls, one.read(method, codes.Code(code)))
			}
		}
		name := h.String()
		for to, from := range map[*map[string]uint64]*atomic.Uint64{
			&s.Fallbacks: &u.stats.fallbacks[h], &s.EarlyQueued: &u.stats.earlyQueued[h], &s.EarlyDropped: &u.stats.earlyDropped[h],
		} {
			if n := from.Load(); n > 0 {
				(*to)[name] = n
			}
		}
	}
	return s
}

// read makes the counts cumulative, as Prometheus has them.
func (s *series) read(method string, code codes.Code) CallStats {
	c := CallStats{Method: method, Code: code, Seconds: time.Duration(s.nanos.Load()).Seconds(), Buckets: make(map[float64]uint64, len(bounds))}
	for i := range s.counts {
		c.Count += s.counts[i].Load()
		if i < len(bounds) {
			c.Buckets[bounds[i].Seconds()] = c.Count
		}
	}
	return c
}
