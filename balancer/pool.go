package balancer

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Pool is the endpoints of one upstream. All methods may be called at once from any goroutine.
type Pool struct {
	name    string
	started time.Time // origin of all times within the pool
	current atomic.Pointer[snapshot]

	// How far each tier's rotation has come. Here rather than in the pickers, so that frequent updates do not start
	// every rotation at the first endpoint again.
	turns [2]atomic.Uint64

	checked  atomic.Bool   // Check is at work
	updated  chan struct{} // holds an element when endpoints came or went since Check last looked
	ejecting sync.Mutex    // so that MaxEjected holds for endpoints that fail at the same time; taken before node.mu

	mu     sync.Mutex // serializes the building of snapshots
	known  map[string]*node
	drains map[string]string // what is drained by hand, known or not, and the reason to show
	lastID NodeID
	began  time.Duration // when it got its first endpoints; 0 before
}

// PickInfo is what a policy may take into account for one connection. The zero value asks for any endpoint.
type PickInfo struct {
	Key   Key      // what Hash goes by; 0 means none
	Avoid []NodeID // endpoints already tried for this connection, never picked again; read only during Pick
	// Unfit are endpoints that the caller knows cannot take this connection, for reasons the pool does not see. They are
	// never picked either, but nothing was tried with them: this is no retry.
	Unfit []NodeID
}

// NodeID tells the endpoints of one pool apart. It is never 0, and not used again for another endpoint.
type NodeID uint64

// Member is an endpoint of the pool, for callers that keep something of their own for each.
type Member struct {
	ID   NodeID
	Addr string
}

// New returns an empty pool. The name is that of the upstream.
func New(name string, o Options) *Pool {
	p := &Pool{name: name, started: time.Now(), known: make(map[string]*node), updated: make(chan struct{}, 1)}
	for i := range p.turns {
		p.turns[i].Store(uint64(rand.Uint32())) // edges started together should not all begin with the same endpoint
	}
	p.current.Store(newSnapshot(p, o.withDefaults(), nil))
	return p
}

// Pick chooses an endpoint and reserves one connection to it: the caller owes one [Lease.Done]. The error is
// ErrNoEndpoint.
func (p *Pool) Pick(info PickInfo) (Lease, error) {
	n := p.current.Load().pick(query{PickInfo: info, pool: p})
	if n == nil {
		return Lease{}, ErrNoEndpoint
	}
	n.connects.Add(1)
	if len(info.Avoid) > 0 {
		n.retries.Add(1)
	}
	l := Lease{node: n, doubted: n.doubt.Load() != 0}
	if n.retryAt.Load() != 0 {
		l.ejection = n.ejections.Load()
	}
	return l, nil
}

// Take reserves a connection to one endpoint that the caller chose, whatever health and slow start say of it: for callers that
// keep connections of their own and report how they fare. The caller owes one [Lease.Done]. The error is ErrNoEndpoint when
// the endpoint has departed, is drained by hand, or is at its MaxConnections.
func (p *Pool) Take(id NodeID) (Lease, error) {
	for _, m := range p.current.Load().members {
		if m.node.id != id {
			continue
		}
		if m.draining || !m.node.acquire() {
			break
		}
		m.node.connects.Add(1)
		l := Lease{node: m.node, doubted: m.node.doubt.Load() != 0}
		if m.node.retryAt.Load() != 0 {
			l.ejection = m.node.ejections.Load()
		}
		return l, nil
	}
	return Lease{}, ErrNoEndpoint
}

// Members are the endpoints, in the order of Update. The slice is not to be changed; as long as the same one is returned,
// nothing has come or gone.
func (p *Pool) Members() []Member {
	return p.current.Load().public
}

// Ready reports whether the pool knows any endpoint.
func (p *Pool) Ready() bool {
	return len(p.current.Load().members) > 0
}

