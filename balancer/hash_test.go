package balancer_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

func TestTheKeyOfAStringIsTheSameInEveryVersion(t *testing.T) {
	for s, want := range map[string]balancer.Key{
		"":    0,
		"a":   0xd24ec4f1a98c6e5b, // published vectors of XXH64 with seed 0
		"abc": 0x44bc2cf5ad770999,
	} {
		if got := balancer.KeyOf(s); got != want {
			t.Errorf("the key of %q is %#x, want %#x", s, got, want)
		}
	}
	if a, b := strings.Repeat("x", 65_534)+"a", strings.Repeat("x", 65_534)+"b"; balancer.KeyOf(a) == balancer.KeyOf(b) {
		t.Error("long strings are not read to their end")
	}
}

// Edges of different versions must agree: a change of this table is a change that moves every client once.
func TestWhereAClientGoesIsTheSameInEveryVersion(t *testing.T) {
	set := numbered(5)
	for i := range set {
		set[i].Weight = []uint32{1, 1, 3, 2, 3}[i]
	}
	p := newPool(balancer.Options{Policy: balancer.Hash}, set)
	var got []string
	for _, id := range clients(8) {
		var order strings.Builder
		for _, addr := range tries(t, p, id, 5) {
			order.WriteString(strings.Split(addr, ":")[0][len("10.0.0."):])
		}
		got = append(got, order.String())
	}
	want := []string{"24301", "42031", "04231", "34201", "43210", "42301", "30142", "14203"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func clients(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("client-%d", i)
	}
	return ids
}

// tries are the endpoints that a client is sent to when every one of them fails, which leaves no trace.
func tries(t testing.TB, p *balancer.Pool, id string, n int) []string {
	t.Helper()
	var info = balancer.PickInfo{Key: balancer.KeyOf(id)}
	var addrs []string
	for range n {
		l, err := p.Pick(info)
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, l.Addr())
		info.Avoid = append(info.Avoid, l.ID())
		l.Done(balancer.Broken)
	}
	return addrs
}

// places is the first choice of every client.
func places(t testing.TB, p *balancer.Pool, ids []string) map[string]string {
	t.Helper()
	at := make(map[string]string, len(ids))
	for _, id := range ids {
		at[id] = tries(t, p, id, 1)[0]
	}
	return at
}

