package balancer_test

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

const failTimeout = 10 * time.Second

// inBubble runs a test for each policy with a pool of A, B and C whose endpoints are out after 3 failures within 10 s.
func inBubble(t *testing.T, test func(*testing.T, *balancer.Pool)) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		synctest.Test(t, func(t *testing.T) {
			test(t, newPool(balancer.Options{Policy: policy, MaxFails: 3, FailTimeout: failTimeout}, endpoints(1, 1, 1)))
		})
	})
}

func mustBeEjected(t *testing.T, p *balancer.Pool, addr string, want bool) {
	t.Helper()
	if e := status(t, p, addr); e.Ejected != want || e.Up == want {
		t.Errorf("%s ejected=%v up=%v, want ejected=%v", addr, e.Ejected, e.Up, want)
	}
}

func TestFailuresWithinTheTimeoutEject(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "B", 2, nil)
		mustBeEjected(t, p, "B", false)
		time.Sleep(failTimeout)
		failAt(t, p, "B", 1, nil)
		mustBeEjected(t, p, "B", true)
		if got := serve(t, p, 60); got["B"] != 0 {
			t.Errorf("an ejected endpoint got %d connections", got["B"])
		}
	})
}

func TestFailuresLapseAfterTheTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		for range 10 {
			failAt(t, p, "B", 1, nil)
			time.Sleep(failTimeout/2 + time.Second)
			mustBeEjected(t, p, "B", false)
		}
	})
}

func TestASuccessDoesNotEraseFailures(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		for range 3 {
			failAt(t, p, "B", 1, nil)
			serve(t, p, 60)
		}
		mustBeEjected(t, p, "B", true)
	})
}

func TestOnlyFailuresOfConnectingCount(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		for range 60 {
			l := pick(t, p)
			l.Established(time.Millisecond)
			l.Done(balancer.Broken)
		}
		for _, e := range p.Status().Endpoints {
			if e.Ejected || e.FailuresTotal != 0 || e.ConnectSeconds != 0.001 {
				t.Errorf("after connections that broke: %+v", e)
			}
		}
		l := pick(t, p)
		l.Done(balancer.Refused)
		if e := status(t, p, l.Addr()); e.FailuresTotal != 1 {
			t.Errorf("after a refusal: %+v", e)
		}
	})
}

func TestOneTrialIsLetThroughPerTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "B", 3, nil)
		for range 3 {
			time.Sleep(failTimeout - time.Nanosecond)
			if counts, _ := fill(t, p, 60); counts["B"] != 0 {
				t.Fatal("a trial before its time")
			}
			time.Sleep(time.Nanosecond)
			if counts, _ := fill(t, p, 200); counts["B"] != 1 {
				t.Fatalf("%d trials, want 1", counts["B"])
			}
			mustBeEjected(t, p, "B", true)
		}
	})
}

func TestASuccessfulTrialBringsTheEndpointBack(t *testing.T) {
	for name, succeed := range map[string]func(*balancer.Lease){
		"established": func(l *balancer.Lease) { l.Established(time.Millisecond) },
		"served":      func(l *balancer.Lease) { l.Done(balancer.Served) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *balancer.Pool) {
				failAt(t, p, "B", 3, nil)
				time.Sleep(failTimeout)
				trial := pickAt(t, p, "B")
				mustBeEjected(t, p, "B", true)
				succeed(&trial)
				mustBeEjected(t, p, "B", false)
				if got := status(t, p, "B").Reason; got != "" {
					t.Errorf("reason %q of a healthy endpoint", got)
				}
				if got, _ := fill(t, p, 900); got["B"] < 200 {
					t.Errorf("B got %d of 900 connections", got["B"])
				}
				failAt(t, p, "B", 2, nil)
				mustBeEjected(t, p, "B", false)
			})
		})
	}
}

