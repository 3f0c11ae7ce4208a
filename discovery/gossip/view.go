package gossip

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

const (
	// leftShown is for how long an endpoint that was withdrawn is listed as Left.
	leftShown = time.Minute

	// An endpoint that appears for the fourth time within a minute is held back for 10 s after it last appeared, then twice as
	// long each time, until it has been quiet for flapMemory.
	flapWindow    = time.Minute
	flapsForgiven = 3
	shortestHold  = 10 * time.Second
	longestHold   = 2 * time.Minute
	flapMemory    = 5 * time.Minute
)

// State is what gossip thinks of an endpoint.
type State uint8

const (
	Present   State = iota // a live member announces it
	Suspected              // nobody who announced it is heard of; it may well work
	Left                   // withdrawn: no new connections
)

func (s State) String() string {
	switch s {
	case Present:
		return "present"
	case Suspected:
		return "suspected"
	default:
		return "left"
	}
}

// Endpoint is one endpoint of a service as all announcements together make it. Its maps are shared: do not change them.
type Endpoint struct {
	balancer.Endpoint
	State     State
	Health    Health
	Held      bool // it came and went too often, and is not used for a while
	Tags      map[string]string
	Facts     map[string]string
	Announced []string // names of the members that do, or did; sorted

	addr netip.AddrPort
}

// Suspect reports whether the data path should decide: see [Node.Failed] and [Node.Works].
func (e Endpoint) Suspect() bool { return e.State == Suspected }

func (e Endpoint) equal(o Endpoint) bool {
	return e.Endpoint == o.Endpoint && e.State == o.State && e.Health == o.Health && e.Held == o.Held &&
		maps.Equal(e.Tags, o.Tags) && maps.Equal(e.Facts, o.Facts) && slices.Equal(e.Announced, o.Announced)
}

// view is the endpoints of one service, and what has to be remembered to tell how they changed.
type view struct {
	service string
	current []Endpoint // sorted by address; never changed once made
	present bool       // one of them is
	seen    map[netip.AddrPort]*sighting
	due     time.Time // when time alone changes something; zero is never
}

// sighting is what is remembered of one address.
type sighting struct {
	last     Endpoint // as it was when it was last in the set
	in       bool
	leftAt   time.Time // when it went, if it is to be shown
	appeared []time.Time
	held     time.Time     // until then it is not used
	hold     time.Duration // how long it was held last
	failed   bool          // the data path says so
	over     bool          // it was suspected until it was clear that it is gone; only an announcement brings it back
	worked   time.Time     // the data path says so
}

func newView(service string) *view {
	return &view{service: service, seen: make(map[netip.AddrPort]*sighting)}
}

// rebuild makes current anew and reports whether it changed.
func (v *view) rebuild(c *catalog, now time.Time) bool {
	v.due = time.Time{}
	merged := merge(c, v.service)
	v.present = false
	for _, m := range merged {
		v.present = v.present || m.State == Present
	}
	var next []Endpoint
	for addr, m := range merged {
		s := v.seen[addr]
		if s == nil {
			s = &sighting{}
			v.seen[addr] = s
		}
		if m.State == Present {
			s.failed, s.over = false, false
		} else if v.present && (s.failed || !v.within(later(m.heard, s.worked), c.limit, now)) {
			s.over = true
		}
		if s.over {
			s.in = false
			continue
		}
		s.appear(now)
		m.Endpoint.Held = now.Before(s.held)
		if m.Endpoint.Held {
			v.at(s.held)
		}
		s.last, s.leftAt = m.Endpoint, time.Time{}
		next = append(next, m.Endpoint)
	}
	for addr, s := range v.seen {
		if _, still := merged[addr]; still {
			continue
		}
		if s.in {
			s.in, s.failed, s.leftAt, s.worked = false, false, now, time.Time{}
		}
		if !s.leftAt.IsZero() && v.within(s.leftAt, leftShown, now) {
			gone := s.last
			gone.State, gone.Held = Left, false
			next = append(next, gone)
		} else if len(s.appeared) == 0 || !v.within(s.appeared[len(s.appeared)-1], flapMemory, now) {
			delete(v.seen, addr)
		}
	}
	slices.SortFunc(next, func(a, b Endpoint) int { return a.addr.Compare(b.addr) })
	if slices.EqualFunc(next, v.current, Endpoint.equal) {
		return false
	}
	v.current = next
	return true
}

