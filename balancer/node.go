package balancer

import (
	"sync"
	"sync/atomic"
)

// node is what lives as long as an endpoint: through updates, and until the last lease on it is done. Pick reads only
// atomics.
type node struct {
	active    atomic.Int64  // connections, reserved ones included
	limit     atomic.Int64  // the most active may become; 0 means no limit
	retryAt   atomic.Int64  // 0 unless ejected; else the pool time from which one connection may try again
	slowUntil atomic.Int64  // 0 or the pool time at which the slow start ends
	owed      atomic.Int64  // what slow start has given, see SlowStart.next
	doubt     atomic.Int64  // 0 or, since a failure, the pool time until which retries go elsewhere; see refusing
	verdict   atomic.Uint32 // a verdict, check.verdict for picks to read

	connects  atomic.Uint64
	failures  atomic.Uint64
	retries   atomic.Uint64
	ejections atomic.Uint32 // numbers the ejections, so that a lease can tell which one it ended
	present   atomic.Bool   // false once departed
	connect   atomic.Int64  // how long the latest connect took
	answer    atomic.Int64  // the median of answers; 0 while too few are known

	id   NodeID
	addr string
	seed uint64 // a hash of addr
	pool *Pool

	good atomic.Int64 // the pool time at which it was last seen to work; 0 before
	bad  atomic.Int64 // and to fail

	mu sync.Mutex // guards what is below, verdict, and every change of retryAt but to an earlier or later trial
	passive
	check check
}

// settled says that neither health, nor a doubt, nor slow start has anything against the node: what most picks see, for the price of
// a glance.
func (n *node) settled() bool {
	return n.retryAt.Load()|n.slowUntil.Load()|n.doubt.Load()|int64(n.verdict.Load()) == 0
}

// up is what nothing says of the node but that it works.
func (n *node) up() bool {
	return n.retryAt.Load() == 0 && verdict(n.verdict.Load()) != failing
}

// out says whether health keeps the node from use.
func (n *node) out() bool {
	return n.retryAt.Load() != 0 || verdict(n.verdict.Load()) != passing
}

// acquire reserves a connection unless the node is full.
func (n *node) acquire() bool {
	limit := n.limit.Load()
	if limit == 0 {
		n.active.Add(1)
		return true
	}
	for {
		active := n.active.Load()
		if active >= limit {
			return false
		}
		if n.active.CompareAndSwap(active, active+1) {
			return true
		}
	}
}

func (n *node) release() {
	n.active.Add(-1)
}

// full says whether a node with that many connections is at its limit.
func (n *node) full(active int64) bool {
	limit := n.limit.Load()
	return limit != 0 && active >= limit
}
