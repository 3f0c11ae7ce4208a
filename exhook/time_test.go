package exhook

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/hook"
)

// bubble runs a test with one provider where only the test's own time passes.
func bubble(t *testing.T, s setup, test func(t *testing.T, r *rig, p *provider), hooks ...string) {
	synctest.Test(t, func(t *testing.T) {
		s := s
		s.in = newPipes()
		p := aProviderIn(t, s.in, "provider", hooks...)
		test(t, aRig(t, s, p), p)
	})
}

func between(t *testing.T, what string, took, least, most time.Duration) {
	t.Helper()
	if took < least || took > most {
		t.Errorf("%s: after %v, want %v to %v", what, took, least, most)
	}
}

func TestCallsWaitASecondForAProviderThatWasLostAndThenNotAtAll(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, r *rig, p *provider) {
		r.mustLoad(node1)
		p.kill()
		synctest.Wait()
		began := time.Now()
		_, err := r.call(hook.ClientConnected, "c", "")
		wantCode(t, err, codes.Unavailable)
		between(t, "the first", time.Since(began), time.Second, 1200*time.Millisecond)
		began = time.Now()
		_, err = r.call(hook.ClientConnected, "c", "")
		wantCode(t, err, codes.Unavailable)
		between(t, "the second", time.Since(began), 0, 20*time.Millisecond)
	}, "client.connected")
}

func TestCallsAtTheVeryBeginningWaitForTheFirstEndpoints(t *testing.T) {
	bubble(t, setup{settings: Settings{Hooks: &Hooks{Configured: specs("client.authorize")}}}, func(t *testing.T, r *rig, p *provider) {
		r.stop()
		synctest.Wait()
		u := New(Options{Name: "late", Pool: balancer.New("late", balancer.Options{}), Settings: r.u.rules.Settings}, r.u.loop)
		if l, _, got := u.pick(&want{hook: hook.ClientConnected, as: hook.V2}, true); l != nil || got != waits {
			t.Errorf("at once: %v", got)
		}
		if u.settled(&loading{unload: -1}) || !u.settled(&loading{unload: -1, woken: true}) {
			t.Error("OnProviderLoaded does not wait until it is woken")
		}
		time.Sleep(patience)
		if _, _, got := u.pick(&want{hook: hook.ClientConnected, as: hook.V2}, true); got != down {
			t.Errorf("later: %v", got)
		}
	})
}

func TestACallThatWaitsGoesOnWhenTheProviderIsBack(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, r *rig, p *provider) {
		r.mustLoad(node1)
		p.kill()
		synctest.Wait()
		back := make(chan struct{})
		go func() {
			defer close(back)
			time.Sleep(300 * time.Millisecond)
			p.start()
		}()
		if _, err := r.call(hook.ClientConnected, "c", ""); err != nil {
			t.Error(err)
		}
		<-back
	}, "client.connected")
}

func TestReconnectsBackOff(t *testing.T) {
	var dials atomic.Int64
	var last atomic.Int64 // nanoseconds
	refuse := func(context.Context, string) (net.Conn, error) {
		dials.Add(1)
		last.Store(time.Now().UnixNano())
		return nil, errors.New("connection refused")
	}
	bubble(t, setup{settings: Settings{Dial: refuse}}, func(t *testing.T, r *rig, p *provider) {
		time.Sleep(time.Second)
		if n := dials.Load(); n < 2 || n > 8 {
			t.Errorf("%d in the first second", n)
		}
		time.Sleep(time.Minute)
		before := dials.Load()
		time.Sleep(time.Minute)
		if n := dials.Load() - before; n < 11 || n > 25 {
			t.Errorf("%d in a minute", n)
		}
		t.Log("new settings count from the next one on")
		r.u.Configure(Settings{Hooks: &Hooks{}, Dial: r.net.dial})
		time.Sleep(6 * time.Second)
		if s := r.status(p.addr); !s.Connected || s.Reason != "" {
			t.Errorf("%+v", s)
		}
	})
}

