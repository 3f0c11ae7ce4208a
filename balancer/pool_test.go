package balancer_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

func TestAnEmptyPoolIsNotReadyAndPicksNothing(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		p := balancer.New("emqx", balancer.Options{Policy: policy})
		if p.Ready() {
			t.Error("ready without endpoints")
		}
		mustFindNone(t, p)
		p.Update(endpoints(1))
		if !p.Ready() {
			t.Error("not ready with an endpoint")
		}
		p.Update(nil)
		mustFindNone(t, p)
	})
}

func TestUpdateKeepsWhatIsKnownOfAnEndpoint(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(1, 1))
	_, leases := fill(t, p, 4)
	p.Update(append(endpoints(3, 1, 1), balancer.Endpoint{Addr: "A", Weight: 9}))
	a := status(t, p, "A")
	if a.Connections != 2 || a.ConnectsTotal != 2 || a.Weight != 3 {
		t.Errorf("A is %+v, want its 2 connections and its new weight", a)
	}
	if n := len(p.Status().Endpoints); n != 3 {
		t.Errorf("%d endpoints, want 3: the second A is the same endpoint", n)
	}
	for i := range leases {
		leases[i].Done(balancer.Served)
	}
	if a := status(t, p, "A"); a.Connections != 0 {
		t.Errorf("A has %d connections after all are done", a.Connections)
	}
}

func TestALeaseOutlivesItsEndpoint(t *testing.T) {
	hear := func(c balancer.Change) { t.Errorf("heard of a departed endpoint: %+v", c) }
	p := newPool(balancer.Options{MaxFails: 1, OnChange: hear}, endpoints(1))
	l := pick(t, p)
	p.Update(nil)
	if l.Addr() != "A" || len(p.Status().Endpoints) != 0 {
		t.Errorf("lease on %q, status %+v; want A and nothing", l.Addr(), p.Status())
	}
	l.Established(time.Millisecond)
	l.Done(balancer.ConnectFailed)
}

func TestAnEndpointThatReturnsStillCountsItsConnections(t *testing.T) {
	p := newPool(balancer.Options{}, []balancer.Endpoint{{Addr: "A", MaxConnections: 1}})
	l := pick(t, p)
	p.Update(nil)
	p.Update([]balancer.Endpoint{{Addr: "A", MaxConnections: 1}})
	mustFindNone(t, p)
	l.Done(balancer.Served)
	pick(t, p)
}

func TestAnEndpointThatReturnsIsHealthyUntilProvenOtherwise(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.RoundRobin, MaxFails: 1}, endpoints(1, 1))
	pickAt(t, p, "A")
	failAt(t, p, "A", 1, nil)
	p.Update(endpoints(1, 1)[1:])
	p.Update(endpoints(1, 1))
	if a := status(t, p, "A"); a.Ejected || a.Connections != 1 {
		t.Errorf("A is %+v, want it in use with its connection", a)
	}
}

func TestAnEndpointThatReturnsWithoutConnectionsStartsAnew(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(1))
	l := pick(t, p)
	l.Done(balancer.Served)
	p.Update(nil)
	p.Update(endpoints(1))
	if a := status(t, p, "A"); a.ConnectsTotal != 0 {
		t.Errorf("A is %+v, want nothing remembered", a)
	}
}

func TestConfigureChangesThePolicyUnderLiveConnections(t *testing.T) {
	p := newPool(balancer.Options{Policy: balancer.RoundRobin}, endpoints(1, 1))
	fill(t, p, 4)
	p.Configure(balancer.Options{Policy: balancer.LeastConn})
	if s := p.Status(); s.Policy != balancer.LeastConn || s.Endpoints[0].Connections != 2 {
		t.Errorf("status %+v, want least_conn with 2 connections each", s)
	}
	p.Configure(balancer.Options{Policy: "fastest"})
	if got := p.Status().Policy; got != balancer.LeastConn {
		t.Errorf("an unknown policy became %q, want least_conn", got)
	}
}

func TestAPickNeverReturnsWhatItIsToAvoid(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		p := newPool(balancer.Options{Policy: policy}, endpoints(5, 1, 1, 2))
		for range 100 {
			var tried []balancer.NodeID
			var addrs []string
			for range 4 {
				l := pick(t, p, tried...)
				tried, addrs = append(tried, l.ID()), append(addrs, l.Addr())
				l.Done(balancer.Served)
			}
			if slices.Sort(addrs); strings.Join(addrs, "") != "ABCD" {
				t.Fatalf("four tries went to %v, want each endpoint once", addrs)
			}
			mustFindNone(t, p, tried...)
		}
		var retries uint64
		for _, e := range p.Status().Endpoints {
			retries += e.RetriesTotal
		}
		if retries != 300 {
			t.Errorf("%d retries counted, want 300", retries)
		}
	})
}

