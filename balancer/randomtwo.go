package balancer

import "math/rand/v2"

// randomTwo draws two candidates, each as likely as its weight, and takes the less loaded.
type randomTwo struct {
	candidates []candidate
	table      []aliasCell
}

// aliasCell is one cell of an alias table (Walker 1977, Vose 1991): as likely as any other, it stands for its own
// candidate up to the threshold and for another above it.
type aliasCell struct {
	threshold uint32
	alias     uint32
}

// maxDraws bounds the draws for two different available candidates.
const maxDraws = 16

func newRandomTwo(candidates []candidate) *randomTwo {
	return &randomTwo{candidates, newAliasTable(candidates)}
}

func (r *randomTwo) pick(q query) *node {
	var best candidate
	var bestActive int64
	for range maxDraws {
		c := r.candidates[r.draw()]
		active := c.node.active.Load()
		if c.node == best.node || !q.available(c.node, active) {
			continue
		}
		if best.node == nil {
			best, bestActive = c, active
			continue
		}
		if uint64(active)*uint64(best.weight) < uint64(bestActive)*uint64(c.weight) {
			best = c
		}
		break
	}
	if best.node != nil && q.take(best.node) {
		return best.node
	}
	return q.takeAny(r.candidates)
}

// draw spends one random number: the upper half chooses the cell, the lower half a side of its threshold.
func (r *randomTwo) draw() uint32 {
	random := rand.Uint64()
	cell := uint32(random >> 32 * uint64(len(r.table)) >> 32)
	if uint32(random) < r.table[cell].threshold {
		return cell
	}
	return r.table[cell].alias
}

func newAliasTable(candidates []candidate) []aliasCell {
	n := uint64(len(candidates))
	var sum uint64
	for _, c := range candidates {
		sum += uint64(c.weight)
	}
	// In units of 1/n of a weight every cell holds exactly sum; what a candidate has above it fills others' cells.
	left := make([]uint64, n)
	var small, large []uint32
	for i, c := range candidates {
		left[i] = uint64(c.weight) * n
		if left[i] < sum {
			small = append(small, uint32(i))
		} else {
			large = append(large, uint32(i))
		}
	}
	table := make([]aliasCell, n)
	for i := range table {
		table[i].alias = uint32(i)
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		table[s] = aliasCell{uint32(float64(left[s]) / float64(sum) * (1 << 32)), l}
		left[l] -= sum - left[s]
		if left[l] < sum {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	return table
}
