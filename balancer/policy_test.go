package balancer_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/balancer"
)

func TestRoundRobinIsExactOverACycle(t *testing.T) {
	for _, tc := range []struct {
		name    string
		weights []uint32
		picks   int
		want    map[string]int
	}{
		{"equal weights", []uint32{1, 1, 1}, 30, map[string]int{"A": 10, "B": 10, "C": 10}},
		{"no weights mean equal weights", []uint32{0, 0, 0}, 30, map[string]int{"A": 10, "B": 10, "C": 10}},
		{"five to one to one", []uint32{5, 1, 1}, 70, map[string]int{"A": 50, "B": 10, "C": 10}},
		{"a common divisor does not matter", []uint32{50, 10, 10}, 70, map[string]int{"A": 50, "B": 10, "C": 10}},
		{"one alone", []uint32{7}, 5, map[string]int{"A": 5}},
		{"hundred to one", []uint32{100, 1}, 101, map[string]int{"A": 100, "B": 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPool(balancer.Options{Policy: balancer.RoundRobin}, endpoints(tc.weights...))
			if got := serve(t, p, tc.picks); !maps.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestRoundRobinSpreadsAHeavyEndpointOverTheCycle(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.RoundRobin}, endpoints(3, 1, 1, 1))
	var order strings.Builder
	for range 24 {
		l := pick(t, p)
		order.WriteString(l.Addr())
		l.Done(balancer.Served)
	}
	if strings.Contains(order.String(), "AAA") {
		t.Errorf("an endpoint with half of the weight was picked three times in a row: %s", &order)
	}
}

func TestRoundRobinRoundsHugeWeightsButForgetsNobody(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.RoundRobin}, endpoints(math.MaxUint32, math.MaxUint32-1, 1))
	got := serve(t, p, 1<<16+1)
	if got["C"] != 1 || got["A"]-got["B"] > 1 || got["B"]-got["A"] > 1 {
		t.Errorf("got %v, want A and B alike and C once", got)
	}
}

// An endpoint that left or is ejected must not double the load of whoever comes after it.
func TestTheShareOfAnUnavailableEndpointSpreadsOverAllOthers(t *testing.T) {
	for _, tc := range []struct {
		policy    balancer.Policy
		tolerance float64
	}{{balancer.RoundRobin, 0}, {balancer.LeastConn, 0.15}, {balancer.RandomTwo, 0.15}} {
		t.Run(string(tc.policy), func(t *testing.T) {
			o := balancer.Options{Policy: tc.policy, MaxFails: 1}
			p := newPool(o, endpoints(1, 1, 1, 1, 1))
			failAt(t, p, "B", 1, nil)
			mustBeEven(t, serve(t, p, 4000), []string{"A", "C", "D", "E"}, 1000, tc.tolerance)
		})
	}
}

func TestEvenWhenMostEndpointsAreFullTheOthersShareAlike(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		set := numbered(1000)
		for i := range set {
			set[i].MaxConnections = 1
		}
		p := newPool(balancer.Options{Policy: policy}, set)
		_, leases := fill(t, p, len(set))
		mustFindNone(t, p)
		free := []string{leases[3].Addr(), leases[4].Addr(), leases[500].Addr(), leases[999].Addr()}
		for _, i := range []int{3, 4, 500, 999} {
			leases[i].Done(balancer.Served)
		}
		mustBeEven(t, serve(t, p, 2000), free, 500, 0.25)
	})
}

func mustBeEven(t *testing.T, counts map[string]int, addrs []string, want int, tolerance float64) {
	t.Helper()
	if len(counts) != len(addrs) {
		t.Errorf("%d endpoints were picked, want %d", len(counts), len(addrs))
	}
	for _, addr := range addrs {
		if got := counts[addr]; math.Abs(float64(got-want)) > tolerance*float64(want) {
			t.Errorf("%s got %d, want %d ± %.0f%%", addr, got, want, tolerance*100)
		}
	}
}

func TestLeastConnFillsAnIdlePoolEvenly(t *testing.T) {
	for _, n := range []int{1, 2, 3, 15, 100} {
		p := newPool(balancer.Options{Policy: balancer.LeastConn}, numbered(n))
		for addr, got := range serveAll(t, p, 4*n) {
			if got != 4 {
				t.Errorf("of %d: %s got %d of %d short connections, want 4", n, addr, got, 4*n)
			}
		}
		counts, _ := fill(t, p, 7*n)
		for addr, got := range counts {
			if got != 7 {
				t.Errorf("of %d: %s got %d of %d lasting connections, want 7", n, addr, got, 7*n)
			}
		}
	}
}

