package balancer_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/mqedge/mqedge/balancer"
)

// fleet is several edges in front of the same endpoints, and their clients. Time goes in seconds.
type fleet struct {
	random *rand.Rand
	shared bool // an edge picks by the counts of all edges, those of others as they were told a second ago
	edges  []float64
	pools  []*balancer.Pool
	names  map[string]int
	own    [][]int // by edge and endpoint
	told   [][]int
	dead   int // an endpoint, or -1
	held   []client
}

type client struct {
	edge, endpoint int
	lease          balancer.Lease
}

func newFleet(edges []float64, endpointCount int, shared bool) *fleet {
	f := &fleet{random: rand.New(rand.NewPCG(1, 2)), shared: shared, edges: edges, names: map[string]int{}, dead: -1}
	set := numbered(endpointCount)
	for i, e := range set {
		f.names[e.Addr] = i
	}
	for range edges {
		f.pools = append(f.pools, newPool(balancer.Options{Policy: balancer.LeastConn}, set))
		f.own = append(f.own, make([]int, endpointCount))
		f.told = append(f.told, make([]int, endpointCount))
	}
	return f
}

// come connects a client through an edge that its load balancer chose.
func (f *fleet) come() {
	r, edge := f.random.Float64(), 0
	for ; edge < len(f.edges)-1 && r >= f.edges[edge]; edge++ {
		r -= f.edges[edge]
	}
	c := client{edge: edge}
	if f.shared {
		c.endpoint = f.lowest(edge)
	} else {
		c.lease, _ = f.pools[edge].Pick(balancer.PickInfo{})
		c.endpoint = f.names[c.lease.Addr()]
	}
	f.own[edge][c.endpoint]++
	f.held = append(f.held, c)
}

func (f *fleet) lowest(edge int) int {
	best, fewest, equals := -1, math.MaxInt, 0
	for i := range f.own[edge] {
		if i == f.dead {
			continue
		}
		count := f.own[edge][i]
		for other := range f.edges {
			if other != edge {
				count += f.told[other][i]
			}
		}
		switch {
		case count < fewest:
			best, fewest, equals = i, count, 1
		case count == fewest:
			if equals++; f.random.IntN(equals) == 0 {
				best = i
			}
		}
	}
	return best
}

func (f *fleet) leave(i int) {
	c := f.held[i]
	f.own[c.edge][c.endpoint]--
	c.lease.Done(balancer.Served)
	f.held[i] = f.held[len(f.held)-1]
	f.held = f.held[:len(f.held)-1]
}

// second lets clients come, and as many at random leave, after which edges tell each other.
func (f *fleet) second(come, leave int) {
	for range come {
		f.come()
	}
	for range leave {
		f.leave(f.random.IntN(len(f.held)))
	}
	for i, own := range f.own {
		copy(f.told[i], own)
	}
}

// excess is by how much the fullest endpoint exceeds its share.
func (f *fleet) excess() float64 {
	most, all, n := 0, 0, 0
	for i := range f.own[0] {
		if i == f.dead {
			continue
		}
		count := 0
		for _, own := range f.own {
			count += own[i]
		}
		most, all, n = max(most, count), all+count, n+1
	}
	return float64(most)*float64(n)/float64(all) - 1
}

// fail takes an endpoint away, and its clients come back within five seconds.
func (f *fleet) fail(endpoint int) {
	f.dead = endpoint
	name := numbered(endpoint + 1)[endpoint].Addr
	for _, p := range f.pools {
		p.SetDraining(name, true)
	}
	lost := 0
	for i := len(f.held) - 1; i >= 0; i-- {
		if f.held[i].endpoint == endpoint {
			f.leave(i)
			lost++
		}
	}
	for range 5 {
		f.second(lost/5, 0)
	}
}

// TestEveryEdgeCountingForItselfIsAsEvenAsCountingForAll is why edges do not tell each other how many connections they have: see
// docs/gossip.md.
func TestEveryEdgeCountingForItselfIsAsEvenAsCountingForAll(t *testing.T) {
	for name, edges := range map[string][]float64{
		"three edges, evenly":    {1. / 3, 1. / 3, 1. / 3},
		"three edges, 80:15:5":   {.80, .15, .05},
		"ten edges, one has 91%": {.91, .01, .01, .01, .01, .01, .01, .01, .01, .01},
	} {
		results := map[bool][3]float64{}
		for _, shared := range []bool{false, true} {
			f := newFleet(edges, 8, shared)
			for range 60 {
				f.second(200, 0)
			}
			filled := f.excess()
			for range 600 {
				f.second(100, 100)
			}
			turned := f.excess()
			f.fail(3)
			results[shared] = [3]float64{filled, turned, f.excess()}
		}
		t.Log(name, "own counts:", percent(results[false]), "counts of all:", percent(results[true]))
		for i, own := range results[false] {
			if own > results[true][i]+0.02 {
				t.Errorf("%s, step %d: own counts exceed the share by %.3f, those of all by %.3f", name, i, own, results[true][i])
			}
		}
	}
}

func percent(parts [3]float64) string {
	return fmt.Sprintf("%.1f%% when 12,000 have come, %.1f%% after 60,000 have come and gone, %.1f%% after an endpoint failed", 100*parts[0], 100*parts[1], 100*parts[2])
}
