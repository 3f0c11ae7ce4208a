package balancer_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

const (
	pace     = 50
	slowTime = 30 * time.Second
)

// inSlowBubble runs a test for each policy with a pool of A and B that is past its beginning, and slow start.
func inSlowBubble(t *testing.T, test func(*testing.T, *balancer.Pool)) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(balancer.Options{
				Policy: policy, MaxFails: 3, FailTimeout: failTimeout,
				SlowStart: balancer.SlowStart{ConnectsPerSecond: pace, For: slowTime},
			}, endpoints(1, 1))
			time.Sleep(slowTime + time.Second)
			test(t, p)
		})
	})
}

// storm tries 20 times the pace for a second and counts by address. The connections stay.
func storm(t *testing.T, p *balancer.Pool) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for range 20 {
		for range pace {
			l := pick(t, p)
			counts[l.Addr()]++
		}
		time.Sleep(time.Second / 20)
	}
	return counts
}

// mustStartSlowly expects addr to get no more than its pace until its time is over, and then its share.
func mustStartSlowly(t *testing.T, p *balancer.Pool, addr string) {
	t.Helper()
	for s := range 5 {
		if got := storm(t, p)[addr]; got < pace*8/10 || got > pace*11/10 {
			t.Errorf("in second %d %s got %d connections, want about %d", s+1, addr, got, pace)
		}
	}
	time.Sleep(slowTime - 5*time.Second)
	if got := storm(t, p)[addr]; got < 200 {
		t.Errorf("after its slow start %s got %d connections, want its share", addr, got)
	}
	if got := status(t, p, addr).Reason; got != "" {
		t.Errorf("reason %q after the slow start", got)
	}
}

func TestAnEndpointThatAppearsStartsSlowly(t *testing.T) {
	inSlowBubble(t, func(t *testing.T, p *balancer.Pool) {
		p.Update(endpoints(1, 1, 1))
		if got, want := status(t, p, "C").Reason, "slow start: 50 connections/s for 30s"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
		p.Update(endpoints(1, 1, 1)) // which is no new appearance
		mustStartSlowly(t, p, "C")
	})
}

func TestAnEndpointThatReturnsStartsSlowly(t *testing.T) {
	for name, leaveAndReturn := range map[string]func(*testing.T, *balancer.Pool){
		"to the set": func(_ *testing.T, p *balancer.Pool) {
			p.Update(endpoints(1, 1)[1:])
			p.Update(endpoints(1, 1))
		},
		"from being drained": func(_ *testing.T, p *balancer.Pool) {
			_ = p.SetDraining("A", true)
			_ = p.SetDraining("A", false)
		},
		"from ejection": func(t *testing.T, p *balancer.Pool) {
			failAt(t, p, "A", 3, nil)
			time.Sleep(failTimeout)
			trial := pickAt(t, p, "A")
			trial.Established(time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inSlowBubble(t, func(t *testing.T, p *balancer.Pool) {
				leaveAndReturn(t, p)
				mustStartSlowly(t, p, "A")
			})
		})
	}
}

func TestNobodyStartsSlowlyAtTheBeginning(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		synctest.Test(t, func(t *testing.T) {
			p := balancer.New("emqx", balancer.Options{
				Policy: policy, SlowStart: balancer.SlowStart{ConnectsPerSecond: pace, For: slowTime},
			})
			time.Sleep(time.Hour)
			p.Update(nil)
			p.Update(endpoints(1))
			time.Sleep(slowTime - time.Second)
			p.Update(endpoints(1, 1, 1)) // discovery found the others a little later
			if counts := storm(t, p); counts["B"] < 200 || counts["C"] < 200 {
				t.Errorf("got %v, want even shares", counts)
			}
		})
	})
}

func TestAnEndpointInItsSlowStartIsUsedWhenNoOtherCanBe(t *testing.T) {
	inSlowBubble(t, func(t *testing.T, p *balancer.Pool) {
		set := endpoints(1, 1, 1)
		set[0].MaxConnections, set[1].MaxConnections = 1, 1
		p.Update(set)
		if counts := storm(t, p); counts["A"] != 1 || counts["B"] != 1 || counts["C"] != 998 {
			t.Errorf("got %v, want C to take what no other can", counts)
		}
	})
}

