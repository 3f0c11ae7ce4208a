package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/certs/ca"
)

// raw is a codec for messages that are bytes already.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte{}, b...)
	return nil
}
func (raw) Name() string { return "proto" }

// field is one of protobuf that holds bytes.
func field(number byte, content ...string) string {
	all := strings.Join(content, "")
	return string([]byte{number<<3 | 2, byte(len(all))}) + all
}

// provider is a hook server.
type provider struct {
	*grpc.Server
	addr  string
	hooks []string // that it registers
	only  string   // "emqx.exhook.v2": it serves nothing else
	// instead, if not nil, answers the calls of hooks. An answer that is nil leaves a call to the provider.
	instead func(stream grpc.ServerStream, method string, request []byte) (reply []byte, err error)

	mu    sync.Mutex
	calls []string // "OnX client-id", in the order in which they came
}

func startProvider(t testing.TB, addr string, hooks ...string) *provider {
	t.Helper()
	p := &provider{hooks: hooks}
	return p.start(t, addr, nil)
}

func (p *provider) start(t testing.TB, addr string, config *tls.Config) *provider {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	must(t, err)
	p.addr = l.Addr().String()
	options := []grpc.ServerOption{grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(p.answer)}
	if config != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	p.Server = grpc.NewServer(options...)
	served := make(chan struct{})
	go func() {
		defer close(served)
		p.Serve(l) // until Stop
	}()
	t.Cleanup(func() {
		p.Stop()
		<-served
	})
	return p
}

// answer registers the hooks, and allows everything.
func (p *provider) answer(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	method := path[strings.LastIndexByte(path, '/')+1:]
	if !strings.HasPrefix(path, "/"+p.only) {
		return status.Error(codes.Unimplemented, "unknown service")
	}
	var request, reply []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	client := ""
	if method == "OnProviderLoaded" {
		for _, name := range p.hooks {
			reply = append(reply, field(1, field(1, name))...)
		}
	} else {
		client = clientOf(request)
	}
	if method == "OnClientAuthenticate" {
		reply = []byte{0x08, 2, 0x18, 1} // STOP_AND_RETURN, true
	}
	p.mu.Lock()
	p.calls = append(p.calls, strings.TrimSpace(method+" "+client))
	p.mu.Unlock()
	if p.instead != nil && method != "OnProviderLoaded" {
		other, err := p.instead(stream, method, request)
		if err != nil {
			return err
		}
		if other != nil {
			reply = other
		}
	}
	return stream.SendMsg(&reply)
}

// clientOf reads the client id where hooks of clients have it, as these tests write them.
func clientOf(request []byte) string {
	for i := 2; i+1 < len(request); i += 2 + int(request[i+1]) {
		if request[i] == 2<<3|2 {
			return string(request[i+2 : i+2+int(request[i+1])])
		}
	}
	return ""
}

func (p *provider) heard() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.calls...)
}

// emqx is a node that calls hooks.
type emqx struct {
	t     testing.TB
	conn  *grpc.ClientConn
	node  string
	speak string // "v2"
}

func startEMQX(t testing.TB, addr, node string, secure credentials.TransportCredentials) *emqx {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(secure), grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return &emqx{t: t, conn: c, node: node, speak: "v2"}
}

func (n *emqx) call(method, request string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	in, out := []byte(request), []byte(nil)
	err := n.conn.Invoke(ctx, "/emqx.exhook."+n.speak+".HookProvider/"+method, &in, &out)
	return string(out), err
}

func (n *emqx) load() (string, error) {
	return n.call("OnProviderLoaded", field(1, field(1, "5.8.9"))+field(2, field(1, n.node)))
}

func (n *emqx) authenticate(client string) (string, error) {
	return n.call("OnClientAuthenticate", field(1, field(1, n.node), field(2, client))+field(3, field(1, n.node)))
}

const allowed = "\x08\x02\x18\x01"

func hooking(more string, providers ...*provider) string {
	var addresses []string
	for _, p := range providers {
		addresses = append(addresses, p.addr)
	}
	return fmt.Sprintf(`
listeners:
  hooks: {bind: "127.0.0.1:0", protocol: grpc, upstream: hooks}
upstreams:
  hooks: {balance: hash, endpoints: %s, %s}
`, endpoints(addresses...), more)
}

