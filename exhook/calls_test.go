package exhook

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

func TestOneClientsHooksGoToOneProviderInOrder(t *testing.T) {
	hooks := []string{"client.connected", "client.authenticate", "message.publish"}
	a, b, c := aProvider(t, hooks...), aProvider(t, hooks...), aProvider(t, hooks...)
	r := aRig(t, setup{}, a, b, c)
	r.mustLoad(node1)
	r.loaded(a, b, c)
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			client := fmt.Sprint("client", i)
			for n := range 10 {
				if _, err := r.call(hook.ClientAuthenticate, client, ""); err != nil {
					t.Error(err)
				}
				if _, err := r.call(hook.MessagePublish, client, fmt.Sprint(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	seen := map[string]string{}
	next := map[string]int{}
	for _, p := range []*provider{a, b, c} {
		if len(p.got()) == 0 {
			t.Errorf("%s got nothing", p.addr)
		}
		for _, h := range p.got() {
			if at := seen[h.client]; at != "" && at != p.addr {
				t.Fatalf("%s is at %s and %s", h.client, at, p.addr)
			}
			seen[h.client] = p.addr
			if h.hook == hook.MessagePublish {
				if h.topic != fmt.Sprint(next[h.client]) {
					t.Fatalf("%s: message %s, want %d", h.client, h.topic, next[h.client])
				}
				next[h.client]++
			}
		}
	}
}

func TestCallsGoToThoseThatRegisteredThemAndOthersGetTheNeutralAnswer(t *testing.T) {
	a := aProvider(t, "message.publish a/#", "client.connected")
	b := aProvider(t, "message.publish b/+", "client.authenticate")
	r := aRig(t, setup{}, a, b)
	r.mustLoad(node1)
	for i := range 20 {
		client := fmt.Sprint("c", i)
		r.mustCall(hook.MessagePublish, client, "a/x/y")
		r.mustCall(hook.MessagePublish, client, "b/x")
		r.mustCall(hook.ClientConnected, client, "")
		r.mustCall(hook.ClientAuthenticate, client, "")
		if reply := r.mustCall(hook.MessagePublish, client, "b/x/y"); string(reply) != "\x08\x01" {
			t.Fatalf("a message that nobody wants: %x", reply)
		}
		if reply := r.mustCall(hook.SessionCreated, client, ""); len(reply) != 0 {
			t.Fatalf("a hook that nobody wants: %x", reply)
		}
	}
	if n := len(a.got(hook.MessagePublish, hook.ClientConnected)); n != 40 || len(a.got()) != 40 {
		t.Errorf("a got %d of %d calls", n, len(a.got()))
	}
	if n := len(b.got(hook.MessagePublish, hook.ClientAuthenticate)); n != 40 || len(b.got()) != 40 {
		t.Errorf("b got %d of %d calls", n, len(b.got()))
	}
}

// A hook that only a provider registered that is down is a failure, not a lack of interest.
func TestTheHooksOfAProviderThatIsDownAreFailuresAndNotNeutral(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.authorize")
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{OnFailure: map[hook.Hook]hook.Fallback{hook.ClientAuthorize: hook.Deny}}}}, a, b)
	r.mustLoad(node1)
	if reply := r.mustCall(hook.ClientAuthorize, "c", ""); string(reply) != "\x18\x01" {
		t.Fatalf("%x", reply)
	}
	b.kill()
	if reply := r.mustCall(hook.ClientAuthorize, "c", ""); string(reply) != "\x08\x02\x18\x00" {
		t.Fatalf("%x, want a denial", reply)
	}
	if n := r.u.Stats().Fallbacks["client.authorize"]; n != 1 {
		t.Errorf("%d fallbacks", n)
	}
	r.mustCall(hook.ClientConnected, "c", "")
}

