package admit

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return began.Add(d) }

func newGate(l Limit) *Gate[string] {
	g := new(Gate[string])
	g.Configure(l, began)
	return g
}

// exhausted is a gate whose burst was used at the beginning.
func exhausted(l Limit) *Gate[string] {
	g := newGate(l)
	for g.Pass(began) {
	}
	return g
}

// enter queues newcomers that are named "NETWORK" or "NETWORK:HOST", where both
// are numbers, and returns those who were refused or displaced.
func enter(g *Gate[string], now time.Time, names ...string) (out []string) {
	for _, name := range names {
		network, host, _ := strings.Cut(name, ":")
		if host == "" {
			host = "1"
		}
		e := &Entry[string]{Value: name}
		displaced := g.Enter(e, netip.MustParseAddr("10.0."+network+"."+host), now)
		if displaced != nil {
			out = append(out, displaced.Value)
		}
		if e.Outcome() == Refused {
			out = append(out, name)
		}
	}
	return out
}

func admit(g *Gate[string], now time.Time) (admitted, refused []string) {
	for _, e := range g.Admit(now, nil) {
		switch e.Outcome() {
		case Admitted:
			admitted = append(admitted, e.Value)
		case Refused:
			refused = append(refused, e.Value)
		}
	}
	return admitted, refused
}

func want(t *testing.T, what string, got []string, names ...string) {
	t.Helper()
	if !slices.Equal(got, names) {
		t.Errorf("%s: %v, want %v", what, got, names)
	}
}

func TestTheZeroGateLetsEverybodyIn(t *testing.T) {
	var g Gate[string]
	for range 1000 {
		if !g.Pass(began) {
			t.Fatal("somebody had to wait")
		}
	}
}

func TestABurstPassesAtOnceAndThenTheRateDecides(t *testing.T) {
	for _, c := range []struct {
		limit               Limit
		first, second, hour int // that pass at the beginning, one second and an hour later
	}{
		{Limit{PerSecond: 10}, 10, 10, 10},
		{Limit{PerSecond: 1}, 1, 1, 1},
		{Limit{PerSecond: 10, Burst: 3}, 3, 3, 3},
		{Limit{PerSecond: 3, Burst: 100}, 100, 2, 100}, // a third of a second is rounded up
		{Limit{PerSecond: 1000, Burst: 1}, 10, 10, 10}, // 10 ms' worth
		{Limit{PerSecond: MaxPerSecond, Burst: 1}, 10_000, 10_000, 10_000},
	} {
		g := newGate(c.limit)
		passed := func(now time.Time) (n int) {
			for g.Pass(now) {
				n++
			}
			return n
		}
		got := [3]int{passed(began), passed(at(time.Second)), passed(at(time.Hour))}
		if want := [3]int{c.first, c.second, c.hour}; got != want {
			t.Errorf("%+v: %v passed, want %v", c.limit, got, want)
		}
	}
}

func TestNobodyPassesWhileOthersWait(t *testing.T) {
	g := exhausted(Limit{PerSecond: 10, Queue: 10})
	enter(g, began, "1")
	if g.Pass(at(time.Second)) {
		t.Error("a newcomer passed one that waits")
	}
	admitted, _ := admit(g, at(time.Second))
	want(t, "admitted", admitted, "1")
	if !g.Pass(at(time.Second)) {
		t.Error("a newcomer has to wait behind nobody")
	}
}

func TestNetworksTakeTurnsAndEachIsServedInOrderOfArrival(t *testing.T) {
	g := exhausted(Limit{PerSecond: 1, Queue: 100})
	enter(g, began, "1:1", "1:2", "1:3", "1:4", "2:1", "2:2", "3:1")
	admitted, _ := admit(g, at(time.Hour))
	want(t, "with a burst of one", admitted, "1:1")
	g.Configure(Limit{PerSecond: 100, Queue: 100}, at(time.Hour))
	admitted, _ = admit(g, at(2*time.Hour))
	want(t, "then", admitted, "2:1", "3:1", "1:2", "2:2", "1:3", "1:4")
}

