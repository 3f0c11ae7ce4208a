package exhook

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/exhook/hook"
)

// after answers calls of hooks when that time has passed.
func after(d time.Duration, reply string, err error) func(context.Context, heard, []byte) ([]byte, error) {
	return func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook == hook.ProviderLoaded {
			return nil, nil
		}
		select {
		case <-time.After(d):
			return []byte(reply), err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func TestAWrongAnswerIsNotPassedOnWhileASecondProviderIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newPipes()
		wrong, right := aProviderIn(t, in, "a", "client.authorize"), aProviderIn(t, in, "b", "client.authorize")
		wrong.answers(after(400*time.Millisecond, "\xff", nil))
		right.answers(after(800*time.Millisecond, "\x08\x02\x18\x01", nil))
		r := aRig(t, setup{in: in, settings: Settings{Hooks: &Hooks{HedgeAfter: 100 * time.Millisecond}}}, wrong, right)
		r.mustLoad(node1)
		r.loaded(wrong, right)
		for _, client := range []string{"c1", "c2", "c3", "c4"} { // whichever is asked first
			if reply := r.mustCall(hook.ClientAuthorize, client, ""); string(reply) != "\x08\x02\x18\x01" {
				t.Errorf("EMQX got %x", reply)
			}
		}
	})
}

func TestACallWhoseTwoProvidersFailWaitsOnceForTheThird(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newPipes()
		a, b, c := aProviderIn(t, in, "a", "client.authorize"), aProviderIn(t, in, "b", "client.authorize"), aProviderIn(t, in, "c", "client.authorize")
		a.answers(after(200*time.Millisecond, "", grpcstatus.Error(codes.Unavailable, "not now")))
		b.answers(after(200*time.Millisecond, "", grpcstatus.Error(codes.Unavailable, "not now")))
		r := aRig(t, setup{in: in, settings: Settings{Retries: 5, Hooks: &Hooks{HedgeAfter: 50 * time.Millisecond}}}, a, b, c)
		r.mustLoad(node1)
		r.loaded(a, b, c)
		c.kill()
		synctest.Wait()
		back := make(chan struct{})
		go func() {
			defer close(back)
			time.Sleep(500 * time.Millisecond)
			c.start()
		}()
		r.mustCall(hook.ClientAuthorize, "client", "")
		<-back
		if x, y, z := len(a.got()), len(b.got()), len(c.got()); x != 1 || y != 1 || z != 1 {
			t.Errorf("%d, %d and %d calls, want one each", x, y, z)
		}
		time.Sleep(2 * time.Second) // the status is of then
		if n := r.u.Status().Waiting; n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}
