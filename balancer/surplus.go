package balancer

import "math"

// Surplus returns by how many connections each endpoint exceeds its fair share, the share that its weight gives it of
// all connections of the pool, if it does so by more than threshold percent; those that do not are left out. A backup
// has no share while there are others.
//
// With [Hash] keys, and not numbers, say where a connection belongs: see [Pool.Misplaced].
//
// Nobody has a surplus while an endpoint is ejected, fails its check, drains, starts slowly or is full with less than its
// share: where would it go.
func (p *Pool) Surplus(threshold int) map[string]int {
	s := p.current.Load()
	if len(s.tiers) == 0 {
		return nil
	}
	var total, weights float64
	q := query{pool: p, snapshot: s}
	for _, m := range s.members {
		if m.draining || m.node.out() || q.slow(m.node) {
			return nil
		}
		total += float64(m.node.active.Load())
	}
	for _, c := range s.tiers[0].candidates {
		weights += float64(c.weight)
	}
	surplus := make(map[string]int)
	for _, m := range s.members {
		connections := m.node.active.Load()
		active := float64(connections)
		share := 0.0
		if !m.Backup || len(s.tiers) == 1 {
			share = total * float64(m.Weight) / weights
		}
		if m.node.full(connections) && active < math.Floor(share) {
			return nil
		}
		excess := active - math.Ceil(share)
		if excess >= 1 && excess > share*float64(threshold)/100 {
			surplus[m.Addr] = int(excess)
		}
	}
	return surplus
}

// Misplaced reports whether the key's own endpoint is another than that of l, and has room for it. Without keys, and for
// policies that know none, any connection is as well placed as another, and it returns true.
func (p *Pool) Misplaced(l *Lease, key Key) bool {
	s := p.current.Load()
	if s.Policy != Hash || key == 0 || l.node == nil || len(s.tiers) == 0 {
		return true
	}
	r, ok := s.tiers[0].picker.(*rendezvous)
	if !ok {
		return true
	}
	q := query{PickInfo: PickInfo{Key: key}, pool: p, snapshot: s}
	// The first of all, since l's own endpoint, with its surplus, may be hot.
	home := r.first(&q, false)
	return home != nil && home != l.node && home == r.first(&q, true)
}