// within reports whether less than d has passed since t, and if so looks again when it has.
func (v *view) within(t time.Time, d time.Duration, now time.Time) bool {
	until := t.Add(d)
	if now.Before(until) {
		v.at(until)
		return true
	}
	return false
}

func (v *view) at(t time.Time) {
	if v.due.IsZero() || t.Before(v.due) {
		v.due = t
	}
}

// appear counts appearances.
func (s *sighting) appear(now time.Time) {
	if s.in {
		return
	}
	s.in = true
	if n := len(s.appeared); n > 0 && now.Sub(s.appeared[n-1]) > flapMemory {
		s.appeared, s.hold = nil, 0
	}
	s.appeared = append(s.appeared, now)
	if len(s.appeared) <= flapsForgiven {
		return
	}
	s.appeared = s.appeared[1:]
	if now.Sub(s.appeared[0]) <= flapWindow || now.Before(s.held) {
		s.hold = min(max(2*s.hold, shortestHold), longestHold)
		s.held = now.Add(s.hold)
	}
}

// mergedEndpoint is an Endpoint with when one of its announcers was last heard, if none of them is alive.
type mergedEndpoint struct {
	Endpoint
	heard time.Time
}

// merge makes one endpoint of all announcements of an address.
func merge(c *catalog, service string) map[netip.AddrPort]mergedEndpoint {
	type candidate struct {
		mergedEndpoint
		offer  offer
		origin string
	}
	best := make(map[netip.AddrPort]candidate)
	add := func(s *set, o offer, state State) {
		next := candidate{origin: s.origin, offer: o}
		next.State, next.heard = state, s.heard
		before, known := best[o.addr]
		if known && before.State < next.State { // nobody asks the dead while one lives
			return
		}
		if !known || next.State < before.State {
			next.Announced = []string{s.origin}
			best[o.addr] = next
			return
		}
		announced := append(before.Announced, s.origin)
		heard := later(before.heard, s.heard)
		if c := cmp.Or(cmp.Compare(first(next.offer.health), first(before.offer.health)),
			strings.Compare(next.origin, before.origin)); c > 0 {
			next = before
		}
		next.Announced, next.heard = announced, heard
		best[o.addr] = next
	}
	consider := func(s *set, same bool, state State) {
		for p, o := range s.offers {
			if p.service != service {
				continue
			}
			if reason := c.allow.endpoint(o.addr, same); reason != "" {
				c.refusals.addOnce(reason, o.addr.String()+" announced by "+s.origin)
				continue
			}
			add(s, o, state)
		}
	}
	if !c.own.left {
		consider(&c.own.set, true, Present)
	}
	for _, s := range c.sets {
		if s.left || c.superseded(s) {
			continue
		}
		state, same := Suspected, c.ownAddr.Addr().IsLoopback()
		if m := c.members[s.origin]; m != nil {
			same = m.Addr.Addr().IsLoopback()
			if m.Alive {
				state = Present
			}
		}
		consider(s, same, state)
	}
	merged := make(map[netip.AddrPort]mergedEndpoint, len(best))
	for addr, b := range best {
		m := b.mergedEndpoint
		m.Endpoint.Endpoint = balancer.Endpoint{Addr: addr.String(), Weight: b.offer.weight, Source: "gossip"}
		m.addr = addr
		m.Health, m.Tags, m.Facts = b.offer.health, b.offer.tags, b.offer.facts
		slices.Sort(m.Announced)
		merged[addr] = m
	}
	return merged
}

// first orders what is said of an endpoint: that it wants no connections is something it said itself, and one
// who cannot reach it may be alone in that.
func first(h Health) int {
	return [...]int{Draining: 0, Up: 1, Down: 2}[h]
}

// Usable is what a pool should have of the endpoints of a service: what [Node.Source] gives it. What is held back or down is only
// used when there is nothing better.
func Usable(endpoints []Endpoint) []balancer.Endpoint {
	var good, down, held []balancer.Endpoint
	for _, e := range endpoints {
		switch {
		case e.State == Left || e.Health == Draining:
		case e.Held:
			held = append(held, e.Endpoint)
		case e.Health == Down:
			down = append(down, e.Endpoint)
		default:
			good = append(good, e.Endpoint)
		}
	}
	for _, set := range [][]balancer.Endpoint{good, down, held} {
		if len(set) > 0 {
			return set
		}
	}
	return nil
}