func connectAs(t testing.TB, p *balancer.Pool, id string) balancer.Lease {
	t.Helper()
	l, err := p.Pick(balancer.PickInfo{Key: balancer.KeyOf(id)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func hashPool(set []balancer.Endpoint) *balancer.Pool {
	return newPool(balancer.Options{Policy: balancer.Hash, MaxFails: 1, FailTimeout: time.Hour}, set)
}

func TestEveryEdgeTriesTheSameEndpointsInTheSameOrderHoweverTheyCame(t *testing.T) {
	set := numbered(12)
	for i := range set {
		set[i].Weight = uint32(1 + i%3)
	}
	at := hashPool(set)
	shuffled := slices.Clone(set)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	onAnotherEdge := hashPool(numbered(40))
	for i := range shuffled {
		onAnotherEdge.Update(shuffled[i:])
	}
	onAnotherEdge.Update(shuffled)
	for _, id := range clients(500) {
		if here, there := tries(t, at, id, 12), tries(t, onAnotherEdge, id, 12); !slices.Equal(here, there) {
			t.Fatalf("%s goes to %v here and to %v there", id, here, there)
		}
	}
}

func TestAnEndpointThatGoesAwayMovesOnlyItsOwnClientsAndTheyReturnWithIt(t *testing.T) {
	ids := clients(3000)
	for name, away := range map[string]struct {
		goes, returns func(*testing.T, *balancer.Pool, []balancer.Endpoint)
	}{
		"removed": {
			func(_ *testing.T, p *balancer.Pool, set []balancer.Endpoint) { p.Update(set[1:]) },
			func(_ *testing.T, p *balancer.Pool, set []balancer.Endpoint) { p.Update(set) },
		},
		"drained": {
			func(_ *testing.T, p *balancer.Pool, set []balancer.Endpoint) { _ = p.SetDraining(set[0].Addr, true) },
			func(_ *testing.T, p *balancer.Pool, set []balancer.Endpoint) { _ = p.SetDraining(set[0].Addr, false) },
		},
		"ejected": {
			func(t *testing.T, p *balancer.Pool, set []balancer.Endpoint) { failAt(t, p, set[0].Addr, 1, nil) },
			func(_ *testing.T, p *balancer.Pool, set []balancer.Endpoint) {
				p.Configure(balancer.Options{Policy: balancer.Hash})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			set := numbered(7)
			p := hashPool(set)
			before := places(t, p, ids)
			away.goes(t, p, set)
			during := places(t, p, ids)
			away.returns(t, p, set)
			if after := places(t, p, ids); !maps.Equal(before, after) {
				t.Error("not everybody is where they were before")
			}
			moved := 0
			for id, addr := range before {
				if addr != during[id] {
					moved++
				}
				if mine := addr == set[0].Addr; mine != (addr != during[id]) {
					t.Fatalf("%s was at %s and is at %s while %s is away", id, addr, during[id], set[0].Addr)
				}
			}
			mustBeNear(t, "clients moved", moved, len(ids), 1./7)
		})
	}
}

func TestANewEndpointTakesItsShareAndMovesNobodyElse(t *testing.T) {
	ids := clients(20_000)
	set := numbered(11)
	set[10].Weight = 4
	p := hashPool(set[:10])
	before := places(t, p, ids)
	p.Update(set)
	moved := 0
	for id, addr := range places(t, p, ids) {
		if addr == before[id] {
			continue
		}
		moved++
		if addr != set[10].Addr {
			t.Fatalf("%s moved from %s to %s, which was there before", id, before[id], addr)
		}
	}
	mustBeNear(t, "clients moved", moved, len(ids), 4./14)
}

// mustBeNear allows 5 standard deviations of a binomial distribution: less than one in a million.
func mustBeNear(t *testing.T, what string, got, of int, share float64) {
	t.Helper()
	want := float64(of) * share
	if deviation := math.Sqrt(want * (1 - share)); math.Abs(float64(got)-want) > 5*deviation {
		t.Errorf("%d %s, want %.0f ± %.0f", got, what, want, 5*deviation)
	}
}

func TestHashSpreadsByWeight(t *testing.T) {
	ids := clients(20_000)
	for _, weights := range [][]uint32{{1, 1, 1}, {1, 2, 5}, {1000, 1}, {3, 3, 3, 7, 7, 1, 1, 1, 1, 50}} {
		counts := make(map[string]int)
		for _, addr := range places(t, hashPool(endpoints(weights...)), ids) {
			counts[addr]++
		}
		var sum uint32
		for _, w := range weights {
			sum += w
		}
		for i, e := range endpoints(weights...) {
			mustBeNear(t, fmt.Sprintf("clients at %s of %v", e.Addr, weights), counts[e.Addr], len(ids), float64(weights[i])/float64(sum))
		}
	}
	counts := make(map[string]int)
	for _, addr := range places(t, hashPool(numbered(1000)), ids[:10_000]) {
		counts[addr]++
	}
	var chi2 float64 // of 999 degrees of freedom: mean 999, standard deviation √1998
	for _, e := range numbered(1000) {
		d := float64(counts[e.Addr] - 10)
		chi2 += d * d / 10
	}
	if math.Abs(chi2-999) > 5*math.Sqrt(1998) {
		t.Errorf("χ² of 1000 endpoints is %.0f, want 999 ± %.0f", chi2, 5*math.Sqrt(1998))
	}
}

func TestTheClientsOfAnEndpointThatIsAwaySpreadOverAllOthers(t *testing.T) {
	ids := clients(20_000)
	p := hashPool(endpoints(1, 1, 1, 1, 1))
	second := make(map[string]int)
	orphans := 0
	for _, id := range ids {
		if addrs := tries(t, p, id, 2); addrs[0] == "A" {
			orphans++
			second[addrs[1]]++
		}
	}
	for _, addr := range []string{"B", "C", "D", "E"} {
		mustBeNear(t, "of A's clients go to "+addr, second[addr], orphans, 0.25)
	}
}

func TestAHotEndpointIsPassedOverInTheSameOrder(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.Hash}, numbered(5))
	order := tries(t, p, "everybody", 5)
	for i := range 10_000 {
		connectAs(t, p, "everybody")
		mustStayInBounds(t, p, i+1, 1.25, 64)
	}
	for i, addr := range order {
		got, want := status(t, p, addr).Connections, int64(2500) // 1.25 of a fifth
		if i == 4 {
			want = 0
		}
		if got < want-5 || got > want+5 { // each connection was judged by the loads of its moment
			t.Errorf("number %d in the order has %d connections, want %d", i+1, got, want)
		}
	}
	if l := connectAs(t, p, "everybody"); l.Addr() != order[0] && l.Addr() != order[1] {
		t.Errorf("at the bound a new connection went to %s, want the first in %v with room", l.Addr(), order)
	}
}

func mustStayInBounds(t *testing.T, p *balancer.Pool, connections int, factor, margin float64) {
	t.Helper()
	s := p.Status()
	var weights float64
	for _, e := range s.Endpoints {
		weights += float64(e.Weight)
	}
	for _, e := range s.Endpoints {
		fair := float64(connections) * float64(e.Weight) / weights
		if bound := max(fair*factor, fair+margin); float64(e.Connections) > bound {
			t.Fatalf("%s has %d of %d connections, bound %.1f", e.Address, e.Connections, connections, bound)
		}
	}
}

func TestAHotEndpointIsUsedWhenNoOtherCanBe(t *testing.T) {
	p := hashPool(endpoints(1, 1, 1))
	order := tries(t, p, "everybody", 3)
	for status(t, p, order[1]).Connections == 0 {
		connectAs(t, p, "everybody")
	}
	var others []balancer.NodeID
	for _, id := range clients(50) {
		l := connectAs(t, p, id)
		if l.Addr() != order[0] && !slices.Contains(others, l.ID()) {
			others = append(others, l.ID())
		}
		l.Done(balancer.Broken)
	}
	l, err := p.Pick(balancer.PickInfo{Key: balancer.KeyOf("everybody"), Avoid: others})
	if err != nil || l.Addr() != order[0] {
		t.Errorf("picked %q, %v; want %s, the only one not tried", l.Addr(), err, order[0])
	}
}

func TestTheBoundGoesByWeightAndFactor(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.Hash, BalanceFactor: 2}, endpoints(6, 1, 1))
	for i := range 5000 {
		connectAs(t, p, "everybody"+string(rune('a'+i%3)))
		mustStayInBounds(t, p, i+1, 2, 16)
	}
}

