package balancer_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

// mustBeOutFor expects that the endpoint's next trial is in exactly that time, and returns the trial.
func mustBeOutFor(t *testing.T, p *balancer.Pool, addr string, out time.Duration) balancer.Lease {
	t.Helper()
	mustBeEjected(t, p, addr, true)
	time.Sleep(out - time.Nanosecond)
	if counts := serve(t, p, 200); counts[addr] != 0 {
		t.Fatalf("%s has a trial before %v have passed", addr, out)
	}
	time.Sleep(time.Nanosecond)
	return pickAt(t, p, addr)
}

func TestEachFailedTrialDoublesTheTimeOutUpToTenMinutes(t *testing.T) {
	for failTimeout, outs := range map[time.Duration][]time.Duration{
		10 * time.Second: {10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second},
		3 * time.Minute:  {3 * time.Minute, 6 * time.Minute, 10 * time.Minute, 10 * time.Minute},
		time.Hour:        {time.Hour, time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(balancer.Options{MaxFails: 2, FailTimeout: failTimeout}, endpoints(1, 1, 1))
			failAt(t, p, "B", 2, nil)
			for _, out := range outs {
				trial := mustBeOutFor(t, p, "B", out)
				trial.Done(balancer.ConnectFailed)
			}
		})
	}
}

func TestAnEndpointThatIsEjectedAgainIsOutForLongerUntilItWasWellForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{MaxFails: 2, FailTimeout: failTimeout}, endpoints(1, 1, 1))
		for _, step := range []struct{ well, out time.Duration }{
			{0, 10 * time.Second}, {time.Minute, 20 * time.Second}, {10*time.Minute - 1, 40 * time.Second},
			{10 * time.Minute, 10 * time.Second}, {0, 20 * time.Second},
		} {
			time.Sleep(step.well)
			failAt(t, p, "B", 2, nil)
			trial := mustBeOutFor(t, p, "B", step.out)
			trial.Established(time.Millisecond)
			trial.Done(balancer.Broken)
		}
	})
}

func TestManyConnectionsThatFailTogetherDoNotProlongTheTimeOut(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		_, leases := fill(t, p, 300)
		for i := range leases {
			if leases[i].Addr() == "B" {
				leases[i].Done(balancer.ConnectFailed)
			}
		}
		mustBeOutFor(t, p, "B", failTimeout)
	})
}

func TestWhileAllAreOutFailuresDoNotProlongTheTimeOutBeyondTheOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		ejectAll(t, p)
		for range 60 {
			for range 20 {
				l := pick(t, p)
				l.Done(balancer.ConnectFailed)
			}
			time.Sleep(time.Second)
		}
		l := pick(t, p)
		if l.Established(0); status(t, p, l.Addr()).Ejected {
			t.Fatal("it is out, though it works")
		}
		for _, addr := range []string{"A", "B", "C"} {
			if addr == l.Addr() {
				continue
			}
			trial := pickAt(t, p, addr)
			trial.Done(balancer.ConnectFailed)
			mustBeOutFor(t, p, addr, 40*time.Second)
			break
		}
	})
}

func TestAnEndpointThatLeavesAndReturnsStartsWithTheShortTimeOut(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "B", 3, nil)
		pickAt(t, p, "A")
		trial := mustBeOutFor(t, p, "B", failTimeout) // and is not done, so that the pool remembers the endpoint
		p.Update(endpoints(1))
		p.Update(endpoints(1, 1, 1))
		failAt(t, p, "B", 3, nil)
		mustBeOutFor(t, p, "B", failTimeout)
		trial.Done(balancer.Broken)
	})
}

// refuseAll refuses connections until every endpoint has refused n.
func refuseAll(t *testing.T, p *balancer.Pool, n int) {
	t.Helper()
	for _, e := range p.Status().Endpoints {
		for range n {
			if status(t, p, e.Address).Ejected {
				break
			}
			l := pickAt(t, p, e.Address)
			l.Done(balancer.Refused)
		}
	}
}

func ejected(p *balancer.Pool) (n int) {
	for _, e := range p.Status().Endpoints {
		if e.Ejected {
			n++
		}
	}
	return n
}

