package balancer

import "time"

// doubtTime is how long an endpoint that failed is not picked for a retry while there is another, unless it works meanwhile. It takes
// one failure instead of MaxFails: what it is for is the moment in which several endpoints have died and none is ejected
// yet. They have no connections left, so that least_conn would send every client from one of them to the next.
const doubtTime = time.Second

// refusing marks in node.doubt that the endpoint took the connection and would not serve it. That it takes one more proves
// nothing then.
const refusing = 1

// suspect begins a doubt, or prolongs it. An ejected node needs none. Nobody doubts where passive health is off.
func (n *node) suspect(o Outcome) {
	s := n.pool.current.Load()
	if s.MaxFails == 0 || n.retryAt.Load() != 0 || !n.present.Load() {
		return
	}
	until := int64(n.pool.now()+doubtTime) &^ refusing
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

// trusted reports whether nothing speaks against the node, as far as this query minds. A first attempt does not: it may find
// out that the node works, or be the failure that ejects it, and has other tries left.
func (q *query) trusted(n *node) bool {
	d := n.doubt.Load()
	return d == 0 || q.trusting || len(q.Avoid) == 0 || time.Duration(d) <= q.now()
}
