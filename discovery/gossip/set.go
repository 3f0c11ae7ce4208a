package gossip

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// set is what one node announces, as far as it is known here.
type set struct {
	origin string
	seq    uint64
	left   bool
	heard  time.Time // when the node was last known to be alive; counts only while it is not

	offers map[place]offer
}

// wire returns the set in an order that does not depend on how it came about.
func (s *set) wire(age time.Duration) wireSet {
	w := wireSet{origin: s.origin, seq: s.seq, left: s.left, age: age}
	for _, o := range s.offers {
		w.offers = append(w.offers, o)
	}
	slices.SortFunc(w.offers, func(a, b offer) int { return a.place().compare(b.place()) })
	return w
}

func (p place) compare(other place) int {
	if c := strings.Compare(p.service, other.service); c != 0 {
		return c
	}
	return p.addr.Compare(other.addr)
}

// ownSet is the set that this node announces, and how it became what it is.
type ownSet struct {
	set
	changedAt map[place]uint64 // the number at which an offer, there or gone, last changed
	forgot    bool             // changedAt does not go back to the beginning
}

// mostGone is how many withdrawn offers are remembered for deltas. Who is further behind fetches the set.
const mostGone = 1024

// become makes offers the set, and reports whether anything changed.
func (s *ownSet) become(offers map[place]offer, left bool) bool {
	var changed []place
	for p, o := range offers {
		if before, ok := s.offers[p]; !ok || !before.equal(o) {
			changed = append(changed, p)
		}
	}
	for p := range s.offers {
		if _, ok := offers[p]; !ok {
			changed = append(changed, p)
		}
	}
	if len(changed) == 0 && left == s.left && s.seq > 0 {
		return false
	}
	s.seq++
	s.left = left
	s.offers = maps.Clone(offers)
	if s.changedAt == nil {
		s.changedAt = make(map[place]uint64)
	}
	if len(s.changedAt) > len(offers)+mostGone {
		s.forgot = true
		clear(s.changedAt)
		for p := range offers {
			s.changedAt[p] = s.seq // as if it had changed now: a delta that has it cannot begin before
		}
	}
	for _, p := range changed {
		s.changedAt[p] = s.seq
	}
	return true
}

// delta is as much of the latest history as fits into a packet: the further back it begins, the more receivers that missed
// something can use it. When not even the latest change fits it only says that there is one.
func (s *ownSet) delta() []byte {
	d := delta{origin: s.origin, from: s.seq, to: s.seq, left: s.left}
	if s.left || len(s.changedAt) == 0 {
		d.from = 0
		return encodeDelta(d)
	}
	best := encodeDelta(d)
	places := slices.SortedFunc(maps.Keys(s.changedAt), func(a, b place) int {
		return cmp.Or(cmp.Compare(s.changedAt[b], s.changedAt[a]), a.compare(b)) // the latest first
	})
	size := len(best)
	for i, p := range places {
		if o, ok := s.offers[p]; ok {
			d.changed = append(d.changed, o)
			size += len(appendOffer(nil, o))
		} else {
			d.removed = append(d.removed, p)
			size += len(appendAddr(appendText(nil, p.service), p.addr))
		}
		if size > packetSize {
			break
		}
		last := i+1 == len(places)
		if !last && s.changedAt[places[i+1]] == s.changedAt[p] {
			continue // changes of one number go together
		}
		d.from = s.changedAt[p] - 1
		if last && !s.forgot {
			d.from = 0
		}
		if b := encodeDelta(d); len(b) <= packetSize {
			best = b
		}
	}
	return best
}
