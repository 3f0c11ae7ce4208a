package ports

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

var (
	// ErrNone is the error when no source address has a port left for an endpoint.
	ErrNone = errors.New("no source address has a port left for this endpoint")
	// ErrFamily is the error for an IPv6 endpoint when all sources are IPv4, and the
	// other way round.
	ErrFamily = errors.New("no source address is of this endpoint's family")
)

// failedPause is how long a pair is spared after the kernel found no port for it.
// It looks at every port of the range before it says so, some 30,000.
const failedPause = time.Second

// Set are the source addresses of an upstream and what is in use of them. All its
// methods, and those of each [Use], may be called at once.
type Set struct {
	mu        sync.Mutex
	sources   []netip.Addr
	ports     int // that each pair has
	endpoints map[netip.AddrPort]*endpoint
}

type endpoint struct {
	pairs []*pair // the sources that are configured, in that order; then those that are not, while they are in use
	taken bool    // since the last sweep
}

// pair is a source and an endpoint.
type pair struct {
	set         *Set
	source      netip.Addr
	used        int
	configured  bool
	failed      error // of the latest that the kernel had no port for
	failedUntil time.Time
}

// New returns a set without addresses.
func New() *Set { return &Set{endpoints: make(map[netip.AddrPort]*endpoint)} }

// Configure makes these the sources from now on, each with so many ports for
// each endpoint. What is in use stays counted.
func (s *Set) Configure(sources []netip.Addr, ports int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sources, s.ports = slices.Clone(sources), ports
	for _, e := range s.endpoints {
		s.arrange(e)
	}
}

// arrange gives e the pairs that it is to have.
func (s *Set) arrange(e *endpoint) {
	old := e.pairs
	e.pairs = make([]*pair, 0, len(s.sources))
	for _, source := range s.sources {
		p := &pair{set: s, source: source}
		if i := slices.IndexFunc(old, func(p *pair) bool { return p.source == source }); i >= 0 {
			p = old[i]
		}
		p.configured = true
		e.pairs = append(e.pairs, p)
	}
	for _, p := range old {
		if !slices.Contains(e.pairs, p) && p.used > 0 {
			p.configured = false
			e.pairs = append(e.pairs, p)
		}
	}
}

// Use is one port of a source, held for a connection. The zero Use holds none.
// Call Release on one copy only.
type Use struct{ pair *pair }

// Take holds a port for a connection to an endpoint: of the source of its family
// that has fewest connections to it, among those that have ports left. Of a set
// without sources it is the zero Use: the kernel chooses. Its error is ErrFamily,
// or ErrNone with the kernel's latest word if it spoke.
func (s *Set) Take(to netip.AddrPort, now time.Time) (Use, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sources) == 0 {
		return Use{}, nil
	}
	e := s.endpoints[to]
	if e == nil {
		s.sweep()
		e = new(endpoint)
		s.arrange(e)
		s.endpoints[to] = e
	}
	e.taken = true
	var least *pair
	var failed error
	fits := false
	for _, p := range e.pairs {
		if !p.configured || p.source.Is4() != to.Addr().Is4() {
			continue
		}
		fits = true
		switch {
		case now.Before(p.failedUntil):
			failed = p.failed
		case p.used < s.ports && (least == nil || p.used < least.used):
			least = p
		}
	}
	switch {
	case least != nil:
		least.used++
		return Use{least}, nil
	case !fits:
		return Use{}, ErrFamily
	case failed != nil:
		return Use{}, fmt.Errorf("%w: %w", ErrNone, failed)
	}
	return Use{}, ErrNone
}

// Source is the address to bind to; of the zero Use it is the zero Addr.
func (u *Use) Source() netip.Addr {
	if u.pair == nil {
		return netip.Addr{}
	}
	return u.pair.source
}

// Release gives the port back, when the connection is closed. Repeating it on the
// same variable does nothing.
func (u *Use) Release() {
	if u.pair == nil {
		return
	}
	s := u.pair.set
	s.mu.Lock()
	u.pair.used--
	s.mu.Unlock()
	u.pair = nil
}

// Failed is Release of a use for which the kernel had no port or no address, with
// what it said. The pair is not picked again for a second.
func (u *Use) Failed(err error, now time.Time) {
	if u.pair == nil {
		return
	}
	s := u.pair.set
	s.mu.Lock()
	u.pair.failed, u.pair.failedUntil = err, now.Add(failedPause)
	s.mu.Unlock()
	u.Release()
}

// Pair is a source and an endpoint at one moment.
type Pair struct {
	Source   netip.Addr
	Endpoint netip.AddrPort
	Used     int // ports held
}

// Pairs returns those in use, and those of endpoints that were dialled since the
// last but one call.
func (s *Set) Pairs() []Pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep()
	var out []Pair
	for to, e := range s.endpoints {
		for _, p := range e.pairs {
			if p.configured && p.source.Is4() == to.Addr().Is4() || p.used > 0 {
				out = append(out, Pair{p.source, to, p.used})
			}
		}
	}
	slices.SortFunc(out, func(a, b Pair) int {
		return cmp.Or(a.Endpoint.Compare(b.Endpoint), a.Source.Compare(b.Source))
	})
	return out
}

// sweep drops endpoints that nobody is connected to, or has asked for since the
// last time: names lead to other addresses in time. It is held before one is
// added, so that their number is bounded.
func (s *Set) sweep() {
	for to, e := range s.endpoints {
		if !e.taken && !slices.ContainsFunc(e.pairs, func(p *pair) bool { return p.used > 0 }) {
			delete(s.endpoints, to)
		}
		e.taken = false
	}
}

// Ports is how many ports each source has for each endpoint; 0 when there is no
// source.
func (s *Set) Ports() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sources) == 0 {
		return 0
	}
	return s.ports
}