func TestEMQXHearsTheHooksOfAllProvidersAndEachClientGoesToOne(t *testing.T) {
	t.Parallel()
	a := startProvider(t, "127.0.0.1:0", "client.authenticate", "client.connected")
	b := startProvider(t, "127.0.0.1:0", "client.authenticate", "session.created")
	e := start(t, hooking("exhook: {}", a, b))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	answer, err := node.load()
	must(t, err)
	for _, name := range []string{"client.authenticate", "client.connected", "session.created"} {
		if strings.Count(answer, name) != 1 {
			t.Errorf("%s: EMQX was told %q", name, answer)
		}
	}
	where := map[string]*provider{}
	for range 3 {
		for i := range 20 {
			client := fmt.Sprint("device-", i)
			if got, err := node.authenticate(client); err != nil || got != allowed {
				t.Fatalf("%s: %q %v", client, got, err)
			}
		}
	}
	for _, p := range []*provider{a, b} {
		calls := p.heard()
		if calls[0] != "OnProviderLoaded" || len(calls) < 4 {
			t.Errorf("a provider heard %q", calls)
		}
		for _, call := range calls[1:] {
			if other := where[call]; other != nil && other != p {
				t.Errorf("%s went to both", call)
			}
			where[call] = p
		}
	}
	eventually(t, func() string {
		out, _, _ := run(t, "status", "--admin", e.admin)
		for _, want := range []string{"loaded for emqx@10.0.0.1", "client.authenticate", "emqx.exhook.v2", "5.8.9"} {
			if !strings.Contains(out, want) {
				return fmt.Sprintf("%q is not in the status:\n%s", want, out)
			}
		}
		return ""
	})
	e.awaitMetric(`mqedge_grpc_calls_total{code="OK",method="OnClientAuthenticate",upstream="hooks"}`, 60)
	e.awaitMetric(fmt.Sprintf(`mqedge_exhook_provider_loaded{endpoint=%q,upstream="hooks"}`, a.addr), 1)
	if strings.Contains(e.stderr.text(), "device-") {
		t.Error("a client id is in the log")
	}
}

func TestAProviderThatDiesCostsNoCallAndOneThatReturnsHearsLoadedFirst(t *testing.T) {
	t.Parallel()
	a := startProvider(t, "127.0.0.1:0", "client.authenticate")
	b := startProvider(t, "127.0.0.1:0", "client.authenticate")
	e := start(t, hooking("exhook: {}", a, b))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	if _, err := node.load(); err != nil {
		t.Fatal(err)
	}
	a.Stop()
	for i := range 50 {
		if got, err := node.authenticate(fmt.Sprint("device-", i)); err != nil || got != allowed {
			t.Fatalf("call %d: %q %v", i, got, err)
		}
	}
	a = startProvider(t, a.addr, "client.authenticate")
	eventually(t, func() string {
		for i := range 50 {
			if _, err := node.authenticate(fmt.Sprint("device-", i)); err != nil {
				t.Fatal(err)
			}
		}
		if calls := a.heard(); len(calls) < 2 {
			return fmt.Sprintf("the provider that is back heard %q", calls)
		}
		return ""
	})
	if calls := a.heard(); calls[0] != "OnProviderLoaded" {
		t.Errorf("first it heard %q", calls[0])
	}
}

func TestWithoutAProviderEMQXGetsWhatItWasToldBeforeAndCleanAnswers(t *testing.T) {
	t.Parallel()
	a := startProvider(t, "127.0.0.1:0", "client.authenticate")
	file := filepath.Join(t.TempDir(), "hooks.json")
	config := hooking(fmt.Sprintf("exhook: {state_file: %q, on_failure: {client.authenticate: deny}}", file), a)
	e := start(t, config)
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	before, err := node.load()
	must(t, err)
	eventually(t, func() string {
		if _, err := os.Stat(file); err != nil {
			return err.Error()
		}
		return ""
	})
	a.Stop()
	e.signal(syscall.SIGTERM)
	if code := e.exit(); code != 0 {
		t.Fatalf("exit code %d", code)
	}

	e = start(t, config)
	node = startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	if after, err := node.load(); err != nil || after != before {
		t.Errorf("after a restart, with no provider up: %q %v, want %q", after, err, before)
	}
	if got, err := node.authenticate("device"); err != nil || got != "\x08\x02\x18\x00" && got != "\x08\x02" {
		t.Errorf("on_failure deny: %q %v", got, err)
	}
	e.awaitMetric(`mqedge_exhook_fallbacks_total{hook="client.authenticate",upstream="hooks"}`, 1)
	e.reload(hooking(fmt.Sprintf("exhook: {state_file: %q}", file), a))
	if _, err := node.authenticate("device"); status.Code(err) != codes.Unavailable {
		t.Errorf("on_failure error: %v, want UNAVAILABLE", err)
	}
}

func TestCallsGoThroughTLSOnBothSides(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	pair := pki.server()
	certificate, err := tls.LoadX509KeyPair(pair.cert, pair.key)
	must(t, err)
	a := &provider{hooks: []string{"client.authenticate"}}
	a.start(t, "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
	e := start(t, fmt.Sprintf(`
listeners:
  hooks: {bind: "127.0.0.1:0", protocol: grpc, upstream: hooks, tls: {certificates: [%s], client_auth: require, client_ca_file: %q}}
upstreams:
  hooks: {endpoints: %s, tls: {ca_file: %q, server_name: %q}, exhook: {}}
`, pair.yaml(), pki.file(), endpoints(a.addr), pki.file(), pair.leaf(t).DNSNames[0]))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", credentials.NewTLS(pki.trusting(pki.issue("emqx", ca.Leaf{CommonName: "emqx", Client: true}))))
	if _, err := node.load(); err != nil {
		t.Fatal(err)
	}
	if got, err := node.authenticate("device"); err != nil || got != allowed {
		t.Errorf("%q %v", got, err)
	}
	e.awaitMetric(`mqedge_connections_active{listener="hooks"}`, 1)
}