func TestAFullQueueTakesThePlaceFromTheNetworkWithTheMost(t *testing.T) {
	for _, c := range []struct {
		name           string
		waiting, comes []string
		out            []string
	}{
		{"the newcomer's network has the most", []string{"1:1", "1:2", "2:1"}, []string{"1:3"}, []string{"1:3"}},
		{"another has the most: its last", []string{"1:1", "1:2", "2:1"}, []string{"3:1"}, []string{"1:2"}},
		{"it would be as many as the most", []string{"1:1", "1:2", "2:1"}, []string{"2:2"}, []string{"2:2"}},
		{"all have one", []string{"1:1", "2:1", "3:1"}, []string{"4:1"}, []string{"4:1"}},
		{"one after the other", []string{"1:1", "1:2", "1:3"}, []string{"2:1", "2:2", "3:1"}, []string{"1:3", "2:2", "1:2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := exhausted(Limit{PerSecond: 1, Queue: 3})
			if out := enter(g, began, c.waiting...); out != nil {
				t.Fatalf("%v were refused before it was full", out)
			}
			want(t, "out", enter(g, began, c.comes...), c.out...)
			if g.Len() != 3 {
				t.Errorf("%d wait", g.Len())
			}
		})
	}
}

func TestWithoutAQueueNobodyWaits(t *testing.T) {
	g := exhausted(Limit{PerSecond: 1, Wait: time.Hour})
	want(t, "out", enter(g, began, "1"), "1")
	if _, ok := g.Next(); ok {
		t.Error("there is something to do")
	}
}

func TestWhoHasWaitedForTooLongIsRefused(t *testing.T) {
	g := exhausted(Limit{PerSecond: 1, Queue: 10, Wait: 1500 * time.Millisecond})
	enter(g, began, "1:1", "1:2")
	enter(g, at(time.Second), "1:3")
	if next, _ := g.Next(); !next.Equal(at(time.Second)) {
		t.Errorf("next at %v, want the token after a second", next.Sub(began))
	}
	admitted, refused := admit(g, at(time.Second))
	want(t, "admitted", admitted, "1:1")
	want(t, "refused", refused)
	if next, _ := g.Next(); !next.Equal(at(1500 * time.Millisecond)) {
		t.Errorf("next at %v, want the deadline of the second", next.Sub(began))
	}
	if _, refused = admit(g, at(1499*time.Millisecond)); refused != nil {
		t.Errorf("%v were refused too early", refused)
	}
	_, refused = admit(g, at(1500*time.Millisecond))
	want(t, "refused", refused, "1:2")
	admitted, refused = admit(g, at(2500*time.Millisecond)) // both are due: the token is there
	want(t, "admitted", admitted, "1:3")
	want(t, "refused", refused)
}

