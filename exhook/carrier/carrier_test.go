package carrier

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook"
	"github.com/mqedge/mqedge/proxy/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 15 * time.Second

// raw is a codec for messages that are bytes already.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte{}, b...)
	return nil
}
func (raw) Name() string { return "proto" }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a carrier at work between a client and a provider that answers each call
// when the test says so, or at once.
type rig struct {
	*Carrier
	relay    *relay.Relay
	answer   chan struct{} // closed: at once
	accept   net.Listener
	ends     chan relay.Result
	pairs    chan relay.Pair
	counters relay.Counters
	client   *grpc.ClientConn
}

// eachRelay runs a test with an event loop and without.
func eachRelay(t *testing.T, test func(t *testing.T, r *rig)) {
	for _, loops := range []int{0, 1} {
		t.Run(fmt.Sprint(loops, " loops"), func(t *testing.T) { test(t, newRig(t, loops)) })
	}
}

func newRig(t *testing.T, loops int) *rig {
	t.Helper()
	r := &rig{answer: make(chan struct{}), ends: make(chan relay.Result, 16), pairs: make(chan relay.Pair, 16)}
	providers, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		var request []byte
		if err := s.RecvMsg(&request); err != nil {
			return err
		}
		select {
		case <-r.answer:
		case <-s.Context().Done():
			return s.Context().Err()
		}
		return s.SendMsg(&request)
	}))
	served := make(chan struct{})
	go func() { defer close(served); server.Serve(providers) }()

	r.relay, err = relay.New(relay.RelayOptions{Loops: loops})
	must(t, err)
	pool := balancer.New("calls", balancer.Options{})
	pool.Update([]balancer.Endpoint{{Addr: providers.Addr().String()}})
	r.Carrier = New(r.relay, 0, exhook.Options{Name: "calls", Pool: pool, Settings: exhook.Settings{
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return Dial(ctx, addr, net.KeepAliveConfig{}, nil)
		},
	}})
	ctx, cancel := context.WithCancel(context.Background())
	relaying, carrying := make(chan struct{}), make(chan struct{})
	go func() { defer close(relaying); r.relay.Run(ctx) }()
	running, stop := context.WithCancel(context.Background())
	go func() { defer close(carrying); r.Run(running) }()

	r.accept, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			c, err := r.accept.Accept()
			if err != nil {
				return
			}
			conn, err := relay.NewConn(c.(*net.TCPConn), nil)
			if err != nil {
				t.Error(err)
				return
			}
			p, err := r.Add(conn, &r.counters, func(res relay.Result) { r.ends <- res })
			if err != nil {
				t.Error(err)
				return
			}
			r.pairs <- p
		}
	}()
	r.client, err = grpc.NewClient("passthrough:///"+r.accept.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})), grpc.WithNoProxy())
	must(t, err)
	t.Cleanup(func() {
		r.client.Close()
		r.accept.Close()
		<-accepted
		stop()
		<-carrying
		server.Stop()
		<-served
		cancel()
		<-relaying
	})
	return r
}

func (r *rig) call(text string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	in, out := []byte(text), []byte(nil)
	err := r.client.Invoke(ctx, "/a.Service/Echo", &in, &out, grpc.WaitForReady(true))
	return string(out), err
}

// end waits for the end of a client's connection.
func (r *rig) end(t *testing.T) relay.Result {
	t.Helper()
	select {
	case res := <-r.ends:
		return res
	case <-time.After(patience):
		t.Fatal("the connection does not end")
		return relay.Result{}
	}
}

// ready has a call answered, which takes a connected provider.
func (r *rig) ready(t *testing.T) {
	t.Helper()
	for by := time.Now().Add(patience); ; {
		_, err := r.call("ready")
		if err == nil {
			return
		}
		if status.Code(err) != codes.Unavailable || time.Now().After(by) {
			t.Fatal(err)
		}
	}
}

