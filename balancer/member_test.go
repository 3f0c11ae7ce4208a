package balancer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

func TestMembersAreTheEndpointsInTheirOrder(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(1, 1))
	first := p.Members()
	if len(first) != 2 || first[0].Addr != "A" || first[1].Addr != "B" || first[0].ID == first[1].ID {
		t.Fatalf("members %+v", first)
	}
	if again := p.Members(); &again[0] != &first[0] {
		t.Error("another slice though nothing changed")
	}
	p.Update(endpoints(1, 1, 1)[1:])
	if now := p.Members(); len(now) != 2 || now[0] != first[1] || now[1].Addr != "C" {
		t.Errorf("members %+v after A left and C came", now)
	}
}

func TestUnfitEndpointsAreNeverPickedAndAreNoRetry(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		p := newPool(balancer.Options{Policy: policy}, endpoints(1, 1, 1))
		unfit := []balancer.NodeID{p.Members()[0].ID, p.Members()[1].ID}
		for key := range balancer.Key(50) {
			l, err := p.Pick(balancer.PickInfo{Key: key, Unfit: unfit})
			if err != nil || l.Addr() != "C" {
				t.Fatalf("picked %q, %v; want C", l.Addr(), err)
			}
			l.Done(balancer.Served)
		}
		if c := status(t, p, "C"); c.RetriesTotal != 0 {
			t.Errorf("%d retries counted", c.RetriesTotal)
		}
		if _, err := p.Pick(balancer.PickInfo{Unfit: unfit, Avoid: []balancer.NodeID{p.Members()[2].ID}}); !errors.Is(err, balancer.ErrNoEndpoint) {
			t.Errorf("picked though each is unfit or avoided: %v", err)
		}
	})
}

func TestTakeBringsAnUnreachableEndpointBack(t *testing.T) {
	p := newPool(balancer.Options{MaxFails: 2, FailTimeout: time.Hour}, endpoints(1, 1))
	a := p.Members()[0].ID
	for range 2 {
		l, err := p.Take(a)
		if err != nil {
			t.Fatal(err)
		}
		l.DoneError(balancer.ConnectFailed, errors.New("connection refused"))
	}
	if s := status(t, p, "A"); s.Up || s.FailuresTotal != 2 {
		t.Fatalf("not ejected: %+v", s)
	}
	l, err := p.Take(a)
	if err != nil {
		t.Fatal("an ejected endpoint cannot be taken:", err)
	}
	l.Established(time.Millisecond)
	l.Done(balancer.Broken)
	if s := status(t, p, "A"); !s.Up || s.Connections != 0 {
		t.Fatalf("not back: %+v", s)
	}
}

func TestTakeKeepsToHandsAndLimits(t *testing.T) {
	set := endpoints(1, 1)
	set[1].MaxConnections = 1
	p := newPool(balancer.Options{}, set)
	a, b := p.Members()[0].ID, p.Members()[1].ID
	if err := p.SetDraining("A", true); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Take(a); !errors.Is(err, balancer.ErrNoEndpoint) {
		t.Error("took a drained endpoint")
	}
	l, err := p.Take(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Take(b); !errors.Is(err, balancer.ErrNoEndpoint) {
		t.Error("took more than MaxConnections")
	}
	l.Done(balancer.Served)
	p.Update(set[:1])
	if _, err := p.Take(b); !errors.Is(err, balancer.ErrNoEndpoint) {
		t.Error("took an endpoint that is gone")
	}
}

func TestAKeyIsTheSameOfBytes(t *testing.T) {
	for _, s := range []string{"", "a", "a client with a longer name than that"} {
		if balancer.KeyOfBytes([]byte(s)) != balancer.KeyOf(s) {
			t.Errorf("%q has two keys", s)
		}
	}
}