func TestAFailedTrialKeepsTheEndpointOutForLonger(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "B", 3, nil)
		time.Sleep(failTimeout)
		trial := pickAt(t, p, "B")
		time.Sleep(4 * time.Second)
		trial.Done(balancer.ConnectFailed)
		time.Sleep(2*failTimeout - time.Second)
		if counts, _ := fill(t, p, 100); counts["B"] != 0 {
			t.Error("back too early after a failed trial")
		}
		time.Sleep(time.Second)
		pickAt(t, p, "B")
	})
}

// pickAt opens connections until one goes to addr.
func pickAt(t *testing.T, p *balancer.Pool, addr string) balancer.Lease {
	t.Helper()
	for range 10_000 {
		if l := pick(t, p); l.Addr() == addr {
			return l
		}
	}
	t.Fatalf("%s was never picked", addr)
	return balancer.Lease{}
}

func TestASuccessFromBeforeTheEjectionProvesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		old := pickAt(t, p, "B")
		failAt(t, p, "B", 3, nil)
		old.Established(time.Second)
		mustBeEjected(t, p, "B", true)

		time.Sleep(failTimeout)
		trial := pickAt(t, p, "B")
		trial.Established(time.Second)
		failAt(t, p, "B", 3, nil)
		trial.Done(balancer.Served) // its own ejection is over; this is the next one
		mustBeEjected(t, p, "B", true)
	})
}

func TestTheOnlyEndpointIsNeverEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{MaxFails: 2, FailTimeout: failTimeout}, endpoints(1))
		failAt(t, p, "A", 5, nil)
		mustBeEjected(t, p, "A", false)
		if got, want := status(t, p, "A").Reason, "connect failed (2 of 2 within 10s), in use as the only endpoint"; got != want {
			t.Errorf("reason %q, want %q", got, want)
		}
	})
}

func TestAnEndpointComesBackWhenItBecomesTheOnlyOne(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "A", 3, nil)
		p.Update(endpoints(1))
		mustBeEjected(t, p, "A", false)
	})
}

func TestMaxFailsZeroTurnsPassiveHealthOff(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "A", 3, nil)
		mustBeEjected(t, p, "A", true)
		p.Configure(balancer.Options{})
		mustBeEjected(t, p, "A", false)
		failAt(t, p, "A", 30, nil)
		if a := status(t, p, "A"); a.Ejected || a.FailuresTotal != 33 {
			t.Errorf("A is %+v, want its failures counted and nothing else", a)
		}
	})
}

func TestHealthSurvivesAnUpdate(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "A", 3, nil)
		failAt(t, p, "B", 2, nil)
		p.Update(endpoints(1, 1, 1, 1))
		mustBeEjected(t, p, "A", true)
		failAt(t, p, "B", 1, nil)
		mustBeEjected(t, p, "B", true)
	})
}

func TestWhenAllAreOutAllAreTried(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		ejectAll(t, p)
		var tried []balancer.NodeID
		for range 3 {
			l := pick(t, p, tried...)
			tried = append(tried, l.ID())
			l.Done(balancer.ConnectFailed)
		}
		mustFindNone(t, p, tried...)
		if err := p.SetDraining("A", true); err != nil {
			t.Fatal(err)
		}
		if counts, _ := fill(t, p, 100); counts["A"] != 0 || counts["B"] == 0 || counts["C"] == 0 {
			t.Errorf("got %v, want B and C but not A which is draining", counts)
		}
	})
}

func TestWhenAllAreOutLimitsStillHold(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		set := endpoints(1, 1, 1)
		for i := range set {
			set[i].MaxConnections = 2
		}
		p.Update(set)
		ejectAll(t, p)
		fill(t, p, 6)
		mustFindNone(t, p)
	})
}

func TestAnEjectedEndpointIsNoRefugeWhileOthersAreMerelyFullOrTried(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		set := endpoints(1, 1)
		set[1].MaxConnections = 1
		p.Update(set)
		failAt(t, p, "A", 3, nil)
		b := pick(t, p)
		mustFindNone(t, p)
		b.Done(balancer.Broken)
		mustFindNone(t, p, b.ID())
	})
}