func serveAll(t *testing.T, p *balancer.Pool, n int) map[string]int {
	t.Helper()
	counts := serve(t, p, n)
	for _, e := range p.Status().Endpoints {
		counts[e.Address] += 0
	}
	return counts
}

func TestLeastConnFollowsTheWeights(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.LeastConn}, endpoints(5, 1, 2))
	counts, _ := fill(t, p, 80)
	if want := (map[string]int{"A": 50, "B": 10, "C": 20}); !maps.Equal(counts, want) {
		t.Errorf("got %v, want %v", counts, want)
	}
}

func TestLeastConnTakesTheLeastLoaded(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.LeastConn}, numbered(10))
	_, leases := fill(t, p, 100)
	for _, l := range rand.Perm(len(leases)) {
		freed := leases[l]
		freed.Done(balancer.Served)
		if next := pick(t, p); next.Addr() != freed.Addr() {
			t.Fatalf("picked %s, want %s which has fewest connections", next.Addr(), freed.Addr())
		}
	}
}

func TestLeastConnSpreadsPicksAtTheSameTime(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.LeastConn}, numbered(10))
	pickAtOnce(p, 1000)
	for _, e := range p.Status().Endpoints {
		if e.Connections != 100 {
			t.Errorf("%s has %d connections, want 100", e.Address, e.Connections)
		}
	}
}

func TestLeastConnDoesNotSendPicksAtTheSameTimeToTheSameEndpoint(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.LeastConn}, endpoints(1, 1))
	for i := range int64(10_000) {
		pick(t, p) // the other endpoint is now the better choice, but for one pick only
		pickAtOnce(p, 3)
		for _, e := range p.Status().Endpoints {
			if e.Connections != 2*(i+1) {
				t.Fatalf("%s has %d of %d connections", e.Address, e.Connections, 4*(i+1))
			}
		}
	}
}

func TestRandomTwoFollowsTheWeights(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.RandomTwo}, endpoints(6, 3, 1, 2))
	const picks = 12_000
	counts := serve(t, p, picks)
	for addr, share := range map[string]float64{"A": 6. / 12, "B": 3. / 12, "C": 1. / 12, "D": 2. / 12} {
		if got := float64(counts[addr]) / picks; math.Abs(got-share) > 0.03 {
			t.Errorf("%s got %.3f of the connections, want %.3f", addr, got, share)
		}
	}
}

func TestRandomTwoKeepsLoadsTogether(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.RandomTwo}, numbered(100))
	counts, _ := fill(t, p, 10_000)
	loads := slices.Collect(maps.Values(counts))
	// One random draw would leave a spread of about 50; two leave log log n.
	if spread := slices.Max(loads) - slices.Min(loads); spread > 20 {
		t.Errorf("loads from %d to %d, want them within 20", slices.Min(loads), slices.Max(loads))
	}
}

func TestRandomTwoPrefersTheLessLoaded(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.RandomTwo}, endpoints(1, 1))
	_, leases := fill(t, p, 20)
	for i := range leases {
		if leases[i].Addr() == "A" {
			leases[i].Done(balancer.Served)
		}
	}
	if got := serve(t, p, 100); got["A"] < 99 {
		t.Errorf("got %v, want A, the idle one", got)
	}
}

func TestRandomTwoWeighsLoads(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.RandomTwo}, endpoints(4, 1))
	counts, _ := fill(t, p, 1000)
	if got := counts["B"]; got < 195 || got > 205 {
		t.Errorf("B with a fifth of the weight has %d of 1000 connections", got)
	}
}

func TestRetriesTakeNoTurnsOfRoundRobin(t *testing.T) {
	p := balancer.New("u", balancer.Options{Policy: balancer.RoundRobin})
	p.Update([]balancer.Endpoint{{Addr: "dead"}, {Addr: "live"}})
	first := map[string]int{}
	for range 100 {
		l, err := p.Pick(balancer.PickInfo{})
		if err != nil {
			t.Fatal(err)
		}
		first[l.Addr()]++
		if l.Addr() == "dead" {
			again, err := p.Pick(balancer.PickInfo{Avoid: []balancer.NodeID{l.ID()}})
			if err != nil || again.Addr() != "live" {
				t.Fatalf("the retry went to %q, %v", again.Addr(), err)
			}
			again.Done(balancer.Served)
		}
		l.Done(balancer.Served)
	}
	if first["dead"] != 50 {
		t.Errorf("%d of 100 connections began with the dead endpoint", first["dead"])
	}
}
