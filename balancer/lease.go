package balancer

import "time"

// Lease is the right to one connection to one endpoint. It is a small value without an owner of its own: hand it on, but
// call Done on one copy only. The zero Lease belongs to no endpoint, and reporting on it does nothing.
type Lease struct {
	node     *node
	ejection uint32 // the ejection that this connection may end; 0 if the endpoint was healthy when picked
	done     bool
	doubted  bool // the endpoint was, when picked
}

// Outcome is how a connection ended, as far as its endpoint is concerned.
type Outcome uint8

const (
	// Served: the endpoint did its part, whoever closed first.
	Served Outcome = iota
	// ConnectFailed: no connection came about (dial, TLS handshake). Counts against the endpoint.
	ConnectFailed
	// Refused: the endpoint accepted the connection but would not serve it: it closed before any byte, gave no CONNACK in
	// time, or one that speaks of its own state (0x88, 0x97; 3 in MQTT 3.1.1). Counts against the endpoint.
	Refused
	// Broken: an established connection ended in an error, or was refused for the client's sake, as by CONNACK 0x89 to one
	// that reconnects faster than EMQX can clean up. It says nothing about whether the endpoint takes new ones.
	Broken
	// late: it answers much later than the others do.
	late
)

func (o Outcome) String() string {
	switch o {
	case Served:
		return "served"
	case ConnectFailed:
		return "connect failed"
	case Refused:
		return "refused"
	case Broken:
		return "broken"
	case late:
		return "slow"
	}
	return "unknown outcome"
}

// Addr is the endpoint's address. It stays valid after Done.
func (l *Lease) Addr() string {
	if l.node == nil {
		return ""
	}
	return l.node.addr
}

// Upstream is the name of the pool that the endpoint is of. It stays valid after Done.
func (l *Lease) Upstream() string {
	if l.node == nil {
		return ""
	}
	return l.node.pool.name
}

// To reports whether the lease is one of p's on the endpoint at addr.
func (l *Lease) To(p *Pool, addr string) bool {
	return l.node != nil && l.node.pool == p && l.node.addr == addr
}

// ID is what [PickInfo].Avoid takes to keep the next pick away from this endpoint. It stays valid after Done.
func (l *Lease) ID() NodeID {
	if l.node == nil {
		return 0
	}
	return l.node.id
}

// Established reports that the endpoint took the connection, and how long that took: it is the success that brings an
// endpoint back which was ejected because it could not be reached. It is separate from Done because an MQTT connection
// lives for days, far too long to wait with the good news. Done is still owed.
func (l *Lease) Established(took time.Duration) {
	if l.node == nil {
		return
	}
	l.node.connect.Store(int64(took))
	l.node.good.Store(max(int64(l.node.pool.now()), 1))
	l.node.trust(false)
	l.node.succeed(l.ejection, false)
}

// Answered reports that the endpoint serves the connection, for MQTT by its CONNACK, and how long the answer took from
// the time it was asked. It brings back an endpoint ejected for whatever reason, so who reports Refused reports this
// too; an endpoint that is much slower than the others is ejected. Done is still owed.
func (l *Lease) Answered(took time.Duration) {
	if l.node == nil {
		return
	}
	l.node.trust(true)
	l.node.answered(max(took, 1), l.ejection)
}

// Done gives the connection's place back and reports how it ended; exactly once per Pick. Repeating it on the same
// variable does nothing; on a copy it would give back a place twice.
func (l *Lease) Done(o Outcome) {
	l.DoneError(o, nil)
}

// DoneError is Done with the error that an operator is to read as the reason in Status.
func (l *Lease) DoneError(o Outcome, err error) {
	if l.node == nil || l.done {
		return
	}
	l.done = true
	// Health first: once the place is free, the next pick should already know.
	switch o {
	case ConnectFailed, Refused:
		l.node.fail(o, err)
	case Served:
		if l.doubted { // one picked before may have been served long ago
			l.node.trust(true)
		}
		l.node.succeed(l.ejection, true)
	}
	l.node.release()
}