func TestCallsAreCarriedAndCounted(t *testing.T) {
	eachRelay(t, func(t *testing.T, r *rig) {
		close(r.answer)
		r.ready(t)
		text := strings.Repeat("x", 100_000)
		if got, err := r.call(text); err != nil || got != text {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		p := <-r.pairs
		r.client.Close()
		res := r.end(t)
		if res.Reason != relay.ClientClosed && res.Reason != relay.ClientReset || res.FromClient < 100_000 || res.ToClient < 100_000 ||
			res.FromClient != r.counters.FromClient.Load() || res.ToClient != r.counters.ToClient.Load() {
			t.Errorf("%+v, counted %d and %d", res, r.counters.FromClient.Load(), r.counters.ToClient.Load())
		}
		if in, out := p.Bytes(); in != res.FromClient || out != res.ToClient {
			t.Errorf("%d and %d bytes, want %+v", in, out, res)
		}
	})
}

func TestAFarewellWaitsForTheCallUnderWay(t *testing.T) {
	eachRelay(t, func(t *testing.T, r *rig) {
		answered := make(chan error, 1)
		go func() {
			for { // until a provider is there
				_, err := r.call("slow")
				if status.Code(err) != codes.Unavailable {
					answered <- err
					return
				}
			}
		}()
		p := <-r.pairs
		r.awaitCall(t)
		p.Farewell("leaving", nil, time.Minute)
		select {
		case res := <-r.ends:
			t.Fatalf("it ended with a call under way: %+v", res)
		case <-time.After(300 * time.Millisecond):
		}
		close(r.answer)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		if res := r.end(t); res.Reason != "leaving" {
			t.Errorf("%+v", res)
		}
	})
}

func TestCloseEndsAConnectionWithACallUnderWay(t *testing.T) {
	eachRelay(t, func(t *testing.T, r *rig) {
		failed := make(chan error, 1)
		go func() {
			for { // until a provider is there
				_, err := r.call("never answered")
				if s := status.Convert(err); s.Code() != codes.Unavailable || !strings.Contains(s.Message(), "provider") {
					failed <- err
					return
				}
			}
		}()
		p := <-r.pairs
		r.awaitCall(t)
		p.Close("told")
		if res := r.end(t); res.Reason != "told" {
			t.Errorf("%+v", res)
		}
		r.client.Close()
		<-failed
	})
}

// awaitCall waits until a call is at the provider.
func (r *rig) awaitCall(t *testing.T) {
	t.Helper()
	for by := time.Now().Add(patience); ; {
		for _, p := range r.Status().Providers {
			if p.InFlight > 0 {
				return
			}
		}
		if time.Now().After(by) {
			t.Fatalf("no call is under way: %+v", r.Status())
		}
		<-time.After(time.Millisecond)
	}
}

func TestLeavePartsWithIdleClientsAndWaitsForTheOthers(t *testing.T) {
	eachRelay(t, func(t *testing.T, r *rig) {
		close(r.answer)
		r.ready(t)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		must(t, r.Leave(ctx))
		r.end(t)
	})
}

func TestLeaveServesTheCallUnderWayAndPartsWithWhoComesLater(t *testing.T) {
	eachRelay(t, func(t *testing.T, r *rig) {
		answered := make(chan error, 1)
		go func() {
			for { // until a provider is there
				_, err := r.call("slow")
				if status.Code(err) != codes.Unavailable {
					answered <- err
					return
				}
			}
		}()
		r.awaitCall(t)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		left := make(chan error, 1)
		go func() { left <- r.Leave(ctx) }()
		late, err := grpc.NewClient("passthrough:///"+r.accept.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
		must(t, err)
		defer late.Close()
		late.Connect()
		r.end(t) // of the late one, which has no call
		select {
		case err := <-left:
			t.Fatal("it left with a call under way:", err)
		default:
		}
		close(r.answer)
		must(t, <-answered)
		must(t, <-left)
		r.end(t)
	})
}
