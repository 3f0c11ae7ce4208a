package exhook

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/exhook/hook"
)

func TestOnProviderLoadedGoesToAllAndTheirAnswersAreMerged(t *testing.T) {
	a := aProvider(t, "client.authenticate", "message.publish site/+/x")
	b := aProvider(t, "message.publish other/#", "client.connected")
	r := aRig(t, setup{}, a, b)
	got, err := r.load(hook.V2, node1)
	if err != nil {
		t.Fatal(err)
	}
	if s := shown(got); s != "[client.connected client.authenticate message.publish other/# site/+/x]" {
		t.Errorf("EMQX is told %s", s)
	}
	r.mustLoad(node2)
	for _, p := range []*provider{a, b} {
		calls := p.got(hook.ProviderLoaded)
		if len(calls) != 2 || calls[0].node != node1 || calls[1].node != node2 {
			t.Errorf("%s got %+v", p.addr, calls)
		}
	}
}

func TestAProviderHearsOfAllNodesBeforeAnythingElse(t *testing.T) {
	a := aProvider(t, "client.connected")
	b := aProvider(t, "client.connected")
	r := aRig(t, setup{}, a)
	r.mustLoad(node1)
	r.mustLoad(node2)

	check := func(p *provider) {
		t.Helper()
		r.loaded(p)
		for range 200 {
			r.mustCall(hook.ClientConnected, "c", "")
			r.mustCall(hook.ClientConnected, "d", "")
			r.mustCall(hook.ClientConnected, "e", "")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.calls) < 2 || p.calls[0].hook != hook.ProviderLoaded || p.calls[1].hook != hook.ProviderLoaded || p.calls[0].node == p.calls[1].node {
			t.Fatalf("the first calls: %+v", p.calls[:min(3, len(p.calls))])
		}
	}
	t.Log("one that appears")
	r.endpoints(a.addr, b.addr)
	check(b)
	t.Log("one that is restarted")
	b.kill()
	eventually(t, "the loss noticed", func() bool { return !r.status(b.addr).Connected })
	b.forget()
	b.start()
	check(b)
}

func TestANodeIsLearntFromItsCalls(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{}, a)
	r.mustCall(hook.ClientConnected, "c", "")
	all := a.got(hook.ProviderLoaded, hook.ClientConnected)
	if len(all) != 2 || all[0].hook != hook.ProviderLoaded || all[0].node != node1 || all[1].client != "c" {
		t.Fatalf("the provider got %+v", all)
	}
	eventually(t, "the node in the status", func() bool {
		n := r.u.Status().Nodes
		return len(n) == 1 && n[0].Node == node1 && n[0].Version == "5.8.9" && n[0].Cluster == "emqxcl" && n[0].Calls == 1
	})
}

func TestEMQXIsAnsweredWhileAProviderIsSlow(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.authenticate")
	free := make(chan struct{})
	b.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		select {
		case <-free:
		case <-ctx.Done():
		}
		return nil, nil
	})
	r := aRig(t, setup{}, a, b)
	got, err := r.load(hook.V2, node1)
	if err != nil || shown(got) != "[client.connected]" {
		t.Fatalf("EMQX is told %v, %v", got, err)
	}
	close(free)
	t.Log("what it says later is drift")
	eventually(t, "drift in the status", func() bool {
		d := r.u.Status().Drift
		return len(d) == 1 && d[0].Node == node1 && len(d[0].Unknown) == 1 && d[0].Unknown[0] == "client.authenticate"
	})
	eventually(t, "drift in the log", func() bool { return strings.Contains(r.log.String(), "EMQX does not know of") })
	if s := r.u.Stats(); s.Drifts != 1 || s.Drift != 1 {
		t.Errorf("drift counted %d times, %d hooks", s.Drifts, s.Drift)
	}
	got, err = r.load(hook.V2, node1)
	if err != nil || shown(got) != "[client.connected client.authenticate]" {
		t.Fatalf("loaded again EMQX is told %v, %v", got, err)
	}
	eventually(t, "no drift", func() bool { return len(r.u.Status().Drift) == 0 })
}

func TestWithoutProvidersEMQXIsAnsweredFromWhatIsConfigured(t *testing.T) {
	r := aRigAt(t, setup{settings: Settings{Hooks: &Hooks{Configured: specs("client.authorize", "message.publish a/#")}}}, closedPort(t))
	for v, want := range map[hook.Version]string{
		hook.V1: "[client.check_acl message.publish a/#]", hook.V3: "[client.authorize message.publish a/#]",
	} {
		got, err := r.load(v, node1)
		if err != nil || shown(got) != want {
			t.Errorf("%s: EMQX is told %v, %v", v, got, err)
		}
	}
}

