package balancer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

const interval = 5 * time.Second

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

// checked runs a test over a pool that is checked each 5 s with rise 2, fall 3. end ends the check and waits for it.
func checked(t *testing.T, o balancer.Options, n int, test func(p *balancer.Pool, asked *prober, end func())) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(o, endpoints(make([]uint32, n)...))
		asked := &prober{answers: make(map[string]error), asked: make(map[string][]time.Time)}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			p.Check(ctx, balancer.CheckOptions{Prober: asked})
			close(ended)
		}()
		end := func() { cancel(); <-ended }
		defer end()
		synctest.Wait()
		test(p, asked, end)
	})
}

// probes waits until addr was probed n times more.
func probes(asked *prober, addr string, n int) {
	for before := len(asked.times(addr)); len(asked.times(addr)) < before+n; {
		time.Sleep(time.Millisecond)
	}
	synctest.Wait()
}

func mustBe(t *testing.T, p *balancer.Pool, addr string, up, draining bool, reason string) {
	t.Helper()
	if e := status(t, p, addr); e.Up != up || e.Draining != draining || e.Ejected || e.Reason != reason {
		t.Errorf("%s is up=%v draining=%v ejected=%v %q, want up=%v draining=%v %q",
			addr, e.Up, e.Draining, e.Ejected, e.Reason, up, draining, reason)
	}
}

func TestAnEndpointIsDownAfterFallFailuresAndUpAfterRiseSuccesses(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		checked(t, balancer.Options{Policy: policy}, 3, func(p *balancer.Pool, asked *prober, _ func()) {
			probes(asked, "B", 1)
			mustBe(t, p, "B", true, false, "")
			asked.answer("B", errRefused)
			probes(asked, "B", 2)
			mustBe(t, p, "B", true, false, "check failed: connection refused (2 of 3)")
			if got := serve(t, p, 100); got["B"] == 0 {
				t.Error("B is out before it is down")
			}
			probes(asked, "B", 1)
			mustBe(t, p, "B", false, false, "check failed: connection refused (3 of 3)")
			if got := serve(t, p, 100); got["B"] != 0 {
				t.Errorf("B is down and got %d connections", got["B"])
			}
			probes(asked, "B", 10)
			asked.answer("B", nil)
			probes(asked, "B", 1)
			mustBe(t, p, "B", false, false, "check failed: connection refused (3 of 3)")
			probes(asked, "B", 1)
			mustBe(t, p, "B", true, false, "")
			if got := serve(t, p, 100); got["B"] == 0 {
				t.Error("B is up and gets no connections")
			}
		})
	})
}

func TestASuccessBetweenFailuresStartsTheCountAgain(t *testing.T) {
	checked(t, balancer.Options{}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
		for range 5 {
			asked.answer("B", errRefused)
			probes(asked, "B", 2)
			asked.answer("B", nil)
			probes(asked, "B", 1)
			mustBe(t, p, "B", true, false, "")
		}
		asked.answer("B", errRefused)
		probes(asked, "B", 3)
		for range 5 {
			asked.answer("B", nil)
			probes(asked, "B", 1)
			asked.answer("B", errRefused)
			probes(asked, "B", 1)
		}
		if status(t, p, "B").Up {
			t.Error("B is up without two successes in a row")
		}
	})
}

func TestAProbeThatTakesTooLongSaysSo(t *testing.T) {
	checked(t, balancer.Options{}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
		asked.take(time.Hour)
		time.Sleep(3*interval + 4*time.Second)
		mustBe(t, p, "A", false, false, "check failed: no answer within 2s (3 of 3)")
	})
}

func TestAnEndpointThatAsksForItIsDrainedAtOnceUntilItIsWell(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		checked(t, balancer.Options{Policy: policy}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
			fill(t, p, 20)
			had := status(t, p, "B").Connections
			asked.answer("B", fmt.Errorf("probing: %w", balancer.Draining{Reason: "503 NODE_EVACUATING"}))
			probes(asked, "B", 1)
			mustBe(t, p, "B", true, true, "draining: 503 NODE_EVACUATING")
			if got := serve(t, p, 100); got["B"] != 0 || status(t, p, "B").Connections != had {
				t.Errorf("B got %d connections", got["B"])
			}
			asked.answer("B", errRefused)
			probes(asked, "B", 2)
			mustBe(t, p, "B", true, true, "draining: 503 NODE_EVACUATING")
			asked.answer("B", nil)
			probes(asked, "B", 1)
			mustBe(t, p, "B", true, false, "")

			asked.answer("B", balancer.Draining{Reason: "again"})
			probes(asked, "B", 1)
			asked.answer("B", errRefused)
			probes(asked, "B", 3)
			mustBe(t, p, "B", false, false, "check failed: connection refused (3 of 3)")
			asked.answer("B", balancer.Draining{Reason: "back, not to stay"})
			probes(asked, "B", 1)
			mustBe(t, p, "B", true, true, "draining: back, not to stay")
		})
	})
}