func TestBackupsServeOnlyWhenNoPrimaryIsAvailable(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		set := endpoints(1, 1, 1, 1)
		set[0].Backup, set[2].Backup = true, true
		set[3].MaxConnections = 1
		p := newPool(balancer.Options{Policy: policy, MaxFails: 1}, set)

		if got := serve(t, p, 100); got["A"]+got["C"] != 0 {
			t.Errorf("backups were used while primaries are available: %v", got)
		}
		if err := p.SetDraining("B", true); err != nil {
			t.Fatal(err)
		}
		d := pick(t, p)
		if d.Addr() != "D" {
			t.Fatalf("picked %s, want D, the only primary left", d.Addr())
		}
		mustBeEven(t, serve(t, p, 1000), []string{"A", "C"}, 500, 0.25)
		if l := pick(t, p, d.ID()); l.Addr() == "D" || l.Addr() == "B" {
			t.Errorf("picked %s, want a backup", l.Addr())
		}
		d.DoneError(balancer.Refused, nil)
		if got := serve(t, p, 10); got["A"]+got["C"] != 10 {
			t.Errorf("got %v, want the backups while D is ejected", got)
		}
	})
}

func TestDrainingGivesNoNewConnectionsAndKeepsTheOld(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		p := newPool(balancer.Options{Policy: policy}, endpoints(1, 1))
		fill(t, p, 2)
		before := status(t, p, "A").Connections
		if err := p.SetDraining("A", true); err != nil {
			t.Fatal(err)
		}
		p.Update(endpoints(1, 1, 1))
		p.Configure(balancer.Options{Policy: policy, MaxFails: 3})
		if got := serve(t, p, 50); got["A"] != 0 {
			t.Errorf("a draining endpoint got %d connections", got["A"])
		}
		a := status(t, p, "A")
		if !a.Draining || !a.Up || a.Reason != "drained by hand" || a.Connections != before {
			t.Errorf("A is %+v, want it draining with its %d connections", a, before)
		}
		p.Update(endpoints(1))
		mustFindNone(t, p)
		if err := p.SetDraining("A", false); err != nil {
			t.Fatal(err)
		}
		pick(t, p)
	})
}

func TestDrainingHoldsWhenTheEndpointLeavesAndReturns(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(1))
	if err := p.SetDraining("A", true); err != nil {
		t.Fatal(err)
	}
	p.Update(nil)
	p.Update(nil)
	p.Update(endpoints(1))
	mustFindNone(t, p)

	p.Update(nil)
	if err := p.SetDraining("A", false); err != nil {
		t.Errorf("cannot be undone while the endpoint is away: %v", err)
	}
	p.Update(endpoints(1))
	pick(t, p)
}

func TestDrainingAnUnknownEndpointSaysWhatToDo(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(1))
	pick(t, p)
	p.Update(nil)
	for _, addr := range []string{"A", "Z"} {
		err := p.SetDraining(addr, true)
		if !errors.Is(err, balancer.ErrUnknownEndpoint) || !strings.Contains(err.Error(), "mqedge status") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestMaxConnectionsIsNeverExceeded(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		set := endpoints(5, 1, 1)
		set[0].MaxConnections, set[1].MaxConnections, set[2].MaxConnections = 3, 7, 1
		p := newPool(balancer.Options{Policy: policy}, set)
		counts, _ := fill(t, p, 11)
		if want := (map[string]int{"A": 3, "B": 7, "C": 1}); !maps.Equal(counts, want) {
			t.Errorf("filled as %v, want %v", counts, want)
		}
		mustFindNone(t, p)
		if got := status(t, p, "A").Reason; got != "full: 3 of 3 connections" {
			t.Errorf("reason %q", got)
		}
		set[1].MaxConnections = 0
		p.Update(set)
		if l := pick(t, p); l.Addr() != "B" {
			t.Errorf("picked %s, want B which has no limit any more", l.Addr())
		}
	})
}

func TestMaxConnectionsIsNeverExceededByPicksAtTheSameTime(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		p := newPool(balancer.Options{Policy: policy}, []balancer.Endpoint{{Addr: "A", MaxConnections: 3}})
		for range 10_000 {
			leases := pickAtOnce(p, 6)
			if len(leases) != 3 {
				t.Fatalf("%d connections, limit 3", len(leases))
			}
			for i := range leases {
				leases[i].Done(balancer.Served)
			}
		}
	})
}

