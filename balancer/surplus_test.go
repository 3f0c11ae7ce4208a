package balancer_test

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

// returned is a pool whose third endpoint was away while n connections came.
func returned(t *testing.T, o balancer.Options, n int) *balancer.Pool {
	t.Helper()
	p := newPool(o, endpoints(1, 1))
	fill(t, p, n)
	p.Update(endpoints(1, 1, 1))
	return p
}

func TestTheSurplusIsWhatIsAboveTheFairShare(t *testing.T) {
	p := returned(t, balancer.Options{}, 60)
	if got, want := p.Surplus(10), map[string]int{"A": 10, "B": 10}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	fill(t, p, 20) // least_conn gives them to C
	if got := p.Surplus(15); len(got) != 0 {
		t.Errorf("30, 30 and 20 of 80: got %v within 15 percent", got)
	}
	if got, want := p.Surplus(10), map[string]int{"A": 3, "B": 3}; !maps.Equal(got, want) {
		t.Errorf("30, 30 and 20 of 80: got %v, want %v beyond 10 percent", got, want)
	}
}

func TestAShareIsByWeight(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(1))
	fill(t, p, 40)
	p.Update(endpoints(1, 3))
	if got, want := p.Surplus(0), map[string]int{"A": 30}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestABackupHasNoShareWhileThereAreOthers(t *testing.T) {
	set := []balancer.Endpoint{{Addr: "A"}, {Addr: "B", Backup: true}}
	p := newPool(balancer.Options{}, set[1:])
	fill(t, p, 5)
	if got := p.Surplus(0); len(got) != 0 {
		t.Errorf("the only endpoint has a surplus: %v", got)
	}
	p.Update(set)
	if got, want := p.Surplus(50), map[string]int{"B": 5}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNobodyHasASurplusWhileAnEndpointCannotTakeIt(t *testing.T) {
	for name, ail := range map[string]func(*balancer.Pool){
		"drained": func(p *balancer.Pool) {
			if err := p.SetDraining("C", true); err != nil {
				t.Fatal(err)
			}
		},
		"ejected": func(p *balancer.Pool) { failAt(t, p, "C", 1, nil) },
		"full": func(p *balancer.Pool) {
			p.Update(append(endpoints(1, 1), balancer.Endpoint{Addr: "C", MaxConnections: 1}))
			fill(t, p, 1)
		},
	} {
		p := returned(t, balancer.Options{MaxFails: 1}, 60)
		ail(p)
		if got := p.Surplus(10); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnEndpointThatIsFullWithMoreThanItsShareHasASurplus(t *testing.T) {
	p := newPool(balancer.Options{}, []balancer.Endpoint{{Addr: "A", MaxConnections: 30}})
	fill(t, p, 30)
	p.Update([]balancer.Endpoint{{Addr: "A", MaxConnections: 30}, {Addr: "B", MaxConnections: 30}})
	if got, want := p.Surplus(10), map[string]int{"A": 15}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNobodyHasASurplusDuringASlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(balancer.Options{SlowStart: balancer.SlowStart{ConnectsPerSecond: 1, For: time.Minute}}, endpoints(1, 1))
		time.Sleep(2 * time.Minute)
		fill(t, p, 60)
		p.Update(endpoints(1, 1, 1))
		if got := p.Surplus(10); len(got) != 0 {
			t.Errorf("at its beginning: %v", got)
		}
		time.Sleep(time.Minute)
		if got := p.Surplus(10); len(got) != 2 {
			t.Errorf("behind its end: %v", got)
		}
	})
}

func TestOnlyTheClientsOfAnEndpointThatIsBackAreMisplaced(t *testing.T) {
	const n = 3000
	p := newPool(balancer.Options{Policy: balancer.Hash}, numbered(4))
	home := make(map[balancer.Key]string)
	for i := range n {
		key := balancer.KeyOf(fmt.Sprint("client-", i))
		l, err := p.Pick(balancer.PickInfo{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		home[key] = l.Addr()
		l.Done(balancer.Served)
	}
	back := numbered(4)[3].Addr
	p.Update(numbered(3))
	leases := make(map[balancer.Key]balancer.Lease)
	for key := range home {
		l, err := p.Pick(balancer.PickInfo{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		leases[key] = l
	}
	p.Update(numbered(4))
	wrong := 0
	for key, l := range leases {
		if p.Misplaced(&l, key) != (home[key] == back) {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d are misjudged", wrong, n)
	}
}
