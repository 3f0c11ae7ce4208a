package exhook

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// odd is a listener in place of a provider: what it does with a connection is not what a provider does.
func odd(t *testing.T, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[nc] = true
			mu.Unlock()
			running.Go(func() {
				serve(nc)
				nc.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for nc := range open {
			nc.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().String()
}

func TestOddProvidersHarmNobody(t *testing.T) {
	for what, serve := range map[string]func(net.Conn){
		"accepts and says nothing": func(nc net.Conn) { io.Copy(io.Discard, nc) },
		"closes at once":           func(net.Conn) {},
		"speaks HTML": func(nc net.Conn) {
			io.WriteString(nc, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>")
			io.Copy(io.Discard, nc)
		},
		"garbage": func(nc net.Conn) {
			nc.Write(make([]byte, 1000))
			io.Copy(io.Discard, nc)
		},
		// SETTINGS, and then silence for every call.
		"never answers": func(nc net.Conn) {
			nc.Write([]byte{0, 0, 0, 4, 0, 0, 0, 0, 0})
			io.Copy(io.Discard, nc)
		},
	} {
		t.Run(what, func(t *testing.T) {
			good := aProvider(t, "client.authenticate")
			r := aRigAt(t, setup{pool: balancer.Options{MaxFails: 3}, settings: Settings{Retries: 1}}, good.addr, odd(t, serve))
			got, err := r.load(hook.V2, node1)
			if err != nil || shown(got) != "[client.authenticate]" {
				t.Fatalf("EMQX is told %v, %v", got, err)
			}
			for i := range 50 {
				if reply := r.mustCall(hook.ClientAuthenticate, fmt.Sprint(i), ""); string(reply) != "\x18\x01" {
					t.Fatalf("%x", reply)
				}
			}
		})
	}
}

// Three providers under steady calls: one is killed and comes back, another hangs for a while.
func TestEveryCallIsAnsweredInTimeWhateverProvidersDo(t *testing.T) {
	hooks := []string{"client.authenticate", "client.connected", "message.publish"}
	a, b, c := aProvider(t, hooks...), aProvider(t, hooks...), aProvider(t, hooks...)
	var hung atomic.Bool
	c.answers(func(ctx context.Context, h heard, q []byte) ([]byte, error) {
		if hung.Load() {
			<-ctx.Done()
		}
		return nil, nil
	})
	r := aRig(t, setup{
		pool:     balancer.Options{MaxFails: 3, FailTimeout: time.Second},
		settings: Settings{Retries: 2, Hooks: &Hooks{HedgeAfter: 200 * time.Millisecond}},
		relay:    func(o *grpcrelay.Options) { o.Margin = time.Second },
	}, a, b, c)
	r.mustLoad(node1)
	r.loaded(a, b, c)

	const deadline = 5 * time.Second // of which half a second is the margin
	var good, failed, made, late atomic.Int64
	var lastError atomic.Value
	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			client := fmt.Sprint("client", i)
			for n := 0; ctx.Err() == nil; n++ {
				h := []hook.Hook{hook.ClientAuthenticate, hook.ClientConnected, hook.MessagePublish}[n%3]
				made.Add(1)
				began := time.Now()
				_, err := r.invokeIn(deadline, hook.Method{Version: hook.V2, Hook: h}.Path(), request(h, client, "t", node1))
				switch {
				case err == nil:
					good.Add(1)
				case grpcstatus.Code(err) == codes.DeadlineExceeded && time.Since(began) >= deadline:
					late.Add(1) // grpc-go's own verdict: nothing came before its deadline
				default:
					failed.Add(1)
					lastError.Store(fmt.Sprint(h, " ", err))
					if h == hook.ClientAuthenticate {
						t.Errorf("authenticate: %v", err)
					}
				}
				select {
				case <-time.After(5 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	more := func(n int64) {
		t.Helper()
		from := good.Load()
		eventually(t, fmt.Sprintf("%d more good calls", n), func() bool { return good.Load() >= from+n })
	}
	more(200)
	b.kill()
	more(200)
	b.start()
	r.back(b)
	more(200)
	hung.Store(true)
	eventually(t, "the hung one out of use", func() bool { return !r.pool.Status().Endpoints[2].Up })
	more(400)
	hung.Store(false)
	r.back(c)
	more(200)
	stop()
	clients.Wait()
	t.Logf("%d calls: %d good, %d failed in time, %d late; last error %v", made.Load(), good.Load(), failed.Load(), late.Load(), lastError.Load())
	if made.Load() != good.Load()+failed.Load()+late.Load() || late.Load() > 0 {
		t.Error("calls without an answer in time")
	}
	eventually(t, "nothing in flight", func() bool {
		return r.status(a.addr).InFlight+r.status(b.addr).InFlight+r.status(c.addr).InFlight == 0 && r.u.Status().Waiting == 0
	})
	for _, s := range r.pool.Status().Endpoints {
		if s.Connections != 0 {
			t.Errorf("%s has %d calls in the pool's books", s.Address, s.Connections)
		}
	}
}

// back waits until a provider serves calls again.
func (r *rig) back(p *provider) {
	r.t.Helper()
	p.forget()
	eventually(r.t, "back", func() bool { return len(p.got()) > 3 && r.status(p.addr).Loaded })
}

func TestAnEndpointThatLeavesFinishesItsCalls(t *testing.T) {
	a, b := aProvider(t, "client.connected"), aProvider(t, "client.connected")
	free := make(chan struct{})
	for _, p := range []*provider{a, b} {
		p.answers(func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
			if h.client == "slow" {
				<-free
			}
			return nil, nil
		})
	}
	r := aRig(t, setup{}, a, b)
	r.mustLoad(node1)
	answered := make(chan error)
	go func() {
		_, err := r.call(hook.ClientConnected, "slow", "")
		answered <- err
	}()
	eventually(t, "in flight", func() bool { return len(a.got())+len(b.got()) == 1 })
	stays := a
	if len(a.got()) == 1 {
		stays = b
	}
	r.endpoints(stays.addr)
	eventually(t, "one link", func() bool { return len(r.u.Status().Providers) == 1 })
	close(free)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	for range 10 {
		r.mustCall(hook.ClientConnected, "slow", "")
	}
	if n := len(stays.got()); n != 10 {
		t.Errorf("%d calls at the one that stays", n)
	}
}

// The first connection is left by the provider with a call in flight that it did not take. That call goes on by the next.
func TestACallThatTheOnlyProviderDidNotTakeGoesOnByItsNextConnection(t *testing.T) {
	a := aProvider(t, "client.connected")
	var connections atomic.Int64
	front := odd(t, func(nc net.Conn) {
		if connections.Add(1) > 1 {
			to, err := net.Dial("tcp", a.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer to.Close()
			go func() {
				io.Copy(to, nc)
				to.Close()
			}()
			io.Copy(nc, to)
			return
		}
		io.CopyN(io.Discard, nc, int64(len(http2.ClientPreface)))
		fr, w := http2.NewFramer(nc, nc), newWire()
		fr.WriteSettings()
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				return
			}
			if h, is := f.(*http2.HeadersFrame); is && h.StreamID == 1 {
				w.reply(1, hook.AppendLoaded(nil, specs("client.connected")))
				nc.Write(w.take())
			} else if is {
				fr.WriteGoAway(1, http2.ErrCodeNo, nil)
				return
			}
		}
	})
	r := aRigAt(t, setup{patience: time.Minute, settings: Settings{Retries: 1}}, front)
	r.mustLoad(node1)
	r.mustCall(hook.ClientConnected, "c", "")
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

func TestAGracefulRestartOfTheOnlyProviderLosesNoCall(t *testing.T) {
	a := aProvider(t, "client.connected")
	r := aRig(t, setup{patience: time.Minute, settings: Settings{Retries: 1}}, a)
	r.mustLoad(node1)
	stop := make(chan struct{})
	var calling sync.WaitGroup
	var good atomic.Int64
	for i := range 4 {
		calling.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := r.call(hook.ClientConnected, fmt.Sprint(i), ""); err != nil {
					t.Error(err)
					return
				}
				good.Add(1)
			}
		})
	}
	eventually(t, "calls", func() bool { return good.Load() > 50 })
	a.mu.Lock()
	server, served := a.server, a.served
	a.mu.Unlock()
	server.GracefulStop()
	<-served
	a.start()
	from := good.Load()
	eventually(t, "calls again", func() bool { return good.Load() > from+50 || t.Failed() })
	close(stop)
	calling.Wait()
}
