package balancer

// snapshot is a pool at one moment. It is immutable; only the nodes it points to change.
type snapshot struct {
	Options
	members []member // in the order of Update
	public  []Member // the same for others
	tiers   []tier   // those without a candidate left out; primary before backup
	alone   bool     // the pool has one endpoint
}

// member is a node with what may differ from one snapshot to the next.
type member struct {
	Endpoint
	node     *node
	draining bool
	drained  string // why, when draining
}

// tier is a set of candidates that is asked only when those before it have nobody.
type tier struct {
	candidates []candidate
	picker     picker
}

// newSnapshot takes anew what is drained. p.mu is held, or p not yet shared.
func newSnapshot(p *Pool, o Options, members []member) *snapshot {
	s := &snapshot{Options: o, members: make([]member, len(members)), public: make([]Member, len(members)), alone: len(members) == 1}
	var primary, backup []candidate
	for i, m := range members {
		m.drained, m.draining = p.drains[m.Addr]
		s.members[i], s.public[i] = m, Member{m.node.id, m.Addr}
		c := candidate{node: m.node, weight: m.Weight}
		switch {
		case m.draining:
		case m.Backup:
			backup = append(backup, c)
		default:
			primary = append(primary, c)
		}
	}
	for i, candidates := range [][]candidate{primary, backup} {
		if len(candidates) > 0 {
			s.tiers = append(s.tiers, tier{candidates, newPicker(o.Policy, candidates, &p.turns[i])})
		}
	}
	return s
}

// pick reserves a connection on a node, or returns nil.
func (s *snapshot) pick(q query) *node {
	q.snapshot = s
	for _, trusting := range [...]bool{false, true} {
		q.trusting, q.unpaced = trusting, false
		if n := s.byPolicy(q); n != nil {
			return n
		}
		q.unpaced = true
		if !s.SlowStart.on() {
			continue
		}
		if n := s.byPolicy(q); n != nil {
			return n
		}
	}
	if !s.allOut() {
		return nil
	}
	q.lastResort = true
	if s.Policy == Hash && q.Key != 0 {
		return s.byPolicy(q)
	}
	for _, t := range s.tiers {
		if n := q.takeAny(t.candidates); n != nil { // what does not work has fewest connections: no case for a policy
			return n
		}
	}
	return nil
}

// byPolicy asks one tier after the other. A backup is no refuge from a moment's doubt: only who has failed already goes on to it
// for that.
func (s *snapshot) byPolicy(q query) *node {
	for i, t := range s.tiers {
		if n := t.picker.pick(q); n != nil {
			return n
		}
		if i+1 == len(s.tiers) || len(q.Avoid) > 0 || q.trusting {
			continue
		}
		all := q
		all.trusting = true
		if n := t.picker.pick(all); n != nil {
			return n
		}
	}
	return nil
}

// allOut reports whether health keeps every endpoint from use that is not drained by hand.
func (s *snapshot) allOut() bool {
	for _, t := range s.tiers {
		for _, c := range t.candidates {
			if !c.node.out() {
				return false
			}
		}
	}
	return true
}