func TestWithNothingToSayEMQXIsToldSoInTime(t *testing.T) {
	r := aRigAt(t, setup{}, closedPort(t))
	began := time.Now()
	_, err := r.invokeIn(3*time.Second, hook.Method{Version: hook.V2, Hook: hook.ProviderLoaded}.Path(), loadedRequest(node1))
	wantCode(t, err, codes.Unavailable)
	if !strings.Contains(err.Error(), "no provider answered OnProviderLoaded") || time.Since(began) < 2*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestAProviderThatComesInTimeIsWaitedFor(t *testing.T) {
	a := aProvider(t, "client.connected")
	a.kill()
	r := aRig(t, setup{}, a)
	type result struct {
		specs []hook.Spec
		err   error
	}
	answered := make(chan result)
	go func() {
		got, err := r.load(hook.V2, node1)
		answered <- result{got, err}
	}()
	eventually(t, "the node in the status", func() bool { return len(r.u.Status().Nodes) == 1 })
	a.start()
	if got := <-answered; got.err != nil || shown(got.specs) != "[client.connected]" {
		t.Fatalf("EMQX is told %v", got)
	}
}

func TestTheStateFileSurvivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "exhook.json")
	s := setup{settings: Settings{Hooks: &Hooks{StateFile: file}}}
	a := aProvider(t, "client.connected", "client.authenticate")
	r := aRig(t, s, a)
	r.mustLoad(node1)
	r.stop()
	a.kill()
	a.forget()

	r = aRig(t, s, a)
	got, err := r.load(hook.V2, node2)
	if err != nil || shown(got) != "[client.connected client.authenticate]" {
		t.Fatalf("EMQX is told %v, %v", got, err)
	}
	a.start()
	eventually(t, "both nodes heard of", func() bool { return len(r.status(a.addr).Nodes) == 2 })
	if calls := a.got(hook.ProviderLoaded); len(calls) != 2 || calls[0].node == calls[1].node {
		t.Errorf("the provider got %+v", calls)
	}
	a.kill()
	a.register("client.connected", "session.created")
	a.start()
	eventually(t, "drift against what EMQX was told before", func() bool {
		for _, d := range r.u.Status().Drift {
			if d.Node == node1 && len(d.Unknown) == 1 && d.Unknown[0] == "session.created" {
				return true
			}
		}
		return false
	})
}

func TestTheStateOfTheProcessBeforeCountsInPlaceOfAStateFile(t *testing.T) {
	a := aProvider(t, "client.connected", "client.authenticate")
	r := aRig(t, setup{}, a)
	r.mustLoad(node1)
	state := r.u.State(t.Context())
	r.stop()
	a.kill()
	a.forget()

	r = aRig(t, setup{state: state}, a)
	got, err := r.load(hook.V2, node2)
	if err != nil || shown(got) != "[client.connected client.authenticate]" {
		t.Fatalf("EMQX is told %v, %v", got, err)
	}
	a.start()
	eventually(t, "both nodes heard of", func() bool { return len(r.status(a.addr).Nodes) == 2 })
}

func TestABrokenStateFileIsNamedAndCountsAsNone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "missing", "exhook.json")
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{StateFile: file}}}, a)
	r.mustLoad(node1)
	r.stop()
	if !strings.Contains(r.log.String(), file) {
		t.Errorf("the log does not name it:\n%s", r.log)
	}
}

func TestOnProviderUnloadedGoesToThoseThatSawLoaded(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.connected")
	r := aRig(t, setup{}, a, b)
	r.mustLoad(node1)
	r.mustLoad(node2)
	reply, err := r.invoke(hook.Method{Version: hook.V2, Hook: hook.ProviderUnloaded}.Path(), request(hook.ProviderUnloaded, "", "", node1))
	if err != nil || len(reply) != 0 {
		t.Fatal(reply, err)
	}
	for _, p := range []*provider{a, b} {
		if calls := p.got(hook.ProviderUnloaded); len(calls) != 1 || calls[0].node != node1 {
			t.Errorf("%s got %+v", p.addr, calls)
		}
	}
	t.Log("a late call of the node does not make it known again")
	r.mustCall(hook.ClientConnected, "late", "")
	for _, p := range []*provider{a, b} {
		if calls := p.got(hook.ProviderLoaded); len(calls) != 2 {
			t.Errorf("%s heard of %+v", p.addr, calls)
		}
	}
	eventually(t, "the node gone", func() bool { return len(r.u.Status().Nodes) == 1 })
}

