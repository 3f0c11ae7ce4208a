package balancer

import "time"

// SlowStart spares an endpoint that has just appeared or come back: for the time For it gets at most ConnectsPerSecond,
// as long as others can take the rest. The zero value, or either part of it, turns it off.
type SlowStart struct {
	ConnectsPerSecond int
	For               time.Duration
}

// burst bounds how many connections may come at once, as the time that they take at the rate; it is at least one.
const burst = 100 * time.Millisecond

func (s SlowStart) on() bool {
	return s.ConnectsPerSecond > 0 && s.For > 0
}

// next takes a connection from the bucket, of which owed is the whole state: when the connections given so far will
// have been paid for at the rate. This is the generic cell rate algorithm (ITU-T I.371), a token bucket in one number.
func (s SlowStart) next(owed, now time.Duration) (after time.Duration, ok bool) {
	step := time.Second / time.Duration(s.ConnectsPerSecond)
	after = max(owed, now) + step
	return after, after-now <= max(burst, step)
}

// startSlowly begins a slow start, if there are any in this pool.
func (n *node) startSlowly() {
	s := n.pool.current.Load().SlowStart
	if !s.on() {
		return
	}
	n.owed.Store(0)
	n.slowUntil.Store(int64(n.pool.now() + s.For))
}

// slow reports whether the node's slow start goes on. It ends one that is over, so that later picks need no clock.
func (q *query) slow(n *node) bool {
	until := n.slowUntil.Load()
	if until == 0 || q.unpaced {
		return false
	}
	if q.snapshot.SlowStart.on() && q.now() < time.Duration(until) {
		return true
	}
	n.slowUntil.CompareAndSwap(until, 0)
	return false
}

// paced reports whether slow start has no connection left for the node now.
func (q *query) paced(n *node) bool {
	if !q.slow(n) {
		return false
	}
	_, ok := q.snapshot.SlowStart.next(time.Duration(n.owed.Load()), q.now())
	return !ok
}

// pay takes the connection from the node's slow start. It fails when none is left.
func (q *query) pay(n *node) bool {
	for q.slow(n) {
		owed := n.owed.Load()
		after, ok := q.snapshot.SlowStart.next(time.Duration(owed), q.now())
		if !ok {
			return false
		}
		if n.owed.CompareAndSwap(owed, int64(after)) {
			break
		}
	}
	return true
}