func TestWhatNoProviderAnswersIsAnsweredAsConfigured(t *testing.T) {
	fallbacks := map[hook.Hook]hook.Fallback{
		hook.ClientAuthenticate: hook.Allow, hook.ClientAuthorize: hook.Ignore, hook.MessagePublish: hook.Deny, hook.ClientConnected: hook.Ignore,
	}
	a := aProvider(t, "client.authenticate", "client.authorize", "message.publish", "client.connected", "client.connect")
	a.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook == hook.ProviderLoaded {
			return nil, nil
		}
		return nil, grpcstatus.Error(codes.Internal, "the database is down")
	})
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{OnFailure: fallbacks}}}, a)
	r.mustLoad(node1)
	for h, want := range map[hook.Hook]string{hook.ClientAuthenticate: "\x18\x01", hook.ClientAuthorize: "\x08\x01", hook.ClientConnected: ""} {
		if reply := r.mustCall(h, "c", ""); string(reply) != want {
			t.Errorf("%v: %x", h, reply)
		}
	}
	if reply := r.mustCall(hook.MessagePublish, "c", "t"); !bytes.Contains(reply, []byte("allow_publish\x12\x05false")) {
		t.Errorf("message.publish: %x", reply)
	}
	_, err := r.call(hook.ClientConnect, "c", "")
	wantCode(t, err, codes.Unavailable)
}

func TestAHungProviderCostsNoMoreThanTheDeadline(t *testing.T) {
	a := aProvider(t, "client.authenticate", "message.publish", "client.connected")
	a.answers(hang)
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{OnFailure: map[hook.Hook]hook.Fallback{hook.ClientAuthenticate: hook.Deny}}}}, a)
	r.mustLoad(node1)
	reply, err := r.invokeIn(3*time.Second, hook.Method{Version: hook.V2, Hook: hook.ClientAuthenticate}.Path(), request(hook.ClientAuthenticate, "c", "", node1))
	if err != nil || string(reply) != "\x08\x02\x18\x00" {
		t.Errorf("%x, %v", reply, err)
	}
	_, err = r.invokeIn(3*time.Second, hook.Method{Version: hook.V2, Hook: hook.ClientConnected}.Path(), request(hook.ClientConnected, "c", "", node1))
	wantCode(t, err, codes.DeadlineExceeded)
}

func TestTheTimeoutOfAnUpstreamIsKept(t *testing.T) {
	a := aProvider(t, "client.connected")
	a.answers(hang)
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{Timeout: 300 * time.Millisecond}}}, a)
	r.mustLoad(node1)
	_, err := r.call(hook.ClientConnected, "c", "")
	if wantCode(t, err, codes.DeadlineExceeded); !strings.Contains(err.Error(), "timeout of the upstream") {
		t.Error(err)
	}
}

// hang answers OnProviderLoaded only.
func hang(ctx context.Context, h heard, _ []byte) ([]byte, error) {
	if h.hook == hook.ProviderLoaded {
		return nil, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAuthenticateIsTriedAgainWhereAProviderRefusesAndPublishIsNot(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.ResourceExhausted} {
		t.Run(code.String(), func(t *testing.T) { triedAgainAfter(t, code) })
	}
}

func triedAgainAfter(t *testing.T, code codes.Code) {
	hooks := []string{"client.authenticate", "message.publish"}
	a, b := aProvider(t, hooks...), aProvider(t, hooks...)
	var failing atomic.Bool
	for _, p := range []*provider{a, b} {
		p.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
			if h.hook != hook.ProviderLoaded && failing.Swap(false) {
				return nil, grpcstatus.Error(code, "not now")
			}
			return nil, nil
		})
	}
	r := aRig(t, setup{settings: Settings{Retries: 1}}, a, b)
	r.mustLoad(node1)
	failing.Store(true)
	if reply := r.mustCall(hook.ClientAuthenticate, "c", ""); string(reply) != "\x18\x01" || len(a.got()) != 1 || len(b.got()) != 1 {
		t.Errorf("%x; %d calls at a, %d at b", reply, len(a.got()), len(b.got()))
	}
	failing.Store(true)
	_, err := r.call(hook.MessagePublish, "c", "t")
	wantCode(t, err, codes.Unavailable) // what any failure is to EMQX
	if n := len(a.got()) + len(b.got()); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}