// Chance and small numbers are no reason to leave one's endpoint.
func TestTheBoundMovesNobodyWhileLoadsAreSmallOrMerelyRandom(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.Hash}, endpoints(1, 1, 1))
	at := tries(t, p, "everybody", 1)[0]
	for range 64 {
		if l := connectAs(t, p, "everybody"); l.Addr() != at {
			t.Fatalf("%s is hot with %d connections", at, status(t, p, at).Connections)
		}
	}
	for n, connections := range map[int]int{3: 6000, 20: 256 * 20, 100: 30 * 100} {
		bounded := newPool(balancer.Options{Policy: balancer.Hash}, numbered(n))
		free := newPool(balancer.Options{Policy: balancer.Hash, BalanceFactor: 1e9}, numbered(n))
		for _, id := range clients(connections) {
			if here, there := connectAs(t, bounded, id), connectAs(t, free, id); here.Addr() != there.Addr() {
				t.Fatalf("of %d endpoints: %s was moved from %s to %s", n, id, there.Addr(), here.Addr())
			}
		}
	}
}

// Two of three carry everything, and more than 1.25 of a third each.
func TestWhatCannotTakeItsShareDoesNotMakeTheOthersHot(t *testing.T) {
	for name, prepare := range map[string]func(*balancer.Pool, []balancer.Endpoint){
		"full":    func(p *balancer.Pool, set []balancer.Endpoint) { set[2].MaxConnections = 1; p.Update(set) },
		"drained": func(p *balancer.Pool, _ []balancer.Endpoint) { _ = p.SetDraining("C", true) },
		"ejected": func(p *balancer.Pool, _ []balancer.Endpoint) { failAt(t, p, "C", 1, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			set := endpoints(1, 1, 1)
			p := hashPool(set)
			order := make(map[string][]string)
			for _, id := range clients(6000) {
				order[id] = slices.DeleteFunc(tries(t, p, id, 3), func(addr string) bool { return addr == "C" })
			}
			prepare(p, set)
			for id, want := range order {
				if l := connectAs(t, p, id); l.Addr() != want[0] && l.Addr() != "C" {
					t.Fatalf("%s went to %s, want %s", id, l.Addr(), want[0])
				}
			}
		})
	}
}

func TestAFullEndpointsClientsGoToTheNextInTheirOrder(t *testing.T) {
	set := endpoints(1, 1, 1)
	for i := range set {
		set[i].MaxConnections = 1
	}
	p := hashPool(set)
	order := tries(t, p, "everybody", 3)
	for _, want := range order {
		if l := connectAs(t, p, "everybody"); l.Addr() != want {
			t.Errorf("picked %s, want %s of %v", l.Addr(), want, order)
		}
	}
	mustFindNone(t, p)
}

func TestHashUsesBackupsLastAndInOrderToo(t *testing.T) {
	set := endpoints(1, 1, 1, 1)
	set[1].Backup, set[2].Backup = true, true
	p := hashPool(set)
	backups := hashPool(set[1:3])
	for _, id := range clients(100) {
		order := tries(t, p, id, 4)
		if want := tries(t, backups, id, 2); !slices.Equal(order[2:], want) {
			t.Fatalf("%s tries %v, want the backups last and as %v", id, order, want)
		}
	}
}

func TestClientsKeepTheirEndpointWhenAllLookDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hashPool(endpoints(1, 1, 1))
		ids := clients(100)
		before := places(t, p, ids)
		ejectAll(t, p)
		if during := places(t, p, ids); !maps.Equal(before, during) {
			t.Error("the clients moved")
		}
	})
}

func TestWithoutAKeyHashSpreadsByLoad(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.Hash}, endpoints(4, 1))
	counts, _ := fill(t, p, 1000)
	if got := counts["B"]; got < 195 || got > 205 {
		t.Errorf("B with a fifth of the weight has %d of 1000 connections", got)
	}
}
