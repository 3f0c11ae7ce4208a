package gossip

import (
	"slices"
	"strings"
)

// Stats are what there is to measure. The maps are the caller's.
type Stats struct {
	Members       int               // alive, with this one
	Silent        int               // dead but not forgotten
	Announcements map[string]int    // endpoints by service, of live and of silent members, each announcer's counted
	Suspected     map[string]int    // endpoints that nobody alive announces, by services that are watched
	Facts         map[string]int    // shared, by kind
	Refused       map[string]uint64 // by reason
	BytesIn       uint64
	BytesOut      uint64
	Dropped       uint64 // answers to others that a full queue did not take
	Lacking       int    // sets that are known to exist and are being fetched
}

// Stats counts from the start of the process.
func (n *Node) Stats() Stats {
	s := Stats{Announcements: make(map[string]int), Suspected: make(map[string]int), Refused: n.refusals.snapshot()}
	s.Dropped = n.dropped.Load()
	n.listening.Lock()
	if n.transport != nil {
		s.BytesIn, s.BytesOut = n.transport.in.Load(), n.transport.out.Load()
	}
	n.listening.Unlock()

	n.mu.Lock()
	defer n.mu.Unlock()
	s.Members = n.catalog.living + 1
	s.Silent = len(n.catalog.members) - n.catalog.living
	s.Facts = n.facts.counts()
	s.Lacking = len(n.lacking)
	count := func(known *set) {
		for p := range known.offers {
			s.Announcements[p.service]++
		}
	}
	count(&n.catalog.own.set)
	for _, known := range n.catalog.sets {
		count(known)
	}
	for service, v := range n.views {
		for _, e := range v.current {
			if e.State == Suspected {
				s.Suspected[service]++
			}
		}
	}
	return s
}

// Members are the nodes of the cluster by name, this one first, and those that died within the last days.
func (n *Node) Members() []Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	members := make([]Member, 0, len(n.catalog.members)+1)
	for _, m := range n.catalog.members {
		one := *m
		if n.catalog.succeeded(m) { // which others may find out only in some seconds
			one.Alive, one.Left = false, true
		}
		one.Left = one.Left && !one.Alive
		members = append(members, one)
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	return slices.Insert(members, 0, Member{Name: n.name, Addr: n.catalog.ownAddr, Alive: true, Since: n.started})
}