func TestAProviderThatFailedACallIsNotAskedAgainForIt(t *testing.T) {
	a := aProvider(t, "client.authenticate")
	a.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook == hook.ProviderLoaded {
			return nil, nil
		}
		return nil, grpcstatus.Error(codes.Unavailable, "not now")
	})
	r := aRig(t, setup{settings: Settings{Retries: 3}}, a)
	r.mustLoad(node1)
	_, err := r.call(hook.ClientAuthenticate, "c", "")
	if wantCode(t, err, codes.Unavailable); len(a.got()) != 1 || !strings.Contains(err.Error(), "not now") {
		t.Errorf("%d calls, %v", len(a.got()), err)
	}
}

func TestASlowProviderIsHedged(t *testing.T) {
	a, b := aProvider(t, "client.authenticate"), aProvider(t, "client.authenticate")
	var first atomic.Bool
	for _, p := range []*provider{a, b} {
		p.answers(func(ctx context.Context, h heard, q []byte) ([]byte, error) {
			if h.hook != hook.ProviderLoaded && first.Swap(false) {
				return hang(ctx, h, q)
			}
			return nil, nil
		})
	}
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{HedgeAfter: 50 * time.Millisecond}}}, a, b)
	r.mustLoad(node1)
	first.Store(true)
	if reply := r.mustCall(hook.ClientAuthenticate, "c", ""); string(reply) != "\x18\x01" || len(a.got()) != 1 || len(b.got()) != 1 {
		t.Errorf("%x; %d calls at a, %d at b", reply, len(a.got()), len(b.got()))
	}
	eventually(t, "nothing in flight", func() bool { return r.status(a.addr).InFlight+r.status(b.addr).InFlight == 0 })
}

func TestAnAnswerThatEMQXCouldNotActOnIsAFailure(t *testing.T) {
	for what, answer := range map[string]string{"no value": "\x08\x02", "a message for a bool": "\x22\x00", "garbage": "\xff\xff", "an unknown type": "\x08\x07\x18\x01"} {
		t.Run(what, func(t *testing.T) {
			a, b := aProvider(t, "client.authenticate"), aProvider(t, "client.authenticate")
			var first atomic.Bool
			for _, p := range []*provider{a, b} {
				p.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
					if h.hook != hook.ProviderLoaded && first.Swap(false) {
						return []byte(answer), nil
					}
					return nil, nil
				})
			}
			r := aRig(t, setup{settings: Settings{Retries: 1}}, a, b)
			r.mustLoad(node1)
			first.Store(true)
			if reply := r.mustCall(hook.ClientAuthenticate, "c", ""); string(reply) != "\x18\x01" {
				t.Errorf("%x", reply)
			}
			first.Store(true)
			r.u.Configure(Settings{Dial: noDial, Hooks: &Hooks{}})
			_, err := r.call(hook.ClientAuthenticate, "c", "")
			if wantCode(t, err, codes.Unavailable); !strings.Contains(err.Error(), "the provider's answer is wrong") {
				t.Error(err)
			}
		})
	}
}

func noDial(context.Context, string) (net.Conn, error) { return nil, fmt.Errorf("not now") }

func TestAProvidersOwnStatusReachesEMQXAndIsNoFailure(t *testing.T) {
	a := aProvider(t, "client.authenticate")
	a.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook == hook.ProviderLoaded {
			return nil, nil
		}
		return nil, grpcstatus.Error(codes.InvalidArgument, "no such thing")
	})
	r := aRig(t, setup{settings: Settings{Retries: 1, Hooks: &Hooks{OnFailure: map[hook.Hook]hook.Fallback{hook.ClientAuthenticate: hook.Allow}}}}, a)
	r.mustLoad(node1)
	_, err := r.call(hook.ClientAuthenticate, "c", "")
	if wantCode(t, err, codes.InvalidArgument); !strings.Contains(err.Error(), "no such thing") {
		t.Error(err)
	}
	if s := r.pool.Status().Endpoints[0]; s.FailuresTotal != 0 {
		t.Errorf("%+v", s)
	}
}