// Update replaces the set of endpoints. Connections, counters and health of an endpoint with the same Addr survive;
// of several with one Addr the first counts. A departed endpoint leaves Status and the metrics at once; leases on it stay
// valid, and it is remembered while it has connections (so that MaxConnections holds when it returns) or is drained by
// hand.
//
// An endpoint that appears starts slowly, but not at the beginning: until SlowStart.For after the pool got its first
// endpoints nobody is warm yet, and to spare those that discovery finds last would be to load those it found first.
func (p *Pool) Update(endpoints []Endpoint) {
	p.mu.Lock()
	if p.began == 0 && len(endpoints) > 0 {
		p.began = max(p.now(), 1)
	}
	beginning := p.now()-p.began < p.current.Load().SlowStart.For
	members := make([]member, 0, len(endpoints))
	present := make(map[string]bool, len(endpoints))
	for _, e := range endpoints {
		if present[e.Addr] {
			continue
		}
		present[e.Addr] = true
		e.Weight = max(e.Weight, 1)
		n := p.known[e.Addr]
		if n == nil {
			p.lastID++
			n = &node{id: p.lastID, addr: e.Addr, seed: xxhash.Sum64String(e.Addr), pool: p}
			p.known[e.Addr] = n
		}
		if !n.present.Load() && !beginning {
			n.startSlowly()
		}
		n.limit.Store(int64(max(e.MaxConnections, 0)))
		members = append(members, member{node: n, Endpoint: e})
	}
	for addr, n := range p.known {
		if present[addr] {
			n.present.Store(true)
			continue
		}
		n.present.Store(false)
		n.forget()
		if _, drained := p.drains[addr]; n.active.Load() == 0 && !drained {
			delete(p.known, addr)
		}
	}
	changes := p.publish(p.current.Load().Options, members)
	p.mu.Unlock()
	select {
	case p.updated <- struct{}{}:
	default:
	}
	p.tell(changes)
}

// Configure replaces the options. Endpoints, their connections, counters and health survive, except that an ejected
// endpoint comes back when passive health is turned off.
func (p *Pool) Configure(o Options) {
	p.mu.Lock()
	changes := p.publish(o.withDefaults(), p.current.Load().members)
	p.mu.Unlock()
	p.tell(changes)
}

// SetDraining stops (or allows again) new connections to an endpoint; existing ones stay. It holds until undone, also
// when the endpoint leaves and returns. The error wraps ErrUnknownEndpoint.
func (p *Pool) SetDraining(addr string, on bool) error {
	p.mu.Lock()
	n := p.known[addr]
	if _, drained := p.drains[addr]; !drained && (n == nil || !n.present.Load()) {
		p.mu.Unlock()
		return fmt.Errorf("upstream %q has no endpoint %q: %w; `mqedge status` lists them", p.name, addr, ErrUnknownEndpoint)
	}
	drains := maps.Clone(p.drains)
	if drains == nil {
		drains = make(map[string]string)
	}
	delete(drains, addr)
	if on {
		drains[addr] = byHand
	}
	changes := p.drain(drains)
	p.mu.Unlock()
	p.tell(changes)
	return nil
}

const byHand = "drained by hand"

// SetDrains is SetDraining for all endpoints at once: those of drains get no new connections, and all others may. It also holds for
// addresses that are no endpoints yet. The values are the reasons that Status shows.
func (p *Pool) SetDrains(drains map[string]string) {
	p.mu.Lock()
	if maps.Equal(drains, p.drains) {
		p.mu.Unlock()
		return
	}
	changes := p.drain(maps.Clone(drains))
	p.mu.Unlock()
	p.tell(changes)
}

// drain puts drains in force. p.mu is held.
func (p *Pool) drain(drains map[string]string) []Change {
	before := p.drains
	p.drains = drains
	for addr := range before {
		if _, still := drains[addr]; still {
			continue
		}
		if n := p.known[addr]; n != nil {
			n.startSlowly()
		}
	}
	s := p.current.Load()
	return p.publish(s.Options, s.members)
}

// Connections is the number of connections to the endpoint at addr, reserved ones included; 0 for one that is unknown.
func (p *Pool) Connections(addr string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.known[addr]; n != nil {
		return n.active.Load()
	}
	return 0
}

// publish makes a new snapshot the current one and returns what that changed for ejected endpoints. p.mu is held.
func (p *Pool) publish(o Options, members []member) []Change {
	s := newSnapshot(p, o, members)
	p.current.Store(s)

	var reason string
	switch {
	case o.MaxFails == 0:
		reason = "passive health was turned off"
	case s.alone:
		reason = "it is the only endpoint left"
	default:
		return nil
	}
	var changes []Change
	for _, m := range s.members {
		if m.node.reinstate() && !m.node.out() {
			changes = append(changes, Change{p.name, m.Addr, true, reason})
		}
	}
	return changes
}

// tell calls OnChange. No lock may be held.
func (p *Pool) tell(changes []Change) {
	onChange := p.current.Load().OnChange
	if onChange == nil {
		return
	}
	for _, c := range changes {
		onChange(c)
	}
}

// now is the time since the pool was made: monotonic, and small enough for an atomic.
func (p *Pool) now() time.Duration {
	return time.Since(p.started)
}
