package balancer

import "time"

// longestDoubt is how long an endpoint that failed is picked only where there is no other, unless it works meanwhile. Then one
// connection tries it. It is much shorter than an ejection, and takes one failure instead of MaxFails: what it is for is the
// moment in which several endpoints have died and none is ejected yet. They have no connections left, so that least_conn would
// send every client from one of them to the next.
const longestDoubt = time.Second

// doubtFor is shorter where MaxFails failures, one after each doubt, would not fall into one FailTimeout: a doubt is not to keep
// a dead endpoint from its ejection.
func (s *snapshot) doubtFor() time.Duration {
	return min(longestDoubt, s.FailTimeout/time.Duration(s.MaxFails+1))
}

// refusing marks in node.doubt that the endpoint took the connection and would not serve it. That it takes one more proves
// nothing then.
const refusing = 1

// suspect begins a doubt, or prolongs it. An ejected node needs none. Nobody doubts where passive health is off.
func (n *node) suspect(o Outcome) {
	s := n.pool.current.Load()
	if s.MaxFails == 0 || n.retryAt.Load() != 0 || !n.present.Load() {
		return
	}
	until := int64(n.pool.now()+s.doubtFor()) &^ refusing
	if o != ConnectFailed {
		until |= refusing
	}
	n.doubt.Store(until)
}

// trust ends the doubt: of a node that was connected to, or of one that served.
func (n *node) trust(served bool) {
	if d := n.doubt.Load(); d != 0 && (served || d&refusing == 0) {
		n.doubt.CompareAndSwap(d, 0)
	}
}

// trusted reports whether nothing speaks against the node, or this query may try it. One that has just failed elsewhere may
// not: it would use up its tries on endpoints that are all due.
func (q *query) trusted(n *node) bool {
	d := n.doubt.Load()
	return d == 0 || q.trusting || len(q.Avoid) == 0 && time.Duration(d) <= q.now()
}

// dare claims the one connection that tries a doubted node. It fails when another pick has it.
func (q *query) dare(n *node) bool {
	d := n.doubt.Load()
	if d == 0 || q.trusting {
		return true
	}
	next := int64(q.now()+q.snapshot.doubtFor())&^refusing | d&refusing
	return q.trusted(n) && n.doubt.CompareAndSwap(d, next)
}