func TestBackupsHelpAPrimaryThroughItsSlowStart(t *testing.T) {
	inSlowBubble(t, func(t *testing.T, p *balancer.Pool) {
		set := endpoints(1, 1, 1)
		set[0].Backup, set[1].Backup = true, true
		p.Update(set)
		mustStartSlowly(t, p, "C")
	})
}

func TestWithoutSlowStartANewEndpointTakesItsShareAtOnce(t *testing.T) {
	for _, s := range []balancer.SlowStart{{}, {ConnectsPerSecond: 1}, {For: time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(balancer.Options{Policy: balancer.RoundRobin, SlowStart: s}, endpoints(1))
			time.Sleep(2 * time.Hour)
			p.Update(endpoints(1, 1))
			if counts := storm(t, p); counts["B"] != 500 {
				t.Errorf("%+v: got %v, want even shares", s, counts)
			}
		})
	}
}

func TestAPaceBelowTheBurstIsKeptToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{SlowStart: balancer.SlowStart{ConnectsPerSecond: 1, For: 10 * time.Second}}, endpoints(1))
		time.Sleep(time.Minute)
		p.Update(endpoints(1, 1))
		for s := range 10 {
			if got := storm(t, p)["B"]; got != 1 {
				t.Errorf("in second %d it got %d connections, want 1", s+1, got)
			}
		}
	})
}

func TestPicksAtTheSameTimeKeepThePaceTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{SlowStart: balancer.SlowStart{ConnectsPerSecond: pace, For: slowTime}}, endpoints(1))
		time.Sleep(slowTime + time.Second)
		set := endpoints(1, 1)
		set[0].Backup = true // so that all want to go to B
		for range 2000 {
			p.Update(set[:1])
			p.Update(set)
			leases := pickAtOnce(p, 12)
			got := 0
			for i := range leases {
				if leases[i].Addr() == "B" {
					got++
				}
				leases[i].Done(balancer.Served)
			}
			if got != pace/10 { // time stands still in the bubble
				t.Fatalf("B got %d connections at once, want the burst of %d", got, pace/10)
			}
		}
	})
}

func TestASlowStartEndsWhenItIsTurnedOff(t *testing.T) {
	inSlowBubble(t, func(t *testing.T, p *balancer.Pool) {
		p.Update(endpoints(1, 1, 1))
		p.Configure(balancer.Options{Policy: p.Status().Policy})
		if got := storm(t, p)["C"]; got < 200 {
			t.Errorf("C got %d connections, want its share", got)
		}
		if got := status(t, p, "C").Reason; got != "" {
			t.Errorf("reason %q", got)
		}
	})
}

// A new endpoint's clients wait at the next in their order; others stay where they are, though those are now above the
// bound of what will be their share.
func TestDuringASlowStartHashSendsTheNewEndpointItsOwnClientsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{
			Policy: balancer.Hash, SlowStart: balancer.SlowStart{ConnectsPerSecond: pace, For: slowTime},
		}, endpoints(1, 1))
		time.Sleep(slowTime + time.Second)
		ids := clients(4000)
		for _, id := range ids {
			connectAs(t, p, id)
		}
		p.Update(endpoints(1, 1, 1))
		later := newPool(balancer.Options{Policy: balancer.Hash}, endpoints(1, 1, 1))
		came := 0
		for _, id := range ids {
			order := tries(t, later, id, 3)
			l := connectAs(t, p, id)
			want := order[0]
			if want == "C" && l.Addr() == "C" {
				came++
			} else if want == "C" {
				want = order[1]
			}
			if l.Addr() != want {
				t.Fatalf("%s went to %s, want %s of %s", id, l.Addr(), want, strings.Join(order, ""))
			}
			l.Done(balancer.Broken)
			time.Sleep(time.Millisecond)
		}
		if want := 4 * pace; came < want*8/10 || came > want*11/10 {
			t.Errorf("%d of C's clients came to it in 4 seconds, want about %d", came, want)
		}
	})
}