func TestDrainingByHandAndByTheCheckAreUndoneApart(t *testing.T) {
	checked(t, balancer.Options{}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
		if err := p.SetDraining("B", true); err != nil {
			t.Fatal(err)
		}
		asked.answer("B", balancer.Draining{Reason: "evacuation"})
		probes(asked, "B", 1)
		mustBe(t, p, "B", true, true, "drained by hand; draining: evacuation")
		asked.answer("B", nil)
		probes(asked, "B", 5)
		mustBe(t, p, "B", true, true, "drained by hand")
		asked.answer("B", balancer.Draining{Reason: "evacuation"})
		probes(asked, "B", 1)
		_ = p.SetDraining("B", false)
		mustBe(t, p, "B", true, true, "draining: evacuation")
	})
}

func TestEndpointsAreProbedEachIntervalButNotInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{}, numbered(200))
		asked := &prober{answers: make(map[string]error), asked: make(map[string][]time.Time)}
		ctx, cancel := context.WithTimeout(t.Context(), 20*interval)
		defer cancel()
		began := time.Now()
		p.Check(ctx, balancer.CheckOptions{Prober: asked})
		var early int
		for _, e := range numbered(200) {
			times := asked.times(e.Addr)
			if first := times[0].Sub(began); first > interval {
				t.Errorf("%s was first probed after %v", e.Addr, first)
			} else if first < interval/2 {
				early++
			}
			for i := 1; i < len(times); i++ {
				if between := times[i].Sub(times[i-1]); between < interval*9/10 || between > interval*11/10 {
					t.Errorf("%s was probed %v after its last probe", e.Addr, between)
				}
			}
		}
		if early < 60 || early > 140 {
			t.Errorf("%d of 200 were first probed in the first half of the interval", early)
		}
	})
}

func TestNoMoreThanConcurrencyProbesRunAtOnce(t *testing.T) {
	for concurrency, want := range map[int]int{0: 16, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(balancer.Options{}, numbered(200))
			asked := &prober{answers: make(map[string]error), asked: make(map[string][]time.Time), takes: time.Second}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			p.Check(ctx, balancer.CheckOptions{Prober: asked, Concurrency: concurrency})
			if asked.most != want {
				t.Errorf("%d probes ran at once, want %d", asked.most, want)
			}
			for _, e := range numbered(200) {
				if len(asked.times(e.Addr)) == 0 {
					t.Errorf("%s was never probed", e.Addr)
				}
			}
		})
	}
}

func TestTheCheckFollowsEndpointsAsTheyComeAndGo(t *testing.T) {
	checked(t, balancer.Options{}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
		time.Sleep(time.Minute)
		p.Update(endpoints(1, 1, 1)[1:])
		gone := len(asked.times("A"))
		time.Sleep(interval + time.Millisecond)
		if len(asked.times("C")) == 0 {
			t.Error("C was not probed within an interval of its coming")
		}
		time.Sleep(time.Minute)
		if got := len(asked.times("A")); got != gone {
			t.Errorf("A was probed %d times after it had left", got-gone)
		}
		p.Update(endpoints(1))
		time.Sleep(interval + time.Millisecond)
		if got := len(asked.times("A")); got == gone {
			t.Error("A is not probed after its return")
		}
	})
}

func TestAnEndpointThatLeavesAndReturnsIsUpUntilItsProbesSayOtherwise(t *testing.T) {
	checked(t, balancer.Options{}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
		_, leases := fill(t, p, 10) // for the pool to remember the endpoint
		asked.answer("A", errRefused)
		probes(asked, "A", 3)
		p.Update(endpoints(1, 1)[1:])
		p.Update(endpoints(1, 1))
		mustBe(t, p, "A", true, false, "")
		if got := serve(t, p, 100); got["A"] == 0 {
			t.Error("A gets no connections")
		}
		probes(asked, "A", 3)
		if status(t, p, "A").Up {
			t.Error("A is up")
		}
		for i := range leases {
			leases[i].Done(balancer.Broken)
		}
	})
}

func TestTheVerdictsEndWithTheCheck(t *testing.T) {
	checked(t, balancer.Options{}, 3, func(p *balancer.Pool, asked *prober, end func()) {
		asked.answer("A", errRefused)
		asked.answer("B", balancer.Draining{Reason: "evacuation"})
		probes(asked, "A", 3)
		end()
		for _, addr := range []string{"A", "B", "C"} {
			mustBe(t, p, addr, true, false, "")
		}
	})
}

func TestAProbeThatIsInterruptedIsNobodysFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hear := func(c balancer.Change) { t.Errorf("heard of %+v", c) }
		p := newPool(balancer.Options{OnChange: hear}, endpoints(1, 1))
		asked := &prober{answers: make(map[string]error), asked: make(map[string][]time.Time), takes: time.Hour}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		p.Check(ctx, balancer.CheckOptions{Prober: asked, Timeout: time.Hour, Fall: 1})
	})
}