// pickAtOnce picks from n goroutines and returns the leases that were to be had.
func pickAtOnce(p *balancer.Pool, n int) []balancer.Lease {
	picked := make(chan balancer.Lease, n)
	var ready atomic.Int32
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for ready.Add(1); ready.Load() < int32(n); { // spinning, because a wake-up would part them by microseconds
				runtime.Gosched()
			}
			if l, err := p.Pick(balancer.PickInfo{}); err == nil {
				picked <- l
			}
		})
	}
	wg.Wait()
	close(picked)
	var leases []balancer.Lease
	for l := range picked {
		leases = append(leases, l)
	}
	return leases
}

func TestASecondDoneDoesNothing(t *testing.T) {
	p := newPool(balancer.Options{MaxFails: 9}, endpoints(1, 1))
	l := pick(t, p)
	l.Done(balancer.ConnectFailed)
	l.Done(balancer.ConnectFailed)
	if e := status(t, p, l.Addr()); e.Connections != 0 || e.FailuresTotal != 1 {
		t.Errorf("after two Dones: %+v", e)
	}
	var none balancer.Lease
	none.Established(0)
	none.Answered(0)
	none.Done(balancer.Served)
	if none.Addr() != "" || none.ID() != 0 {
		t.Error("the zero lease has an endpoint")
	}
}

// Everything at once: limits hold at every moment, and in the end every place is given back.
func TestLimitsAndCountsHoldUnderConcurrency(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		const limit = 4
		set := numbered(8)
		for i := range set {
			set[i].MaxConnections = limit
			set[i].Weight = uint32(1 + i%3)
			set[i].Backup = i == 7
		}
		o := balancer.Options{Policy: policy, MaxFails: 2, FailTimeout: time.Millisecond, OnChange: func(balancer.Change) {}}
		o.SlowStart = balancer.SlowStart{ConnectsPerSecond: 1000, For: time.Millisecond}
		p := newPool(o, set)
		stop := make(chan struct{})
		var workers, disturbers sync.WaitGroup
		for range 16 {
			workers.Go(func() { connectAtRandom(p, 500) })
		}
		disturb := func(f func()) {
			disturbers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						f()
					}
				}
			})
		}
		disturb(func() { p.Update(set[:1+rand.IntN(len(set))]) })
		disturb(func() { p.Configure(o); _ = p.SetDraining(set[0].Addr, rand.IntN(2) == 0) })
		disturb(func() {
			for _, e := range p.Status().Endpoints {
				if e.Connections > limit {
					t.Errorf("%s has %d connections, limit %d", e.Address, e.Connections, limit)
				}
			}
		})
		ctx, end := context.WithCancel(t.Context())
		disturbers.Go(func() {
			p.Check(ctx, balancer.CheckOptions{Prober: fickle{}, Interval: time.Millisecond, Rise: 1, Fall: 1})
		})
		workers.Wait()
		close(stop)
		end()
		disturbers.Wait()

		p.Update(set)
		for _, e := range p.Status().Endpoints {
			if e.Connections != 0 {
				t.Errorf("%s has %d connections after all are done", e.Address, e.Connections)
			}
		}
	})
}

// fickle is a prober of chance.
type fickle struct{}

func (fickle) Probe(context.Context, string) error {
	return []error{nil, errors.New("no luck"), balancer.Draining{}}[rand.IntN(3)]
}

// connectAtRandom makes n connections that overlap and end in all possible ways.
func connectAtRandom(p *balancer.Pool, n int) {
	var open []balancer.Lease
	for range n {
		info := balancer.PickInfo{Key: balancer.Key(rand.IntN(50))}
		for range 3 {
			l, err := p.Pick(info)
			if err != nil {
				break
			}
			info.Avoid = append(info.Avoid, l.ID())
			if rand.IntN(3) == 0 {
				l.Done(balancer.ConnectFailed)
				continue
			}
			l.Established(time.Microsecond)
			l.Answered(time.Duration(rand.Int64N(int64(3 * time.Second))))
			open = append(open, l)
			break
		}
		for len(open) > rand.IntN(4) {
			open[0].Done(balancer.Outcome(rand.IntN(4)))
			open = open[1:]
		}
	}
	for i := range open {
		open[i].Done(balancer.Served)
	}
}
