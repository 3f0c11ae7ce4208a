package exhook

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/exhook/hook"
)

func earlyHooks(queue int) *Hooks {
	return &Hooks{EarlyAck: []hook.Hook{hook.ClientConnected, hook.MessageDelivered, hook.ClientAuthenticate}, EarlyAckQueue: queue}
}

func TestEarlyAcknowledgedHooksAreAnsweredAtOnceAndDeliveredInOrder(t *testing.T) {
	hooks := []string{"client.connected", "message.delivered", "client.authenticate"}
	a, b := aProvider(t, hooks...), aProvider(t, hooks...)
	free := make(chan struct{})
	for _, p := range []*provider{a, b} {
		p.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
			if h.hook == hook.MessageDelivered {
				select {
				case <-free:
				case <-ctx.Done():
				}
			}
			return nil, nil
		})
	}
	r := aRig(t, setup{settings: Settings{Hooks: earlyHooks(0)}}, a, b)
	r.mustLoad(node1)
	r.loaded(a, b)
	for n := range 10 {
		for i := range 5 {
			if reply := r.mustCall(hook.MessageDelivered, fmt.Sprint("c", i), fmt.Sprint(n)); len(reply) != 0 {
				t.Fatalf("%x", reply)
			}
		}
	}
	if reply := r.mustCall(hook.ClientAuthenticate, "c", ""); string(reply) != "\x18\x01" {
		t.Errorf("a deciding hook was answered early: %x", reply)
	}
	eventually(t, "one of each client under way", func() bool {
		return len(a.got(hook.MessageDelivered))+len(b.got(hook.MessageDelivered)) == 5 && r.u.Status().EarlyWaiting == 50
	})
	close(free)
	if err := r.u.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := map[string]int{}
	for _, p := range []*provider{a, b} {
		for _, h := range p.got(hook.MessageDelivered) {
			if h.topic != fmt.Sprint(next[h.client]) {
				t.Errorf("%s: %s, want %d", h.client, h.topic, next[h.client])
			}
			next[h.client]++
		}
	}
	for i := range 5 {
		if n := next[fmt.Sprint("c", i)]; n != 10 {
			t.Errorf("%d of client %d", n, i)
		}
	}
	if s := r.u.Stats(); s.EarlyQueued["message.delivered"] != 50 || len(s.EarlyDropped) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatTheEarlyQueueCannotHoldIsDroppedAndCounted(t *testing.T) {
	a := aProvider(t, "client.connected")
	free := make(chan struct{})
	a.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook != hook.ProviderLoaded {
			<-free
		}
		return nil, nil
	})
	r := aRig(t, setup{settings: Settings{Hooks: earlyHooks(3)}}, a)
	r.mustLoad(node1)
	for i := range 5 {
		r.mustCall(hook.ClientConnected, fmt.Sprint(i), "")
	}
	if s := r.u.Stats(); s.EarlyQueued["client.connected"] != 3 || s.EarlyDropped["client.connected"] != 2 {
		t.Errorf("%+v", s)
	}
	close(free)
	if err := r.u.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(a.got()); n != 3 {
		t.Errorf("%d delivered", n)
	}
}

func TestEarlyAcknowledgedHooksWaitForAProviderThatIsDown(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{settings: Settings{Hooks: earlyHooks(0)}}, a)
	r.mustLoad(node1)
	a.kill()
	for i := range 10 {
		r.mustCall(hook.ClientConnected, "c", fmt.Sprint(i))
	}
	a.start()
	if err := r.u.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(a.got()); n != 10 {
		t.Errorf("%d delivered", n)
	}
}

func TestEarlyAcknowledgedHooksAreTriedAgainAndThenDropped(t *testing.T) {
	a := aProvider(t, "client.connected")
	var failures atomic.Int32
	a.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook != hook.ProviderLoaded && failures.Add(-1) >= 0 {
			return nil, grpcstatus.Error(codes.Unavailable, "not now")
		}
		return nil, nil
	})
	r := aRig(t, setup{settings: Settings{Hooks: earlyHooks(0)}}, a)
	r.mustLoad(node1)
	failures.Store(2)
	r.mustCall(hook.ClientConnected, "c", "")
	eventually(t, "delivered", func() bool { return len(a.got()) == 3 })
	eventually(t, "off the queue", func() bool { return r.u.Status().EarlyWaiting == 0 })
	if s := r.u.Stats(); s.EarlyDropped["client.connected"] != 0 {
		t.Errorf("%+v", s)
	}
	failures.Store(100)
	r.mustCall(hook.ClientConnected, "c", "")
	eventually(t, "dropped", func() bool { return r.u.Stats().EarlyDropped["client.connected"] == 1 })
	if n := len(a.got()); n != 3+earlySends {
		t.Errorf("%d attempts", n-3)
	}
}

func TestWhatIsNotDeliveredAtTheEndIsCounted(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{settings: Settings{Hooks: earlyHooks(0)}}, a)
	r.mustLoad(node1)
	a.kill()
	for i := range 10 {
		r.mustCall(hook.ClientConnected, fmt.Sprint("c", i%3), "")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.u.Drain(ctx); err == nil {
		t.Error("drained")
	}
	r.stop()
	if n := r.u.Stats().EarlyDropped["client.connected"]; n != 10 {
		t.Errorf("%d counted", n)
	}
}

func TestAProviderThatIsDownHoldsUpNoEarlyNotificationsOfOthers(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "message.delivered")
	r := aRig(t, setup{settings: Settings{Hooks: earlyHooks(0)}}, a, b)
	r.mustLoad(node1)
	r.loaded(a, b)
	a.kill()
	eventually(t, "lost", func() bool { return !r.status(a.addr).Connected })
	for i := range 2 * stuck {
		r.mustCall(hook.ClientConnected, fmt.Sprint("c", i), "")
	}
	r.mustCall(hook.MessageDelivered, "another", "")
	eventually(t, "delivered to the one that is there", func() bool { return len(b.got(hook.MessageDelivered)) == 1 })
	a.start()
	if err := r.u.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(a.got()); n != 2*stuck {
		t.Errorf("%d delivered to the other", n)
	}
}
