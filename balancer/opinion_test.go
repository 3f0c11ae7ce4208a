package balancer_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

var errProbe = errors.New("connection refused")

func opinion(t testing.TB, p *balancer.Pool, addr string) string {
	t.Helper()
	for _, o := range p.Opinions(30 * time.Second) {
		switch {
		case o.Addr != addr:
		case o.Good && o.Bad:
			t.Fatal("both good and bad")
		case o.Good:
			return "good"
		case o.Bad:
			return "bad"
		}
	}
	return ""
}

func TestAPoolHasAnOpinionOnlyOfWhatItSawLately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{MaxFails: 2}, endpoints(1, 1, 1))
		a := p.Members()[0].ID
		expect := func(when, want string) {
			t.Helper()
			if got := opinion(t, p, "A"); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		fail := func() {
			l, err := p.Take(a)
			if err != nil {
				t.Fatal(err)
			}
			l.Done(balancer.ConnectFailed)
		}
		succeed := func() {
			l, err := p.Take(a)
			if err != nil {
				t.Fatal(err)
			}
			l.Established(time.Millisecond)
			l.Done(balancer.Broken)
		}
		time.Sleep(time.Second) // of the bubble
		expect("at first", "")
		succeed()
		expect("after a connection", "good")
		time.Sleep(31 * time.Second)
		expect("half a minute later", "")
		fail()
		expect("after one failure of two", "")
		fail()
		expect("ejected", "bad")
		time.Sleep(31 * time.Second)
		expect("ejected, half a minute later", "")
		fail()
		expect("after another trial", "bad")
		succeed()
		expect("back", "good")
	})
}

func TestTheProbesOfACheckMakeAnOpinion(t *testing.T) {
	checked(t, balancer.Options{}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
		asked.answer("A", errProbe)
		time.Sleep(time.Minute)
		synctest.Wait()
		if a, b := opinion(t, p, "A"), opinion(t, p, "B"); a != "bad" || b != "good" {
			t.Errorf("A is %q and B %q", a, b)
		}
		asked.answer("A", balancer.Draining{Reason: "moving"})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if a := opinion(t, p, "A"); a != "good" {
			t.Errorf("one that answers that it drains is %q", a)
		}
	})
}

func TestOneFailedProbeTakesOutWhatOthersHoldAsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{MaxFails: 3, FailTimeout: 10 * time.Second}, endpoints(1, 1, 1, 1))
		if p.Corroborate("A", nil) || p.Corroborate("A", syscall.EMFILE) || p.Corroborate("X", errProbe) || !status(t, p, "A").Up {
			t.Error("out without a reason")
		}
		if opinion(t, p, "A") != "good" {
			t.Error("its own probe is no opinion")
		}
		for _, addr := range []string{"A", "B", "C"} {
			if got, want := p.Corroborate(addr, errProbe), addr != "C"; got != want {
				t.Errorf("%s: out %v, want %v: half may be out, no more", addr, got, want)
			}
		}
		s := status(t, p, "A")
		if s.Up || !s.Ejected || !strings.Contains(s.Reason, "connection refused, and on other edges, too") || s.FailuresTotal != 0 {
			t.Errorf("%+v", s)
		}
		time.Sleep(11 * time.Second)
		l, err := p.Take(p.Members()[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		l.Established(time.Millisecond)
		if s := status(t, p, "A"); !s.Up {
			t.Errorf("after a connection: %+v", s)
		}
		l.Done(balancer.Served)
	})
}

func TestWhatOthersSayTakesNothingOutWherePassiveHealthIsOffOrNothingElseIsThere(t *testing.T) {
	if p := newPool(balancer.Options{}, endpoints(1, 1)); p.Corroborate("A", errProbe) || !status(t, p, "A").Up {
		t.Error("out though passive health is off")
	}
	if p := newPool(balancer.Options{MaxFails: 1}, endpoints(1)); p.Corroborate("A", errProbe) || !status(t, p, "A").Up {
		t.Error("the only endpoint is out")
	}
}

func TestWithACheckItsProbesBringBackWhatOthersHeldAsDown(t *testing.T) {
	checked(t, balancer.Options{}, 3, func(p *balancer.Pool, asked *prober, end func()) {
		if !p.Corroborate("A", errProbe) {
			t.Fatal("not out")
		}
		if s := status(t, p, "A"); s.Up || s.Ejected || !strings.Contains(s.Reason, "check failed: connection refused, and on other edges, too") {
			t.Errorf("%+v", s)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if s := status(t, p, "A"); !s.Up || s.Reason != "" {
			t.Errorf("after successful probes: %+v", s)
		}
		p.Corroborate("A", errProbe)
		end()
		if s := status(t, p, "A"); !s.Up {
			t.Errorf("nothing checks any more: %+v", s)
		}
	})
}

func TestDrainsHoldForEndpointsThatAreYetToCome(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(1))
	p.SetDrains(map[string]string{"A": "drained by hand on edge-2", "B": "drained by hand", "Z": ""})
	if s := status(t, p, "A"); !s.Draining || s.Reason != "drained by hand on edge-2" {
		t.Errorf("%+v", s)
	}
	p.Update(endpoints(1, 1, 1))
	for range 10 {
		if l := pick(t, p); l.Addr() != "C" {
			t.Fatalf("a connection for %s", l.Addr())
		}
	}
	p.Update(endpoints(1))
	p.Update(endpoints(1, 1))
	mustFindNone(t, p)
	if err := p.SetDraining("A", false); err != nil {
		t.Fatal(err)
	}
	if l := pick(t, p); l.Addr() != "A" {
		t.Errorf("a connection for %s", l.Addr())
	}
	p.SetDrains(nil)
	seen := map[string]bool{}
	for range 10 {
		l := pick(t, p)
		seen[l.Addr()] = true
	}
	if !seen["A"] || !seen["B"] {
		t.Errorf("connections for %v", seen)
	}
}

func TestWhateverComesAndGoesADrainedEndpointGetsNothing(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		random := rand.New(rand.NewPCG(1, 2))
		p := newPool(balancer.Options{Policy: policy}, nil)
		all := endpoints(1, 2, 3, 4, 5)
		drains := map[string]string{}
		for range 2000 {
			switch random.IntN(3) {
			case 0:
				set := append([]balancer.Endpoint(nil), all...)
				random.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
				p.Update(set[:random.IntN(len(set)+1)])
			case 1:
				drains = map[string]string{}
				for _, e := range all {
					if random.IntN(2) == 0 {
						drains[e.Addr] = "why"
					}
				}
				p.SetDrains(maps.Clone(drains))
			}
			l, err := p.Pick(balancer.PickInfo{Key: balancer.Key(random.Uint64())})
			if _, drained := drains[l.Addr()]; err == nil && drained {
				t.Fatalf("a connection for %s, which is drained", l.Addr())
			}
			l.Done(balancer.Served)
		}
	})
}