func TestRefusalsEjectNoMoreThanTheShareAllowed(t *testing.T) {
	for _, tc := range []struct{ endpoints, percent, want int }{
		{4, 0, 2}, {4, 50, 2}, {5, 50, 2}, {2, 50, 1}, {3, 50, 1}, {4, 25, 1}, {4, 10, 0}, {4, 75, 3}, {4, 100, 4},
	} {
		p := newPool(balancer.Options{MaxFails: 2, FailTimeout: time.Hour, MaxEjected: tc.percent}, numbered(tc.endpoints))
		refuseAll(t, p, 2)
		if got := ejected(p); got != tc.want {
			t.Errorf("%d of %d endpoints are ejected at %d %%, want %d", got, tc.endpoints, tc.percent, tc.want)
		}
	}
}

func TestAnEndpointThatOnlyTheShareKeepsInUseIsEjectedOnceThereIsRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		refuseAll(t, p, 3)
		mustBeEjected(t, p, "A", true)
		mustBeEjected(t, p, "B", false)
		const want = "refused (3 of 3 within 10s), in use because too many others are out"
		if got := status(t, p, "B").Reason; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
		p.Update(endpoints(1, 1, 1, 1))
		l := pickAt(t, p, "B")
		l.Done(balancer.Refused)
		mustBeEjected(t, p, "B", true)
	})
}

func TestWhatCannotBeReachedIsEjectedWhateverTheShare(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "A", 3, nil)
		failAt(t, p, "B", 3, nil)
		mustBeEjected(t, p, "A", true)
		mustBeEjected(t, p, "B", true)
	})
}

func TestTheShareHoldsForEndpointsThatFailAtTheSameTime(t *testing.T) {
	for range 2000 {
		p := newPool(balancer.Options{Policy: balancer.RoundRobin, MaxFails: 1, FailTimeout: time.Hour}, numbered(8))
		leases := pickAtOnce(p, 8)
		var ready atomic.Int32
		var refused sync.WaitGroup
		for i := range leases {
			refused.Go(func() {
				for ready.Add(1); ready.Load() < 8; {
					runtime.Gosched()
				}
				leases[i].Done(balancer.Refused)
			})
		}
		refused.Wait()
		if got := ejected(p); got != 4 {
			t.Fatalf("%d of 8 endpoints are ejected, want 4", got)
		}
	}
}

func TestAnEndpointThatRefusesComesBackByServingNotByTakingConnections(t *testing.T) {
	for name, serves := range map[string]func(*balancer.Lease){
		"answered": func(l *balancer.Lease) { l.Answered(time.Millisecond) },
		"served":   func(l *balancer.Lease) { l.Done(balancer.Served) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *balancer.Pool) {
				for range 3 {
					l := pickAt(t, p, "B")
					l.Established(time.Millisecond)
					l.Done(balancer.Refused)
				}
				trial := mustBeOutFor(t, p, "B", failTimeout)
				trial.Established(time.Millisecond)
				mustBeEjected(t, p, "B", true)
				trial.Done(balancer.Refused)
				trial = mustBeOutFor(t, p, "B", 2*failTimeout)
				trial.Established(time.Millisecond)
				serves(&trial)
				mustBeEjected(t, p, "B", false)
			})
		})
	}
}

// answer opens connections until every endpoint answered n, each in its own time.
func answer(t *testing.T, p *balancer.Pool, n int, took map[string]time.Duration) {
	t.Helper()
	for addr, d := range took {
		for range n {
			if status(t, p, addr).Ejected {
				break
			}
			l := pickAt(t, p, addr)
			l.Established(time.Millisecond)
			l.Answered(d)
			l.Done(balancer.Broken)
		}
	}
}

func TestAnEndpointMuchSlowerThanTheOthersIsEjected(t *testing.T) {
	for _, tc := range []struct {
		name string
		took []time.Duration
		want string // the endpoint ejected
	}{
		{"much slower", []time.Duration{100 * time.Millisecond, 1500 * time.Millisecond, 200 * time.Millisecond}, "B"},
		{"of two", []time.Duration{100 * time.Millisecond, 1500 * time.Millisecond}, "B"},
		{"slower, but fast enough", []time.Duration{time.Millisecond, time.Second, 2 * time.Millisecond}, ""},
		{"slower, but not by far", []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, 300 * time.Millisecond}, ""},
		{"all are slow", []time.Duration{4 * time.Second, 5 * time.Second, 6 * time.Second}, ""},
		{"alone", []time.Duration{time.Minute}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(balancer.Options{MaxFails: 3, FailTimeout: failTimeout}, endpoints(make([]uint32, len(tc.took))...))
				took := make(map[string]time.Duration)
				for i, d := range tc.took {
					took[string(rune('A'+i))] = d
				}
				answer(t, p, 11, took)
				answer(t, p, 1, took)
				for addr := range took {
					mustBeEjected(t, p, addr, addr == tc.want)
				}
			})
		})
	}
}

