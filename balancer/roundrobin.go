package balancer

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
)

// roundRobin walks a precomputed cycle in which every candidate has as many slots as its weight says.
type roundRobin struct {
	candidates []candidate
	cycle      []uint32 // indexes of candidates
	turns      *atomic.Uint64
}

const (
	// maxCycle bounds the memory of a cycle. Weights whose sum, divided by their common divisor, is larger are
	// rounded to fit: a share is then exact to about 1 in 65,536 of the whole.
	maxCycle = 1 << 16
	// maxTurns bounds the slots one pick may pass over before it looks at every candidate once.
	maxTurns = 64
)

func newRoundRobin(candidates []candidate, turns *atomic.Uint64) *roundRobin {
	return &roundRobin{candidates, newCycle(slotsOf(candidates)), turns}
}

// pick passes over unavailable candidates by taking further turns of the shared rotation. So their slots are used up
// for everybody and their share spreads over all others; going to the next candidate would double a neighbour's share.
//
// A second attempt for one connection takes no turn: with one of two endpoints dead, the turns of the retries would be
// the live one's, and nearly every connection would begin with the dead one.
func (r *roundRobin) pick(q query) *node {
	if len(q.Avoid) > 0 {
		return q.takeAny(r.candidates)
	}
	for range min(len(r.cycle), maxTurns) {
		turn := r.turns.Add(1) % uint64(len(r.cycle))
		n := r.candidates[r.cycle[turn]].node
		if q.available(n, n.active.Load()) && q.take(n) {
			return n
		}
	}
	return q.takeAny(r.candidates)
}

// newCycle spreads each candidate's slots evenly over the cycle, shifted by its place in the list so that those of
// equal weight alternate.
func newCycle(slots []uint32) []uint32 {
	type slot struct {
		at    float64
		index uint32
	}
	var all []slot
	for i, count := range slots {
		shift := (float64(i) + 0.5) / float64(len(slots))
		for k := range count {
			all = append(all, slot{(float64(k) + shift) / float64(count), uint32(i)})
		}
	}
	slices.SortStableFunc(all, func(a, b slot) int { return cmp.Compare(a.at, b.at) })
	cycle := make([]uint32, len(all))
	for i, s := range all {
		cycle[i] = s.index
	}
	return cycle
}

// slotsOf is the weights in lowest terms, rounded to about maxCycle in all, none of them 0.
func slotsOf(candidates []candidate) []uint32 {
	var divisor, sum uint64
	for _, c := range candidates {
		divisor = gcd(uint64(c.weight), divisor)
		sum += uint64(c.weight)
	}
	slots := make([]uint32, len(candidates))
	for i, c := range candidates {
		slots[i] = c.weight / uint32(divisor)
		if sum/divisor > maxCycle {
			slots[i] = max(1, uint32(math.Round(float64(c.weight)/float64(sum)*maxCycle)))
		}
	}
	return slots
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
