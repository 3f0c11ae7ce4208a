package balancer

import (
	"cmp"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Key stands for what [Hash] keeps together: a client id, a user name, an address. 0 means none.
type Key uint64

// KeyOf is the same in every process and version, and 0 only for the empty string. It is no secret: clients that choose
// their own ids can all choose one endpoint, and it is BalanceFactor that bounds what this does.
func KeyOf(s string) Key {
	if s == "" {
		return 0
	}
	return max(Key(xxhash.Sum64String(s)), 1)
}

// KeyOfBytes is KeyOf of the same bytes as a string.
func KeyOfBytes(b []byte) Key {
	if len(b) == 0 {
		return 0
	}
	return max(Key(xxhash.Sum64(b)), 1)
}

// rendezvous is highest random weight hashing (Thaler and Ravishankar 1998) in its logarithmic form for weights
// (Schindelhauer and Schomaker 2005): for a key every candidate draws u in (0,1) by a hash of both, and the lowest
// -ln(u)/weight wins. So each candidate wins its weight's share of the keys, and the order of all candidates is the
// same wherever they are known, whatever else is known.
type rendezvous struct {
	nodes   []*node  // by weight and address
	seeds   []uint64 // of the nodes, apart from them because they are all that most of a pick reads
	groups  []group
	keyless *randomTwo
}

// group is the candidates of one weight: among them the highest hash wins, so only one of them needs a logarithm.
type group struct {
	weight     float64
	start, end int
}

func newRendezvous(candidates []candidate) *rendezvous {
	sorted := slices.Clone(candidates)
	slices.SortFunc(sorted, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.weight, b.weight), cmp.Compare(a.node.addr, b.node.addr))
	})
	r := &rendezvous{keyless: newRandomTwo(candidates)}
	for i, c := range sorted {
		r.nodes = append(r.nodes, c.node)
		r.seeds = append(r.seeds, c.node.seed)
		if i == 0 || c.weight != sorted[i-1].weight {
			r.groups = append(r.groups, group{weight: float64(c.weight), start: i})
		}
		r.groups[len(r.groups)-1].end = i + 1
	}
	return r
}

func (r *rendezvous) pick(q query) *node {
	if q.Key == 0 {
		return r.keyless.pick(q)
	}
	for {
		n := r.first(&q, true)
		if n == nil {
			n = r.first(&q, false)
		}
		if n == nil || q.take(n) {
			return n
		}
	}
}

// first returns the first candidate in the key's order that is available and, if bounded, not hot. Only those that
// would win are asked whether they are.
func (r *rendezvous) first(q *query, bounded bool) *node {
	var best *node
	var lowest, share float64
	for _, g := range r.groups {
		var winner *node
		var highest uint64
		for i := g.start; i < g.end; i++ {
			h := mix(uint64(q.Key) ^ r.seeds[i])
			if h < highest {
				continue
			}
			n := r.nodes[i]
			active := n.active.Load()
			if q.available(n, active) && !(bounded && r.hot(q, &share, g.weight, active+1)) {
				winner, highest = n, h
			}
		}
		if winner == nil {
			continue
		}
		if score := -math.Log(unit(highest)) / g.weight; best == nil || score < lowest {
			best, lowest = winner, score
		}
	}
	return best
}

// deviations is how far above its fair share chance alone may take an endpoint, in standard deviations: 4 is 1 in
// 30,000. With a share of n connections one deviation is √n, so a margin of (factor-1)·n holds 4 of them from
// n = (4/(factor-1))² on; the same number of connections is the margin of all smaller shares. For a factor of 1.25 it is
// 64, from a share of 256 down.
const deviations = 4

// hot reports whether a candidate would have more connections than BalanceFactor allows. share is what one unit of
// weight ought to carry, computed when first needed.
func (r *rendezvous) hot(q *query, share *float64, weight float64, connections int64) bool {
	excess := q.snapshot.BalanceFactor - 1
	margin := deviations * deviations / excess
	if float64(connections) <= margin {
		return false
	}
	if *share == 0 {
		*share = r.fairShare(q)
	}
	fair := *share * weight
	return float64(connections) > fair+max(margin, fair*excess)
}

// fairShare spreads the connections of the candidates that take any over their weights. Others would distort it: what
// an endpoint cannot take the others must carry. So would one in its slow start: it has room, but for its own keys.
func (r *rendezvous) fairShare(q *query) float64 {
	connections, weights := int64(1), 0.0
	for _, g := range r.groups {
		for _, n := range r.nodes[g.start:g.end] {
			active := n.active.Load()
			if !n.full(active) && (n.settled() || q.healthy(n) && !q.slow(n)) {
				connections += active
				weights += g.weight
			}
		}
	}
	if weights == 0 {
		return math.Inf(1)
	}
	return float64(connections) / weights
}

// mix is the finalizer of SplitMix64 (Stafford's variant 13): every bit of x changes half of the bits of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// unit maps a hash into (0,1), neither end included.
func unit(h uint64) float64 {
	return (float64(h>>11) + 0.5) / (1 << 53)
}