func TestASlowEndpointIsJudgedByTheMedianOfElevenAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		answer(t, p, 20, map[string]time.Duration{"A": 80 * time.Millisecond, "C": 80 * time.Millisecond})
		answer(t, p, 6, map[string]time.Duration{"B": time.Millisecond})
		answer(t, p, 5, map[string]time.Duration{"B": time.Minute})
		mustBeEjected(t, p, "B", false)
		if got := status(t, p, "B"); got.AnswerSeconds != 0.001 || got.Reason != "" {
			t.Errorf("with 5 of 11 answers slow: %+v", got)
		}
		answer(t, p, 1, map[string]time.Duration{"B": 3216 * time.Millisecond})
		mustBeEjected(t, p, "B", true)
		const want = "slow: answers after 3.22s, the pool after 80ms, next try in 10s"
		if got := status(t, p, "B"); got.Reason != want || got.FailuresTotal != 0 || got.AnswerSeconds != 0 {
			t.Errorf("status %+v, want no failures and the reason %q", got, want)
		}
	})
}

func TestTheReasonOfASlowEndpointCountsNoFailures(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "B", 1, nil)
		answer(t, p, 11, map[string]time.Duration{"A": time.Millisecond, "C": time.Millisecond})
		answer(t, p, 11, map[string]time.Duration{"B": 9 * time.Second})
		if got, want := status(t, p, "B").Reason, "slow: answers after 9s, the pool after 1ms, next try in 10s"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	})
}

func TestFewAnswersProveNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		answer(t, p, 20, map[string]time.Duration{"A": time.Millisecond, "C": time.Millisecond})
		answer(t, p, 10, map[string]time.Duration{"B": time.Minute})
		mustBeEjected(t, p, "B", false)
	})
}

func TestASlowEndpointComesBackWithOneFastAnswerAndIsThenJudgedAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		answer(t, p, 11, map[string]time.Duration{"A": 80 * time.Millisecond, "C": 80 * time.Millisecond})
		answer(t, p, 11, map[string]time.Duration{"B": 3 * time.Second})
		trial := mustBeOutFor(t, p, "B", failTimeout)
		trial.Established(time.Millisecond)
		trial.Answered(2 * time.Second)
		trial = mustBeOutFor(t, p, "B", 2*failTimeout)
		trial.Answered(900 * time.Millisecond)
		mustBeEjected(t, p, "B", false)
		answer(t, p, 10, map[string]time.Duration{"B": 3 * time.Second})
		mustBeEjected(t, p, "B", false)
		answer(t, p, 1, map[string]time.Duration{"B": 3 * time.Second})
		mustBeOutFor(t, p, "B", 4*failTimeout)
	})
}

func TestSlownessEjectsNoMoreThanTheShareAllowed(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		answer(t, p, 11, map[string]time.Duration{"A": time.Millisecond, "C": time.Millisecond})
		refused := errors.New("quota")
		for range 3 {
			l := pickAt(t, p, "C")
			l.DoneError(balancer.Refused, refused)
		}
		mustBeEjected(t, p, "C", true)
		answer(t, p, 30, map[string]time.Duration{"B": time.Minute})
		mustBeEjected(t, p, "B", false)
	})
}

func TestWithoutPassiveHealthSlownessIsOnlyShown(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(1, 1))
	answer(t, p, 11, map[string]time.Duration{"A": time.Millisecond})
	answer(t, p, 11, map[string]time.Duration{"B": time.Minute})
	if b := status(t, p, "B"); b.Ejected || b.AnswerSeconds != 60 {
		t.Errorf("B is %+v", b)
	}
}

func TestAnOutcomeHasAName(t *testing.T) {
	var names []string
	for o := range balancer.Outcome(6) {
		names = append(names, fmt.Sprint(o))
	}
	const want = "served, connect failed, refused, broken, slow, unknown outcome"
	if got := strings.Join(names, ", "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