func TestCallsInFlightAtALostProviderEndAtOnceAndAuthenticateGoesOn(t *testing.T) {
	hooks := []string{"client.authenticate", "client.connected"}
	a, b := aProvider(t, hooks...), aProvider(t, hooks...)
	r := aRig(t, setup{settings: Settings{Retries: 1}}, a, b)
	r.mustLoad(node1)
	r.loaded(a, b)
	r.mustCall(hook.ClientConnected, "c", "")
	its, other := a, b
	if len(b.got()) > 0 {
		its, other = b, a
	}
	its.answers(hang)
	type result struct {
		reply []byte
		err   error
	}
	results := map[hook.Hook]chan result{hook.ClientAuthenticate: make(chan result), hook.ClientConnected: make(chan result)}
	for h, to := range results {
		go func() {
			reply, err := r.call(h, "c", "")
			to <- result{reply, err}
		}()
	}
	eventually(t, "both in flight", func() bool { return len(its.got()) == 3 })
	began := time.Now()
	its.kill()
	if got := <-results[hook.ClientAuthenticate]; got.err != nil || string(got.reply) != "\x18\x01" || len(other.got()) != 1 {
		t.Errorf("authenticate: %x, %v", got.reply, got.err)
	}
	got := <-results[hook.ClientConnected]
	if wantCode(t, got.err, codes.Unavailable); time.Since(began) > 4*time.Second {
		t.Error("it took", time.Since(began))
	}
}

func TestOtherCallsAreBalancedByMetadata(t *testing.T) {
	for _, general := range []bool{true, false} {
		t.Run(fmt.Sprint("general=", general), func(t *testing.T) {
			a, b := aProvider(t), aProvider(t)
			r := aRig(t, setup{general: general, settings: Settings{HashHeader: "x-user"}}, a, b)
			r.connected(a, b)
			for i := range 40 {
				ctx := metadata.AppendToOutgoingContext(t.Context(), "x-user", fmt.Sprint("user", i%10))
				ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
				q, reply := fmt.Appendf(nil, "user%d", i%10), []byte(nil)
				if err := r.conn.Invoke(ctx, "/some.Service/Do", &q, &reply); err != nil || string(reply) != string(q) {
					t.Fatalf("%q, %v", reply, err)
				}
				cancel()
			}
			if na, nb := len(a.got()), len(b.got()); na+nb != 40 || na%4 != 0 || na == 0 || nb == 0 {
				t.Errorf("%d and %d calls", na, nb)
			}
		})
	}
}

// connected waits until a status shows that those providers are.
func (r *rig) connected(providers ...*provider) {
	r.t.Helper()
	eventually(r.t, "connected", func() bool {
		for _, p := range providers {
			if !r.status(p.addr).Connected {
				return false
			}
		}
		return true
	})
}

func TestAnRPCThatOnlyANewerEMQXHasIsForwarded(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{}, a)
	reply, err := r.invoke("/emqx.exhook.v3.HookProvider/OnSomethingNew", []byte("x"))
	if err != nil || string(reply) != "x" {
		t.Fatal(reply, err)
	}
}

