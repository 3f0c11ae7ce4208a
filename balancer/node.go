package balancer

import (
	"sync"
	"sync/atomic"
	"time"
)

// node is what lives as long as an endpoint: through updates, and until the last lease on it is done. Pick reads only
// atomics.
type node struct {
	active  atomic.Int64 // connections, reserved ones included
	limit   atomic.Int64 // the most active may become; 0 means no limit
	retryAt atomic.Int64 // 0 while healthy; else the pool time from which one connection may try again

	connects  atomic.Uint64
	failures  atomic.Uint64
	retries   atomic.Uint64
	ejections atomic.Uint32 // numbers the ejections, so that a lease can tell which one it ended
	present   atomic.Bool   // false once departed
	connect   atomic.Int64  // how long the latest connect took

	id   NodeID
	addr string
	pool *Pool

	drained bool // by hand; guarded by pool.mu

	mu     sync.Mutex      // guards the fields below and every change of retryAt but the claiming of a probe
	recent []time.Duration // when it failed: at most MaxFails times; of an ejected node, the times that ejected it
	cause  string          // of the latest failure
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
