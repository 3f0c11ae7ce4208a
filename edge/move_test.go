package edge

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/configs"
)

func (m *moves) live() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, t := range m.tasks {
		if !t.hasEnded() {
			n++
		}
	}
	return n
}

// hooked calls f before each line of a log.
type hooked struct {
	slog.Handler
	f func(line string)
}

func (h hooked) Enabled(context.Context, slog.Level) bool { return true }

func (h hooked) Handle(_ context.Context, r slog.Record) error {
	h.f(r.Message)
	return nil
}

func TestAnEndpointThatIsEnabledWhileItIsDrainedIsNotMovedAwayFrom(t *testing.T) {
	p := balancer.New("back", balancer.Options{})
	p.Update([]balancer.Endpoint{{Addr: "127.0.0.1:1"}})
	lease, err := p.Pick(balancer.PickInfo{}) // no connection that could be moved, so a move would not end
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Done(balancer.Served)
	e := New(Options{LogOutput: io.Discard})
	defer e.moves.end()
	e.current.Store(&generation{config: &configs.Config{}, upstreams: map[string]*upstream{"back": {pool: p}}})
	enabled := make(chan error, 1)
	e.log = slog.New(hooked{slog.DiscardHandler, func(line string) {
		if line != "endpoint drained by hand" {
			return
		}
		done := make(chan struct{})
		go func() {
			enabled <- control{e}.Enable("back", "127.0.0.1:1", false)
			close(done)
		}()
		select {
		case <-done: // it did not wait for the drain to begin
		case <-time.After(200 * time.Millisecond):
		}
	}})
	if err := (control{e}).Drain("back", "127.0.0.1:1", admin.Drain{}); err != nil {
		t.Fatal(err)
	}
	if err := <-enabled; err != nil {
		t.Fatal(err)
	}
	if n := e.moves.live(); n > 0 || p.Status().Endpoints[0].Draining {
		t.Errorf("%d moves go on, endpoint %+v", n, p.Status().Endpoints[0])
	}
}

func TestMovesThatAreOverAreForgotten(t *testing.T) {
	h := startEdge(t, oneListener, Options{})
	p := h.current.Load().upstreams["back"].pool
	var set []balancer.Endpoint
	for _, addr := range []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "127.0.0.1:4"} {
		set = append(set, balancer.Endpoint{Addr: addr})
	}
	p.Update(set)
	for _, e := range set {
		if err := (control{h.Edge}).Drain("back", e.Addr, admin.Drain{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return h.moves.live() == 0 })
	}
	h.moves.mu.Lock()
	defer h.moves.mu.Unlock()
	if n := len(h.moves.tasks); n > 1 {
		t.Errorf("%d are remembered", n)
	}
}
