package discovery_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a source that says what it is told to.
type scripted chan []balancer.Endpoint

func (s scripted) Run(ctx context.Context, sink discovery.Sink) error {
	for {
		select {
		case set, ok := <-s:
			if !ok {
				return errors.New("broken")
			}
			sink.Update(set)
		case <-ctx.Done():
			return nil
		}
	}
}

func set(source string, addrs ...string) []balancer.Endpoint {
	var all []balancer.Endpoint
	for _, a := range addrs {
		all = append(all, balancer.Endpoint{Addr: a, Source: source})
	}
	return all
}

func TestAUnionKeepsTheOrderOfItsSourcesAndTheFirstOfEachAddress(t *testing.T) {
	dns, gossip := make(scripted), make(scripted)
	told := make(chan []balancer.Endpoint, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	union := discovery.Union(discovery.Static(set("static", "a", "b")), dns, gossip)
	go func() { done <- union.Run(ctx, discovery.SinkFunc(func(e []balancer.Endpoint) { told <- e })) }()
	expect := func(want ...[]balancer.Endpoint) {
		t.Helper()
		select {
		case got := <-told:
			if !slices.Equal(got, slices.Concat(want...)) {
				t.Fatalf("got %v, want %v", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nothing was said")
		}
	}
	expect(set("static", "a", "b"))
	gossip <- set("gossip", "d", "a")
	expect(set("static", "a", "b"), set("gossip", "d"))
	dns <- set("dns", "c", "d")
	expect(set("static", "a", "b"), set("dns", "c", "d"))
	dns <- nil
	expect(set("static", "a", "b"), set("gossip", "d"))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAUnionEndsWhenOneOfItsSourcesFails(t *testing.T) {
	broken := make(scripted)
	close(broken)
	union := discovery.Union(discovery.Static(nil), broken)
	if err := union.Run(t.Context(), discovery.SinkFunc(func([]balancer.Endpoint) {})); err == nil || err.Error() != "broken" {
		t.Errorf("got %v", err)
	}
}