func TestAProbeThatThisHostCannotMakeIsNobodysFailure(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS} {
		checked(t, balancer.Options{}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
			asked.answer("B", fmt.Errorf("no answer: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", errno)}))
			probes(asked, "B", 10)
			mustBe(t, p, "B", true, false, "")
			asked.answer("B", errRefused)
			probes(asked, "B", 3)
			asked.answer("B", errno)
			probes(asked, "B", 10)
			mustBe(t, p, "B", false, false, "check failed: connection refused (3 of 3)")
		})
	}
}

func TestWhenTheCheckFindsNobodyWellAllAreTried(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		checked(t, balancer.Options{Policy: policy}, 3, func(p *balancer.Pool, asked *prober, _ func()) {
			for _, addr := range []string{"A", "B"} {
				asked.answer(addr, errors.New("wrong path"))
			}
			asked.answer("C", balancer.Draining{Reason: "404"})
			probes(asked, "A", 5)
			if got := serve(t, p, 300); len(got) != 3 {
				t.Errorf("got %v, want all three tried", got)
			}
		})
	})
}

func TestSuccessfulProbesBringTheTrialOfAnUnreachableEndpointForward(t *testing.T) {
	o := balancer.Options{MaxFails: 3, FailTimeout: time.Hour}
	checked(t, o, 3, func(p *balancer.Pool, asked *prober, _ func()) {
		probes(asked, "B", 5)
		failAt(t, p, "B", 3, nil)
		probes(asked, "B", 1)
		if got := serve(t, p, 100); got["B"] != 0 {
			t.Fatal("a trial after one probe")
		}
		probes(asked, "B", 1)
		mustBeEjected(t, p, "B", true)
		trial := pickAt(t, p, "B")
		trial.Done(balancer.ConnectFailed)
		if got := serve(t, p, 100); got["B"] != 0 {
			t.Fatal("a second trial without new probes")
		}
		probes(asked, "B", 2)
		trial = pickAt(t, p, "B")
		trial.Established(0)
		mustBeEjected(t, p, "B", false)
	})
}

func TestProbesSayNothingOfAnEndpointThatRefuses(t *testing.T) {
	o := balancer.Options{MaxFails: 3, FailTimeout: time.Hour}
	checked(t, o, 3, func(p *balancer.Pool, asked *prober, _ func()) {
		for range 3 {
			l := pickAt(t, p, "B")
			l.Done(balancer.Refused)
		}
		probes(asked, "B", 20)
		if got := serve(t, p, 100); got["B"] != 0 {
			t.Error("a trial before its time")
		}
	})
}

func TestAnEndpointThatComesUpStartsSlowly(t *testing.T) {
	o := balancer.Options{SlowStart: balancer.SlowStart{ConnectsPerSecond: pace, For: slowTime}}
	for _, problem := range []error{errRefused, balancer.Draining{Reason: "evacuation"}} {
		checked(t, o, 2, func(p *balancer.Pool, asked *prober, _ func()) {
			asked.answer("B", problem)
			probes(asked, "B", 3)
			asked.answer("B", nil)
			for status(t, p, "B").Reason != "slow start: 50 connections/s for 30s" {
				probes(asked, "B", 1)
			}
			mustStartSlowly(t, p, "B")
		})
	}
}

func TestOnChangeHearsOfTheCheck(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	o := balancer.Options{MaxFails: 2, FailTimeout: time.Hour, OnChange: func(c balancer.Change) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, fmt.Sprintf("%s %v: %s", c.Address, c.Up, c.Reason))
	}}
	checked(t, o, 2, func(p *balancer.Pool, asked *prober, end func()) {
		asked.answer("B", balancer.Draining{Reason: "evacuation"})
		probes(asked, "B", 2)
		asked.answer("B", errRefused)
		probes(asked, "B", 5)
		asked.answer("B", nil)
		probes(asked, "B", 3)
		failAt(t, p, "B", 2, nil)
		asked.answer("B", errRefused)
		probes(asked, "B", 3)
		asked.answer("B", nil)
		probes(asked, "B", 2) // no return: it is still ejected
		trial := pickAt(t, p, "B")
		trial.Established(0)
		asked.answer("B", errRefused)
		probes(asked, "B", 3)
		end()
		want := []string{
			"B false: draining: evacuation",
			"B false: check failed: connection refused (3 of 3)",
			"B true: the check succeeded",
			"B false: connect failed (2 of 2 within 1h0m0s), next try in 1h0m0s",
			"B false: check failed: connection refused (3 of 3)",
			"B true: a connection succeeded",
			"B false: check failed: connection refused (3 of 3)",
			"B true: it is not checked any more",
		}
		if !slices.Equal(heard, want) {
			t.Errorf("heard\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(want, "\n"))
		}
	})
}
