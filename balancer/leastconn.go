package balancer

import (
	"math/rand/v2"
	"sync/atomic"
)

// leastConn takes the candidate whose (connections + 1) / weight is lowest.
type leastConn struct {
	candidates []candidate
	turns      *atomic.Uint64
}

func (l *leastConn) pick(q query) *node {
	first := l.candidates[l.turns.Add(1)%uint64(len(l.candidates))]
	for {
		n, active := l.lowest(&q, first)
		if n == nil {
			return nil
		}
		// Only if nobody else changed the count meanwhile: so picks at the same time see each other and spread.
		if n.active.CompareAndSwap(active, active+1) && q.keep(n) {
			return n
		}
	}
}

// lowest returns the candidate to take and the number of connections it was judged by. Among equals first wins, which
// makes them take turns; where first is not among them chance decides, so that an unavailable candidate's turns do not
// all fall to its neighbour.
func (l *leastConn) lowest(q *query, first candidate) (*node, int64) {
	var best candidate
	var bestActive int64
	if active := first.node.active.Load(); q.available(first.node, active) {
		best, bestActive = first, active
	}
	equals := uint32(1)
	for _, c := range l.candidates {
		active := c.node.active.Load()
		if c.node == first.node || !q.available(c.node, active) {
			continue
		}
		load, lowest := uint64(active+1)*uint64(best.weight), uint64(bestActive+1)*uint64(c.weight)
		switch {
		case best.node == nil || load < lowest:
			best, bestActive, equals = c, active, 1
		case load == lowest && best.node != first.node:
			equals++
			if rand.Uint32N(equals) == 0 {
				best, bestActive = c, active
			}
		}
	}
	return best.node, bestActive
}
