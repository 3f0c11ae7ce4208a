package balancer

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"
)

// picker is a policy over a fixed set of candidates. pick reserves a connection on the node it returns, and returns nil
// only if no candidate is available. It takes the query by value: behind an interface a pointer would be an allocation.
type picker interface {
	pick(query) *node
}

type candidate struct {
	node   *node
	weight uint32
}

func newPicker(policy Policy, candidates []candidate, turns *atomic.Uint64) picker {
	switch policy {
	case RoundRobin:
		return newRoundRobin(candidates, turns)
	case RandomTwo:
		return newRandomTwo(candidates)
	default:
		return &leastConn{candidates, turns}
	}
}

// query is one Pick under way.
type query struct {
	PickInfo
	pool       *Pool
	snapshot   *snapshot
	ejectedToo bool
	at         time.Duration // the time of this query once it was needed
}

// now asks for the time at most once, and only queries that meet an ejected endpoint need it at all.
func (q *query) now() time.Duration {
	if q.at == 0 {
		q.at = q.pool.now()
	}
	return q.at
}

// available reports whether the node, with that many connections, may be picked. It reserves nothing.
func (q *query) available(n *node, active int64) bool {
	return !n.full(active) && q.healthy(n) && !slices.Contains(q.Avoid, n.id)
}

// healthy reports whether the node is not ejected, or due for its probe.
func (q *query) healthy(n *node) bool {
	retryAt := n.retryAt.Load()
	return retryAt == 0 || q.ejectedToo || time.Duration(retryAt) <= q.now()
}

// take reserves a connection on an available node. It fails when the place or the probe went to another pick.
func (q *query) take(n *node) bool {
	if !n.acquire() {
		return false
	}
	return q.keep(n)
}

// keep completes a reservation: for an ejected node that is to claim its probe. It undoes the reservation on failure.
func (q *query) keep(n *node) bool {
	retryAt := n.retryAt.Load()
	if retryAt == 0 || q.ejectedToo {
		return true
	}
	next := int64(q.now() + q.snapshot.FailTimeout)
	if time.Duration(retryAt) <= q.now() && n.retryAt.CompareAndSwap(retryAt, next) {
		return true
	}
	n.release()
	return false
}

// takeAny reserves a connection on a random available candidate, each as likely as its weight, in one pass over all. It
// is the policies' last word when drawing a few did not find an available one.
func (q *query) takeAny(candidates []candidate) *node {
	for {
		var chosen *node
		var total uint64
		for _, c := range candidates {
			if !q.available(c.node, c.node.active.Load()) {
				continue
			}
			total += uint64(c.weight)
			if rand.Uint64N(total) < uint64(c.weight) {
				chosen = c.node
			}
		}
		if chosen == nil || q.take(chosen) {
			return chosen
		}
	}
}