func TestTheFirstToReturnAfterAnOutageIsSoonJoinedByTheOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		ejectAll(t, p)
		time.Sleep(time.Second)
		l := pick(t, p)
		l.Established(time.Millisecond)
		for range 200 { // each other endpoint gets one trial, which succeeds
			l := pick(t, p)
			l.Established(time.Millisecond)
		}
		for _, e := range p.Status().Endpoints {
			if e.Ejected {
				t.Errorf("%s is still out: %s", e.Address, e.Reason)
			}
		}
	})
}

// ejectAll fails every connection until no endpoint is left in use.
func ejectAll(t *testing.T, p *balancer.Pool) {
	t.Helper()
	up := func(e balancer.EndpointStatus) bool { return e.Up }
	for range 1000 {
		if !slices.ContainsFunc(p.Status().Endpoints, up) {
			return
		}
		l := pick(t, p)
		l.Done(balancer.ConnectFailed)
	}
	t.Fatal("endpoints do not get ejected")
}

func TestTheReasonSaysWhatFailedAndWhenTheNextTryIs(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		mustRead := func(want string) {
			t.Helper()
			if got := status(t, p, "B").Reason; got != want {
				t.Errorf("reason\n%q, want\n%q", got, want)
			}
		}
		failAt(t, p, "B", 1, refused)
		mustRead("connect failed: connection refused (1 of 3 within 10s)")
		failAt(t, p, "B", 2, refused)
		mustRead("connect failed: connection refused (3 of 3 within 10s), next try in 10s")
		time.Sleep(3 * time.Second)
		mustRead("connect failed: connection refused (3 of 3 within 10s), next try in 7s")
		time.Sleep(7 * time.Second)
		mustRead("connect failed: connection refused (3 of 3 within 10s), next try with the next connection")
		trial := pickAt(t, p, "B")
		trial.DoneError(balancer.Refused, errors.New("closed before any byte"))
		mustRead("refused: closed before any byte (3 of 3 within 10s), next try in 20s")
		if err := p.SetDraining("B", true); err != nil {
			t.Fatal(err)
		}
		mustRead("drained by hand; refused: closed before any byte (3 of 3 within 10s), next try in 20s")
	})
}

func TestALongErrorDoesNotMakeALongReason(t *testing.T) {
	p := newPool(balancer.Options{MaxFails: 3}, endpoints(1))
	failAt(t, p, "A", 1, errors.New(strings.Repeat("é", 5000)))
	if got := status(t, p, "A").Reason; len(got) > 300 || !strings.HasSuffix(got, "… (1 of 3 within 10s)") {
		t.Errorf("reason %q", got)
	}
}

func TestOnChangeHearsOfEveryEjectionAndReturnOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *balancer.Pool
		var heard []string
		o := balancer.Options{MaxFails: 2, FailTimeout: failTimeout, OnChange: func(c balancer.Change) {
			p.Update(endpoints(1, 1)) // would deadlock under a lock
			word := " out: "
			if c.Up {
				word = " back: "
			}
			heard = append(heard, c.Upstream+" "+c.Address+word+c.Reason)
		}}
		p = newPool(o, endpoints(1, 1))
		late := pickAt(t, p, "A")
		failAt(t, p, "A", 2, nil)
		late.Done(balancer.ConnectFailed)
		time.Sleep(failTimeout)
		trial := pickAt(t, p, "A")
		trial.Established(0)
		trial.Done(balancer.Served)
		failAt(t, p, "A", 2, nil)
		off := o
		off.MaxFails = 0
		p.Configure(off)
		want := []string{
			"emqx A out: connect failed (2 of 2 within 10s), next try in 10s",
			"emqx A back: a connection succeeded",
			"emqx A out: connect failed (2 of 2 within 10s), next try in 20s",
			"emqx A back: passive health was turned off",
		}
		if !slices.Equal(heard, want) {
			t.Errorf("heard\n%s\nwant\n%s", strings.Join(heard, "\n"), strings.Join(want, "\n"))
		}
	})
}