func TestAProviderThatFailsLoadingIsTriedAgainAndGetsNoCallsUntilThen(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.connected")
	loads := 0
	b.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook == hook.ProviderLoaded {
			b.mu.Lock()
			defer b.mu.Unlock()
			if loads++; loads == 1 {
				return nil, grpcstatus.Error(codes.Internal, "not yet")
			}
		}
		return nil, nil
	})
	r := aRig(t, setup{}, a, b)
	r.mustLoad(node1)
	for range 20 {
		r.mustCall(hook.ClientConnected, time.Now().String(), "")
	}
	if calls := b.got(); len(calls) > 0 && len(b.got(hook.ProviderLoaded)) < 2 {
		t.Errorf("it got %+v", calls)
	}
	r.loaded(b)
	eventually(t, "calls", func() bool {
		r.mustCall(hook.ClientConnected, time.Now().String(), "")
		return len(b.got()) > 0
	})
}

func TestAProviderThatIsBackGetsNoCallBeforeItHasAnsweredOnProviderLoaded(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.connected")
	r := aRig(t, setup{}, a, b)
	r.mustLoad(node1)
	r.loaded(a, b)
	b.kill()
	b.forget()
	free := make(chan struct{})
	b.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook == hook.ProviderLoaded {
			select {
			case <-free:
			case <-ctx.Done():
			}
		}
		return nil, nil
	})
	b.start()
	eventually(t, "it hears", func() bool { return len(b.got(hook.ProviderLoaded)) == 1 })
	for i := range 50 {
		r.mustCall(hook.ClientConnected, fmt.Sprint(i), "")
	}
	if n := len(b.got()); n != 0 {
		t.Errorf("it got %d calls", n)
	}
	if s := r.status(b.addr); s.Loaded {
		t.Errorf("loaded: %+v", s)
	}
	close(free)
	eventually(t, "it gets calls", func() bool {
		for i := range 20 {
			r.mustCall(hook.ClientConnected, fmt.Sprint(i), "")
		}
		return len(b.got()) > 0
	})
}

func TestV3CallersAreServedByV2ProvidersWhereThatIsAsked(t *testing.T) {
	a := aProvider(t, "client.authenticate")
	a.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
		if !strings.HasPrefix(h.path, "/emqx.exhook.v2.") {
			return nil, grpcstatus.Error(codes.Unimplemented, "unknown service")
		}
		return nil, nil
	})
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{CallAs: hook.V2}}}, a)
	got, err := r.load(hook.V3, node1)
	if err != nil || shown(got) != "[client.authenticate]" {
		t.Fatal(got, err)
	}
	m := hook.Method{Version: hook.V3, Hook: hook.ClientAuthenticate}
	reply, err := r.invoke(m.Path(), request(m.Hook, "c", "", node1))
	if err != nil || string(reply) != "\x18\x01" {
		t.Fatalf("%x, %v", reply, err)
	}
}

func TestAVersionThatNoProviderServesIsAnErrorAndNoLackOfInterest(t *testing.T) {
	a := aProvider(t, "client.authenticate")
	a.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
		return nil, grpcstatus.Error(codes.Unimplemented, "unknown service")
	})
	r := aRig(t, setup{}, a)
	_, err := r.call(hook.ClientAuthenticate, "c", "")
	wantCode(t, err, codes.Unavailable)
	eventually(t, "the reason", func() bool { return strings.Contains(r.status(a.addr).Reason, "does not serve emqx.exhook.v2") })
}

// closedPort is an address that refuses connections.
func closedPort(t testing.TB) string {
	l, err := net.Listen("tcp", loopback(t)+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestANodeThatLeftDoesNotKeepAProviderFromOtherCalls(t *testing.T) {
	bubble(t, setup{}, func(t *testing.T, r *rig, p *provider) {
		r.mustLoad(node1)
		r.mustLoad(node2)
		if _, err := r.invoke(hook.Method{Version: hook.V2, Hook: hook.ProviderUnloaded}.Path(), request(hook.ProviderUnloaded, "", "", node2)); err != nil {
			t.Fatal(err)
		}
		p.kill()
		synctest.Wait()
		p.start()
		began := time.Now()
		if _, err := r.invoke("/some.Service/Method", nil); err != nil {
			t.Error(err)
		}
		between(t, "answered", time.Since(began), 0, time.Second)
	}, "client.connected")
}