func TestHookCallsAreSpreadByThePolicyOfThePool(t *testing.T) {
	for _, policy := range []balancer.Policy{balancer.RoundRobin, balancer.LeastConn, balancer.RandomTwo} {
		t.Run(string(policy), func(t *testing.T) {
			a, b := aProvider(t, "client.connected"), aProvider(t, "client.connected")
			r := aRig(t, setup{pool: balancer.Options{Policy: policy}}, a, b)
			r.mustLoad(node1)
			r.loaded(a, b)
			for range 60 {
				r.mustCall(hook.ClientConnected, "c", "")
			}
			na, nb := len(a.got()), len(b.got())
			if na+nb != 60 || na < 5 || nb < 5 || policy == balancer.RoundRobin && na != nb {
				t.Errorf("%d and %d calls", na, nb)
			}
			if s := r.pool.Status().Endpoints[0]; s.Connections != 0 || s.RetriesTotal != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestAFailingProviderIsEjectedAndComesBack(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.connected")
	var failing atomic.Bool
	failing.Store(true)
	b.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook != hook.ProviderLoaded && failing.Load() {
			return nil, grpcstatus.Error(codes.Unavailable, "overloaded")
		}
		return nil, nil
	})
	r := aRig(t, setup{pool: balancer.Options{Policy: balancer.RoundRobin, MaxFails: 3, FailTimeout: time.Second}}, a, b)
	r.mustLoad(node1)
	r.loaded(a, b)
	failed := 0
	for range 100 {
		if _, err := r.call(hook.ClientConnected, "c", ""); err != nil {
			failed++
		}
	}
	if failed < 3 || failed > 10 {
		t.Errorf("%d of 100 calls failed", failed)
	}
	if s := r.pool.Status().Endpoints[1]; s.Up || !strings.Contains(s.Reason, "Unavailable") || strings.Contains(s.Reason, "overloaded") {
		t.Errorf("%+v", s)
	}
	failing.Store(false)
	eventually(t, "back", func() bool {
		r.call(hook.ClientConnected, "c", "")
		return r.pool.Status().Endpoints[1].Up
	})
}

// One request that makes a provider stumble must not take it out of use for everybody.
func TestErrorsAmongGoodAnswersDoNotEject(t *testing.T) {
	a, b := aProvider(t, "client.authenticate"), aProvider(t, "client.authenticate")
	for _, p := range []*provider{a, b} {
		p.answers(func(_ context.Context, h heard, _ []byte) ([]byte, error) {
			if h.client == "poison" {
				return nil, grpcstatus.Error(codes.Unknown, "panic")
			}
			return nil, nil
		})
	}
	r := aRig(t, setup{pool: balancer.Options{Policy: balancer.RoundRobin, MaxFails: 1, FailTimeout: time.Minute}}, a, b)
	r.mustLoad(node1)
	for range 10 {
		r.call(hook.ClientAuthenticate, "poison", "")
		r.mustCall(hook.ClientAuthenticate, "c", "")
		r.mustCall(hook.ClientAuthenticate, "d", "")
	}
	for _, s := range r.pool.Status().Endpoints {
		if !s.Up {
			t.Errorf("%+v", s)
		}
	}
	for range 20 {
		r.call(hook.ClientAuthenticate, "poison", "")
	}
	if s := r.pool.Status().Endpoints; s[0].Up && s[1].Up {
		t.Error("both are up though all calls fail")
	}
}

func TestTheOnlyProviderOfAHookIsUsedThoughEjected(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.authenticate")
	r := aRig(t, setup{pool: balancer.Options{MaxFails: 1, FailTimeout: time.Hour}}, a, b)
	r.mustLoad(node1)
	l, _ := r.pool.Take(r.pool.Members()[1].ID)
	l.Done(balancer.Refused)
	for range 3 {
		r.mustCall(hook.ClientAuthenticate, "c", "")
	}
}

func TestCompressedAndMalformedRequestsAreRefused(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{}, a)
	r.mustLoad(node1)
	q, reply := request(hook.ClientConnected, strings.Repeat("c", 500), "", node1), []byte(nil)
	path := hook.Method{Version: hook.V2, Hook: hook.ClientConnected}.Path()
	err := r.conn.Invoke(t.Context(), path, &q, &reply, grpc.UseCompressor(gzip.Name))
	wantCode(t, err, codes.Unimplemented)
	_, err = r.invoke(path, []byte("\xff\xff"))
	wantCode(t, err, codes.InvalidArgument)
	_, err = r.invoke(hook.Method{Version: hook.V2, Hook: hook.ProviderLoaded}.Path(), []byte("\xff\xff"))
	wantCode(t, err, codes.InvalidArgument)
	if len(a.got()) != 0 {
		t.Error("the provider got", a.got())
	}
}

func TestAnAnswerThatIsCompressedIsAFailure(t *testing.T) {
	a := aProvider(t, "client.connected")
	a.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook == hook.ProviderLoaded {
			return nil, nil
		}
		if err := grpc.SetSendCompressor(ctx, gzip.Name); err != nil {
			t.Error(err)
		}
		return []byte("\x0a\x00"), nil
	})
	r := aRig(t, setup{}, a)
	r.mustLoad(node1)
	q, reply := request(hook.ClientConnected, "c", "", node1), []byte(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := r.conn.Invoke(ctx, hook.Method{Version: hook.V2, Hook: hook.ClientConnected}.Path(), &q, &reply)
	if wantCode(t, err, codes.Unavailable); !strings.Contains(err.Error(), "compressed") {
		t.Error(err)
	}
}