func TestANewLimitHoldsForThoseWhoWait(t *testing.T) {
	long := Limit{PerSecond: 1, Queue: 10, Wait: time.Hour}
	t.Run("a greater rate, without a burst", func(t *testing.T) {
		g := exhausted(long)
		enter(g, began, "1", "2", "3")
		g.Configure(Limit{PerSecond: 1000, Queue: 10}, began)
		if admitted, _ := admit(g, began); admitted != nil {
			t.Errorf("%v were let in by the reload", admitted)
		}
		admitted, _ := admit(g, at(2*time.Millisecond))
		want(t, "2 ms later", admitted, "1", "2")
	})
	t.Run("a shorter wait", func(t *testing.T) {
		g := exhausted(long)
		enter(g, began, "1", "2")
		g.Configure(Limit{PerSecond: 1, Queue: 10, Wait: time.Millisecond}, began)
		_, refused := admit(g, at(time.Millisecond))
		want(t, "refused", refused, "1", "2")
	})
	t.Run("a shorter queue", func(t *testing.T) {
		g := exhausted(long)
		enter(g, began, "1", "2", "3")
		g.Configure(Limit{PerSecond: 1, Queue: 1}, began)
		if g.Len() != 3 {
			t.Errorf("%d wait: those who waited must stay", g.Len())
		}
		want(t, "out", enter(g, began, "4"), "4")
	})
	t.Run("none", func(t *testing.T) {
		g := exhausted(long)
		enter(g, began, "1", "2", "3")
		g.Configure(Limit{}, began)
		if next, ok := g.Next(); !ok || next.After(began) {
			t.Errorf("next at %v, %v", next, ok)
		}
		if !g.Pass(began) {
			t.Error("a newcomer has to wait for those who need not wait any longer")
		}
		admitted, _ := admit(g, began)
		want(t, "admitted", admitted, "1", "2", "3")
	})
	t.Run("the same", func(t *testing.T) {
		g := exhausted(long)
		g.Configure(long, began)
		if g.Pass(at(999 * time.Millisecond)) {
			t.Error("the reload brought a token")
		}
	})
}

func TestWhoLeavesMakesRoom(t *testing.T) {
	g := exhausted(Limit{PerSecond: 1, Queue: 1})
	e := &Entry[string]{}
	g.Enter(e, netip.MustParseAddr("10.0.0.1"), began)
	g.Cancel(e)
	g.Cancel(e)
	if e.Outcome() != Cancelled || g.Len() != 0 {
		t.Errorf("outcome %d, %d wait", e.Outcome(), g.Len())
	}
	want(t, "out", enter(g, began, "2"))
}

func TestANetworkIsASiteOrACustomer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.254", true},
		{"192.0.2.1", "192.0.3.1", false},
		{"192.0.2.1", "::ffff:192.0.2.2", true},
		{"2001:db8:0:1200::1", "2001:db8:0:12ff::1", true},
		{"2001:db8:0:1200::1", "2001:db8:0:1300::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
	} {
		if got := networkOf(netip.MustParseAddr(c.a)) == networkOf(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestAFloodOfOneNetworkDelaysAnotherByOneTurn(t *testing.T) {
	const queue = 1000
	g := exhausted(Limit{PerSecond: 100, Queue: queue})
	for i := range 3 * queue {
		enter(g, began, fmt.Sprintf("1:%d", i%200+1))
	}
	want(t, "out", enter(g, began, "2:1"), "1:200") // displaced, not kept out
	for i := range 3 * queue {
		enter(g, began, fmt.Sprintf("1:%d", i%200+1))
	}
	admitted, _ := admit(g, at(20*time.Millisecond))
	want(t, "the first two", admitted, "1:1", "2:1")
}

func BenchmarkPass(b *testing.B) {
	g := new(Gate[int])
	g.Configure(Limit{PerSecond: MaxPerSecond}, began)
	now := began
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Microsecond)
		if !g.Pass(now) {
			b.Fatal("refused")
		}
	}
}

// BenchmarkEnterAndAdmit has 100,000 waiting, of as many networks as the name says.
func BenchmarkEnterAndAdmit(b *testing.B) {
	for _, networks := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(networks), func(b *testing.B) {
			g := new(Gate[int])
			g.Configure(Limit{PerSecond: MaxPerSecond, Burst: 1, Queue: 200_000}, began)
			now := began
			for g.Pass(now) {
			}
			i := 0
			next := func() {
				i++
				n := uint32(i%networks) << 8
				g.Enter(new(Entry[int]), netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), 1}), now)
			}
			for range 100_000 {
				next()
			}
			settled := make([]*Entry[int], 0, 1)
			b.ReportAllocs()
			for b.Loop() {
				next()
				now = now.Add(time.Microsecond)
				if settled = g.Admit(now, settled[:0]); len(settled) != 1 {
					b.Fatalf("%d admitted", len(settled))
				}
			}
		})
	}
}
