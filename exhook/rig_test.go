package exhook

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// raw passes messages as they are: *[]byte.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(b)
	return nil
}
func (raw) Name() string { return "proto" }

// heard is a call that a provider got.
type heard struct {
	path, client, topic, node string
	hook                      hook.Hook
}

// provider is a hook server of grpc-go.
type provider struct {
	t       testing.TB
	addr    string
	net     network
	options []grpc.ServerOption

	mu     sync.Mutex
	server *grpc.Server
	served chan struct{}
	hooks  []hook.Spec
	answer func(ctx context.Context, h heard, request []byte) ([]byte, error) // nil: what is right
	calls  []heard
}

func aProvider(t testing.TB, hooks ...string) *provider {
	return aProviderIn(t, tcp{}, loopback(t)+":0", hooks...)
}

func aProviderIn(t testing.TB, in network, addr string, hooks ...string) *provider {
	p := &provider{t: t, addr: addr, net: in}
	p.register(hooks...)
	p.start()
	t.Cleanup(p.kill)
	return p
}

// register takes "name" and "name topic topic".
func (p *provider) register(hooks ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hooks = specs(hooks...)
}

func specs(hooks ...string) []hook.Spec {
	var all []hook.Spec
	for _, h := range hooks {
		words := strings.Fields(h)
		all = append(all, hook.Spec{Name: words[0], Topics: slices.Clone(words[1:])})
	}
	return all
}

func (p *provider) answers(f func(ctx context.Context, h heard, request []byte) ([]byte, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = f
}

// start listens, after kill at the same address.
func (p *provider) start() {
	var l net.Listener
	eventually(p.t, "listening at "+p.addr, func() bool {
		var err error
		l, err = p.net.listen(p.addr)
		return err == nil
	})
	if _, real := p.net.(tcp); real {
		p.addr = l.Addr().String()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = grpc.NewServer(append(p.options, grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(p.serve))...)
	p.served = make(chan struct{})
	server, served := p.server, p.served
	go func() {
		defer close(served)
		server.Serve(l)
	}()
}

func (p *provider) kill() {
	p.mu.Lock()
	server, served := p.server, p.served
	p.mu.Unlock()
	server.Stop()
	<-served
}

func (p *provider) serve(_ any, s grpc.ServerStream) error {
	var request []byte
	if err := s.RecvMsg(&request); err != nil {
		return err
	}
	path, _ := grpc.MethodFromServerStream(s)
	m, known := hook.ParseMethod(path)
	f, _ := hook.Scan(m, request)
	h := heard{path, string(f.ClientID), string(f.Topic), string(f.Node), m.Hook}
	if m.Hook == hook.ProviderLoaded {
		b, _ := hook.ParseLoaded(request)
		h.node = b.Node
	}
	p.mu.Lock()
	p.calls = append(p.calls, h)
	answer, hooks := p.answer, p.hooks
	p.mu.Unlock()
	var reply []byte
	if answer != nil {
		r, err := answer(s.Context(), h, request)
		if err != nil {
			return err
		}
		reply = r
	}
	if reply == nil {
		switch {
		case !known:
			reply = request
		case m.Hook == hook.ProviderLoaded:
			reply = hook.AppendLoaded(nil, hooks)
		case m.Hook.Valued() && m.Hook != hook.MessagePublish:
			reply = []byte("\x18\x01") // CONTINUE, true
		case m.Hook.Valued():
			reply = []byte("\x08\x01") // IGNORE
		}
	}
	return s.SendMsg(&reply)
}

// got is what the provider got, without OnProviderLoaded unless asked for.
func (p *provider) got(hooks ...hook.Hook) []heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []heard
	for _, h := range p.calls {
		if len(hooks) == 0 && h.hook != hook.ProviderLoaded || slices.Contains(hooks, h.hook) {
			all = append(all, h)
		}
	}
	return all
}

func (p *provider) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

// driven is a Loop on grpcrelay's portable driver.
type driven struct{ d *grpcrelay.Driver }

func (l *driven) Do(f func(*grpcrelay.Group)) bool {
	l.d.Do(f)
	return true
}

func (l *driven) AddProvider(nc net.Conn, o grpcrelay.ProviderOptions, begun func(*grpcrelay.Provider)) error {
	l.d.ServeProvider(nc, o, begun)
	return nil
}

// rig is an upstream and a way for clients to it.
type rig struct {
	t    testing.TB
	u    *Upstream
	pool *balancer.Pool
	d    *grpcrelay.Driver
	net  network
	addr string
	conn *grpc.ClientConn
	log  *logged
	stop func() // ends Run
}

type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type setup struct {
	in       network // nil: tcp
	settings Settings
	pool     balancer.Options
	relay    func(*grpcrelay.Options)
	general  bool // not hook-aware
	patience time.Duration
	state    []byte
}

func aRig(t testing.TB, s setup, providers ...*provider) *rig {
	var addrs []string
	for _, p := range providers {
		addrs = append(addrs, p.addr)
	}
	return aRigAt(t, s, addrs...)
}

func aRigAt(t testing.TB, s setup, addrs ...string) *rig {
	if s.pool.Policy == "" {
		s.pool.Policy = balancer.Hash
	}
	r := &rig{t: t, pool: balancer.New("hooks", s.pool), log: &logged{}}
	r.endpoints(addrs...)
	if s.settings.Hooks == nil && !s.general {
		s.settings.Hooks = &Hooks{}
	}
	if s.in == nil {
		s.in = tcp{}
	}
	r.net = s.in
	if s.settings.Dial == nil {
		s.settings.Dial = s.in.dial
	}
	loop := &driven{}
	r.u = New(Options{Name: "hooks", Pool: r.pool, Logger: slog.New(slog.NewTextHandler(r.log, nil)), State: s.state, Settings: s.settings}, loop)
	if s.patience > 0 {
		r.u.patience = s.patience
	}
	o := r.u.Relay()
	if s.relay != nil {
		s.relay(&o)
	}
	r.d = grpcrelay.NewDriver(o)
	loop.d = r.d

	front, err := s.in.listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if r.addr = front.Addr().String(); s.in != (tcp{}) {
		r.addr = "127.0.0.1:0"
	}
	ticking, stopTicking := context.WithCancel(context.Background())
	running, stopRunning := context.WithCancel(context.Background())
	var all, upstream sync.WaitGroup
	all.Go(func() { r.d.Run(ticking) })
	upstream.Go(func() { r.u.Run(running) })
	all.Go(func() {
		for {
			nc, err := front.Accept()
			if err != nil {
				return
			}
			all.Go(func() { r.d.ServeClient(nc, nil) })
		}
	})
	r.conn = r.dial()
	r.stop = func() {
		stopRunning()
		upstream.Wait()
	}
	t.Cleanup(func() {
		r.conn.Close()
		front.Close()
		r.stop()
		stopTicking()
		all.Wait()
		if t.Failed() {
			t.Logf("the log:\n%s", r.log)
		}
	})
	return r
}

// dial makes another connection of a client.
func (r *rig) dial() *grpc.ClientConn {
	conn, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(r.net.dial),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})), grpc.WithDisableServiceConfig(), grpc.WithDisableRetry())
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

