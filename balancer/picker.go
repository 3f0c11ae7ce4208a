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
	case Hash:
		return newRendezvous(candidates)
	default:
		return &leastConn{candidates, turns}
	}
}

// query is one Pick under way.
type query struct {
	PickInfo
	pool       *Pool
	snapshot   *snapshot
	unpaced    bool          // slow start is to be ignored
	trusting   bool          // doubts are to be ignored
	lastResort bool          // health is to be ignored
	at         time.Duration // the time of this query once it was needed
}

// now asks for the time at most once, and only queries that meet an ejected or a starting endpoint need it at all.
func (q *query) now() time.Duration {
	if q.at == 0 {
		q.at = q.pool.now()
	}
	return q.at
}

// available reports whether the node, with that many connections, may be picked. It reserves nothing.
func (q *query) available(n *node, active int64) bool {
	return !n.full(active) && (n.settled() || q.healthy(n) && q.trusted(n) && !q.paced(n)) &&
		!slices.Contains(q.Avoid, n.id) && !slices.Contains(q.Unfit, n.id)
}

// healthy reports whether the node passes its check and is not ejected, or due for its trial. Trials are for connections that
// have not failed yet: with several endpoints due at once a second one could be refused for want of tries.
func (q *query) healthy(n *node) bool {
	if q.lastResort {
		return true
	}
	if verdict(n.verdict.Load()) != passing {
		return false
	}
	retryAt := n.retryAt.Load()
	return retryAt == 0 || (q.trusting || len(q.Avoid) == 0) && time.Duration(retryAt) <= q.now()
}

// take reserves a connection on an available node. It fails when what made it available went to another pick.
func (q *query) take(n *node) bool {
	if !n.acquire() {
		return false
	}
	return q.keep(n)
}

// keep completes a reservation: an ejected node's trial is claimed, a starting one's pace is kept. It undoes the
// reservation on failure.
func (q *query) keep(n *node) bool {
	if q.claim(n) && q.pay(n) {
		return true
	}
	n.release()
	return false
}

func (q *query) claim(n *node) bool {
	retryAt := n.retryAt.Load()
	if retryAt == 0 || q.lastResort {
		return true
	}
	next := int64(q.now() + q.snapshot.FailTimeout)
	return time.Duration(retryAt) <= q.now() && n.retryAt.CompareAndSwap(retryAt, next)
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
