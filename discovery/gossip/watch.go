package gossip

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery"
)

// Endpoints are those of a service now, also those that left a moment ago, ordered by address. Do not change them.
func (n *Node) Endpoints(service string) []Endpoint {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.view(service, time.Now()).current
}

// Watch calls update with the endpoints of a service, first at once and then after every change, until ctx ends. Calls do not
// overlap. It may be called before Run.
func (n *Node) Watch(ctx context.Context, service string, update func([]Endpoint)) {
	changed, stop := n.watchers.add(service)
	defer stop()
	for {
		update(n.Endpoints(service))
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Source gives a pool the endpoints of a service: those present or suspected, without those whose announcer says that they
// want no connections, and without those it says are down or that come and go while there are others. It says nothing before the first
// endpoint is known.
func (n *Node) Source(service string) discovery.Source { return source{n, service} }

type source struct {
	node    *Node
	service string
}

func (s source) Run(ctx context.Context, sink discovery.Sink) error {
	var before []balancer.Endpoint
	s.node.Watch(ctx, s.service, func(endpoints []Endpoint) {
		next := Usable(endpoints)
		if slices.Equal(next, before) {
			return
		}
		before = next
		sink.Update(next)
	})
	return nil
}

// Failed says that the data path cannot use an endpoint. One that gossip suspects is gone then, as long as others
// are present; one that is present stays, because it is for the pool's own health to judge.
func (n *Node) Failed(service, addr string) {
	n.testify(service, addr, func(s *sighting) { s.failed, s.worked = true, time.Time{} })
}

// Works says that the data path can use an endpoint: if gossip suspects it, it stays for another [Options].SuspectLimit.
func (n *Node) Works(service, addr string) {
	n.testify(service, addr, func(s *sighting) { s.failed, s.worked = false, time.Now() })
}

func (n *Node) testify(service, addr string, set func(*sighting)) {
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		return // not one of ours: those are all of this form
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.views[service]
	if v == nil {
		return
	}
	if s := v.seen[parsed]; s != nil && s.in && s.last.State == Suspected {
		set(s)
		n.catalog.dirty[service] = true
		n.stir(time.Now(), 0)
	}
}

// watchers tells those who wait for a name to change.
type watchers struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]bool
}

// add returns a channel that gets an element, at most one at a time, after changes. Stop ends that.
func (w *watchers) add(name string) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == nil {
		w.waiting = make(map[string]map[chan struct{}]bool)
	}
	if w.waiting[name] == nil {
		w.waiting[name] = make(map[chan struct{}]bool)
	}
	w.waiting[name][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting[name], c)
		if len(w.waiting[name]) == 0 {
			delete(w.waiting, name)
		}
	}
}

func (w *watchers) any(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting[name]) > 0
}

func (w *watchers) tell(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.waiting[name] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