func (r *rig) endpoints(addrs ...string) {
	var set []balancer.Endpoint
	for _, a := range addrs {
		set = append(set, balancer.Endpoint{Addr: a})
	}
	r.pool.Update(set)
}

const node1, node2 = "emqx@10.0.0.1", "emqx@10.0.0.2"

// invoke makes a call with EMQX's timeout.
func (r *rig) invoke(path string, request []byte) ([]byte, error) {
	return r.invokeIn(5*time.Second, path, request)
}

func (r *rig) invokeIn(d time.Duration, path string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var reply []byte
	err := r.conn.Invoke(ctx, path, &request, &reply)
	return reply, err
}

// load is EMQX's OnProviderLoaded.
func (r *rig) load(v hook.Version, node string) ([]hook.Spec, error) {
	reply, err := r.invoke(hook.Method{Version: v, Hook: hook.ProviderLoaded}.Path(), loadedRequest(node))
	if err != nil {
		return nil, err
	}
	return hook.DecodeLoaded(reply)
}

// mustLoad has an EMQX node of v2 loaded, and is over when all providers have answered.
func (r *rig) mustLoad(node string) {
	r.t.Helper()
	if _, err := r.load(hook.V2, node); err != nil {
		r.t.Fatal(err)
	}
}

// call makes a call of a client in v2 by node 1.
func (r *rig) call(h hook.Hook, client, topic string) ([]byte, error) {
	m := hook.Method{Version: hook.V2, Hook: h}
	return r.invoke(m.Path(), request(h, client, topic, node1))
}

func (r *rig) mustCall(h hook.Hook, client, topic string) []byte {
	r.t.Helper()
	reply, err := r.call(h, client, topic)
	if err != nil {
		r.t.Fatalf("%v of %s: %v", h, client, err)
	}
	return reply
}

// loaded waits until all those providers have answered OnProviderLoaded of all nodes.
func (r *rig) loaded(providers ...*provider) {
	r.t.Helper()
	eventually(r.t, "loaded", func() bool {
		for _, p := range providers {
			if s := r.status(p.addr); !s.Loaded || len(s.Nodes) == 0 {
				return false
			}
		}
		return true
	})
}

func (r *rig) status(addr string) ProviderStatus {
	for _, s := range r.u.Status().Providers {
		if s.Address == addr {
			return s
		}
	}
	return ProviderStatus{}
}

func text(num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
}

func loadedRequest(node string) []byte {
	return hook.AppendLoadedRequest(nil, hook.Broker{Node: node, Version: "5.8.9", Cluster: "emqxcl", Description: "EMQX"})
}

// metaField is the number of meta in the request.
var metaField = map[hook.Hook]protowire.Number{
	hook.ProviderUnloaded: 1, hook.ClientConnect: 3, hook.ClientConnack: 4, hook.ClientConnected: 2, hook.ClientDisconnected: 3,
	hook.ClientAuthenticate: 3, hook.ClientAuthorize: 5, hook.SessionCreated: 2, hook.MessagePublish: 2, hook.MessageDelivered: 3,
	hook.MessageAcked: 3, hook.MessageDropped: 3,
}

// request is one of EMQX's.
func request(h hook.Hook, client, topic, node string) []byte {
	var b []byte
	message := slices.Concat(text(1, node), text(4, client), text(5, topic), text(6, "payload"))
	switch h {
	case hook.ProviderUnloaded:
	case hook.MessagePublish, hook.MessageDropped:
		b = text(1, string(message))
	default:
		b = text(1, string(slices.Concat(text(1, node), text(2, client), text(4, "secret"))))
		if h.Topics() {
			b = append(b, text(2, string(message))...)
		}
	}
	return append(b, text(metaField[h], string(slices.Concat(text(1, node), text(2, "5.8.9"), text(4, "emqxcl"))))...)
}

// eventually polls for up to a minute: an endpoint that is ejected again and again may be out for half of that.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if got := grpcstatus.Code(err); got != want {
		t.Fatalf("got %v: %v; want %v", got, err, want)
	}
}

func shown(all []hook.Spec) string {
	var texts []string
	for _, s := range all {
		texts = append(texts, strings.TrimSpace(s.Name+" "+strings.Join(s.Topics, " ")))
	}
	return fmt.Sprint(texts)
}
