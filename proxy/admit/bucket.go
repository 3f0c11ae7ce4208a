package admit

import "time"

// bucket holds tokens in the form of time: it is known when it will be full
// again, and a token is the time in which one comes in. That is exact at every
// rate, and nothing has to be done for a bucket that nobody uses.
type bucket struct {
	cost time.Duration // of a token
	size int           // tokens in a full bucket
	full time.Time     // when it is full again
}

// take takes a token if there is one.
func (b *bucket) take(now time.Time) bool {
	if now.Before(b.next()) {
		return false
	}
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(b.cost)
	return true
}

// next is when there is a token, or was.
func (b *bucket) next() time.Time {
	return b.full.Add(b.cost - time.Duration(b.size)*b.cost)
}

// tokens returns how many there are.
func (b *bucket) tokens(now time.Time) int {
	missing := max(b.full.Sub(now), 0)
	return b.size - int((missing+b.cost-1)/b.cost)
}

// newBucket returns one with as many tokens as fit.
func newBucket(perSecond, size, tokens int, now time.Time) bucket {
	b := bucket{cost: (time.Second + time.Duration(perSecond) - 1) / time.Duration(perSecond), size: size}
	b.full = now.Add(time.Duration(size-min(tokens, size)) * b.cost)
	return b
}