func TestEMQXsOnProviderLoadedWaitsASecondWhereThereIsAnAnswerWithoutProviders(t *testing.T) {
	s := setup{settings: Settings{Hooks: &Hooks{Configured: specs("client.authenticate")}}}
	bubble(t, s, func(t *testing.T, r *rig, p *provider) {
		p.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		began := time.Now()
		got, err := r.load(hook.V2, node1)
		if err != nil || shown(got) != "[client.authenticate]" {
			t.Fatal(got, err)
		}
		between(t, "answered", time.Since(began), time.Second, 1100*time.Millisecond)
	})
}

func TestOnProviderLoadedIsRepeatedUntilAProviderAnswers(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, r *rig, p *provider) {
		failures := 3
		p.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if failures--; failures >= 0 {
				return nil, grpcstatus.Error(codes.Internal, "not yet")
			}
			return nil, nil
		})
		if _, err := r.load(hook.V2, node1); err != nil {
			t.Error("though a provider answered within five seconds:", err)
		}
		if s := r.status(p.addr); s.Loaded {
			t.Error("loaded at once")
		}
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if s := r.status(p.addr); !s.Loaded || len(p.got(hook.ProviderLoaded)) != 4 {
			t.Errorf("%+v, %d attempts", s, len(p.got(hook.ProviderLoaded)))
		}
		r.mustLoad(node1)
	}, "client.connected")
}

func TestTheSecondProviderIsAskedWhenItIsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newPipes()
		a, b := aProviderIn(t, in, "a", "client.authorize"), aProviderIn(t, in, "b", "client.authorize")
		var asked atomic.Int64
		for _, p := range []*provider{a, b} {
			p.answers(func(ctx context.Context, h heard, q []byte) ([]byte, error) {
				if h.hook == hook.ProviderLoaded {
					return nil, nil
				}
				if asked.Add(1) == 1 {
					return hang(ctx, h, q)
				}
				return nil, nil
			})
		}
		r := aRig(t, setup{in: in, settings: Settings{Hooks: &Hooks{HedgeAfter: 300 * time.Millisecond}}}, a, b)
		r.mustLoad(node1)
		began := time.Now()
		r.mustCall(hook.ClientAuthorize, "c", "")
		between(t, "answered", time.Since(began), 300*time.Millisecond, 330*time.Millisecond)
	})
}

// Otherwise each of its calls would cost the time of the hedge, for ever.
func TestAProviderThatIsAlwaysTooSlowIsEjectedThoughHedgesHideIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newPipes()
		a, b, c := aProviderIn(t, in, "a", "client.authorize"), aProviderIn(t, in, "b", "client.authorize"), aProviderIn(t, in, "c", "client.authorize")
		a.answers(hang)
		s := setup{in: in, settings: Settings{Hooks: &Hooks{HedgeAfter: 100 * time.Millisecond}}}
		s.pool = balancer.Options{Policy: balancer.RoundRobin, MaxFails: 2, FailTimeout: time.Minute}
		r := aRig(t, s, a, b, c)
		r.mustLoad(node1)
		for range 30 {
			r.mustCall(hook.ClientAuthorize, "c", "")
		}
		if e := r.pool.Status().Endpoints[0]; e.Up || !strings.Contains(e.Reason, "slower than another") {
			t.Errorf("%+v", e)
		}
		if n := len(a.got()); n > 6 {
			t.Errorf("%d calls at the slow one", n)
		}
	})
}

func TestANodeThatUnloadedIsForgottenAfterAWhile(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, r *rig, p *provider) {
		r.mustLoad(node1)
		if _, err := r.invoke(hook.Method{Version: hook.V2, Hook: hook.ProviderUnloaded}.Path(), request(hook.ProviderUnloaded, "", "", node1)); err != nil {
			t.Fatal(err)
		}
		r.mustCall(hook.ClientConnected, "c", "")
		if n := len(p.got(hook.ProviderLoaded)); n != 1 {
			t.Errorf("heard of %d times", n)
		}
		time.Sleep(leftFor + time.Second)
		r.mustCall(hook.ClientConnected, "c", "")
		if n := len(p.got(hook.ProviderLoaded)); n != 2 {
			t.Errorf("heard of %d times after that", n)
		}
	}, "client.connected")
}
