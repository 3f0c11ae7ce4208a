package exhook

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/exhook/hook"
)

// gate is a provider that answers nothing but deciding hooks until it is opened.
func gate(t *testing.T, options ...grpc.ServerOption) (*provider, chan struct{}) {
	p := aProvider(t, "message.delivered", "message.publish", "client.authenticate")
	p.options = options
	p.kill()
	p.start()
	open := make(chan struct{})
	p.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook == hook.MessageDelivered || h.hook == hook.MessagePublish {
			select {
			case <-open:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return nil, nil
	})
	return p, open
}

func TestAFloodOfMessagesDoesNotStarveAuthenticate(t *testing.T) {
	for what, options := range map[string][]grpc.ServerOption{"the limits": nil, "the streams of the provider": {grpc.MaxConcurrentStreams(8)}} {
		t.Run(what, func(t *testing.T) {
			a, open := gate(t, options...)
			r := aRig(t, setup{settings: Settings{Hooks: &Hooks{Limits: Limits{Publish: 5, Notifying: 5}}}}, a)
			r.mustLoad(node1)
			var flood sync.WaitGroup
			for i := range 20 {
				flood.Go(func() {
					if _, err := r.call(hook.MessageDelivered, fmt.Sprint(i), "t"); err != nil {
						t.Error(err)
					}
				})
				flood.Go(func() {
					if _, err := r.call(hook.MessagePublish, fmt.Sprint(i), "t"); err != nil {
						t.Error(err)
					}
				})
			}
			most := 10
			if options != nil {
				most = 6
			}
			eventually(t, "as many as may be", func() bool { return r.status(a.addr).InFlight == most && r.u.Status().Waiting == 40-most })
			for i := range 20 {
				r.mustCall(hook.ClientAuthenticate, fmt.Sprint(i), "")
			}
			if n := len(a.got(hook.MessageDelivered, hook.MessagePublish)); n != most {
				t.Errorf("%d messages at the provider, want %d", n, most)
			}
			close(open)
			flood.Wait()
			if n := len(a.got(hook.MessageDelivered, hook.MessagePublish)); n != 40 {
				t.Errorf("%d messages at the provider", n)
			}
		})
	}
}

func TestCallsThatFindNoPlaceToWaitAreAnsweredAndTheOthersAtTheirDeadline(t *testing.T) {
	a, open := gate(t)
	defer close(open)
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{Limits: Limits{Notifying: 1, Waiting: 2}}}}, a)
	r.mustLoad(node1)
	path := hook.Method{Version: hook.V2, Hook: hook.MessageDelivered}.Path()
	results := make(chan error)
	for i := range 5 {
		go func() {
			_, err := r.invokeIn(2*time.Second, path, request(hook.MessageDelivered, fmt.Sprint(i), "t", node1))
			results <- err
		}()
	}
	for range 2 {
		wantCode(t, <-results, codes.Unavailable)
	}
	for range 3 {
		wantCode(t, <-results, codes.DeadlineExceeded)
	}
	eventually(t, "nothing waits", func() bool { return r.u.Status().Waiting == 0 && r.status(a.addr).InFlight == 0 })
}

func TestAProviderThatIsFullHoldsUpNoCallsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newPipes()
		full, other := aProviderIn(t, in, "a", "client.connected"), aProviderIn(t, in, "b", "message.delivered")
		full.answers(hang)
		other.answers(after(100*time.Millisecond, "", nil))
		r := aRig(t, setup{in: in, settings: Settings{Hooks: &Hooks{Limits: Limits{Notifying: 1}}}}, full, other)
		r.mustLoad(node1)
		r.loaded(full, other)
		var calls sync.WaitGroup
		for i := range 2 * stuck {
			calls.Go(func() { r.call(hook.ClientConnected, fmt.Sprint("c", i), "") })
		}
		synctest.Wait()
		for i := range 4 {
			calls.Go(func() {
				if _, err := r.call(hook.MessageDelivered, fmt.Sprint("d", i), ""); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	})
}