func TestDrainEndsWhenNothingIsUnderWay(t *testing.T) {
	a := aProvider(t, "client.connected")
	free := make(chan struct{})
	a.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook != hook.ProviderLoaded {
			<-free
		}
		return nil, nil
	})
	r := aRig(t, setup{}, a)
	r.mustLoad(node1)
	answered := make(chan error)
	go func() {
		_, err := r.call(hook.ClientConnected, "c", "")
		answered <- err
	}()
	eventually(t, "in flight", func() bool { return len(a.got()) == 1 })
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.u.Drain(short); err == nil {
		t.Error("drained with a call under way")
	}
	drained := make(chan error)
	go func() { drained <- r.u.Drain(t.Context()) }()
	close(free)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	eventually(t, "disconnected", func() bool { return !r.status(a.addr).Connected })
}

func TestStatsCountCallsByMethodAndCode(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{}, a)
	r.mustLoad(node1)
	for range 3 {
		r.mustCall(hook.ClientConnected, "c", "")
	}
	r.invoke("/some.Service/Do", nil)
	count := map[string]uint64{}
	eventually(t, "all counted", func() bool {
		for _, c := range r.u.Stats().Calls {
			count[c.Method+" "+c.Code.String()] = c.Count
			if last := c.Buckets[10]; last != c.Count {
				t.Errorf("%d in the last bucket of %+v", last, c)
			}
		}
		return count["OnClientConnected OK"] == 3 && count["OnProviderLoaded OK"] == 1 && count["other OK"] == 1
	})
	eventually(t, "the provider's counts", func() bool {
		s := r.status(a.addr)
		return s.Calls == 4 && s.InFlight == 0 && s.Seconds > 0 && s.Hooks[0] == "emqx.exhook.v2 client.connected"
	})
}

func TestNothingOfARequestIsLogged(t *testing.T) {
	a := aProvider(t, "client.authenticate")
	a.answers(func(_ context.Context, h heard, q []byte) ([]byte, error) {
		if h.hook == hook.ProviderLoaded {
			return nil, nil
		}
		return nil, grpcstatus.Error(codes.Unavailable, string(q))
	})
	r := aRig(t, setup{pool: balancer.Options{MaxFails: 1}}, a)
	r.mustLoad(node1)
	for range 5 {
		r.call(hook.ClientAuthenticate, "client-id", "")
	}
	r.stop()
	for _, text := range []string{r.log.String(), fmt.Sprintf("%+v %+v", r.u.Status(), r.pool.Status())} {
		if strings.Contains(text, "client-id") || strings.Contains(text, "secret") {
			t.Error(text)
		}
	}
}

var _ grpcrelay.Handler = handler{}

func TestTheEndDoesNotWaitForCallsAtAnEndpointThatWasRemoved(t *testing.T) {
	a := aProvider(t)
	a.answers(hang)
	r := aRig(t, setup{general: true, pool: balancer.Options{Policy: balancer.RoundRobin}}, a)
	eventually(t, "connected", func() bool { return r.status(a.addr).Connected })
	ctx, cancel := context.WithCancel(t.Context()) // no deadline
	failed := make(chan error, 1)
	go func() {
		in, out := []byte("x"), []byte(nil)
		failed <- r.conn.Invoke(ctx, "/a.Service/Hang", &in, &out)
	}()
	defer cancel()
	eventually(t, "at the provider", func() bool { return len(a.got()) == 1 })
	r.endpoints()
	eventually(t, "removed", func() bool { return len(r.u.Status().Providers) == 0 })
	ended := make(chan struct{})
	go func() { defer close(ended); r.stop() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("Run does not return")
		cancel()
		<-ended
	}
	wantCode(t, <-failed, codes.Unavailable)
}
