package edge

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/certs/ca"
	"github.com/mqedge/mqedge/configs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is an edge in this process, whose file the test rewrites.
type harness struct {
	*Edge
	t     *testing.T
	log   logBuffer
	text  string
	drain context.CancelFunc
	stop  context.CancelFunc
	ended chan struct{}
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs an edge on text. ECHO in it is the address of an endpoint that
// sends back what it gets.
func startEdge(t *testing.T, text string, o Options) *harness {
	t.Helper()
	h := &harness{t: t, text: strings.ReplaceAll(text, "ECHO", echo(t)), ended: make(chan struct{})}
	o.Load = func() (*configs.Config, configs.Problems) { return configs.Parse("test.yaml", []byte(h.text)) }
	o.LogOutput = &h.log
	h.Edge = New(o)
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	drain, beginDrain := context.WithCancel(context.Background())
	stop, stopNow := context.WithCancel(context.Background())
	h.drain, h.stop = beginDrain, stopNow
	go func() {
		defer close(h.ended)
		h.Run(drain, stop)
	}()
	t.Cleanup(func() {
		stopNow()
		h.waitEnd()
		beginDrain()
	})
	return h
}

func (h *harness) waitEnd() {
	h.t.Helper()
	select {
	case <-h.ended:
	case <-time.After(20 * time.Second):
		h.t.Fatal("the edge did not end\n", h.log.String())
	}
}

// rewrite changes the file and reloads.
func (h *harness) rewrite(replacements ...string) error {
	h.text = strings.NewReplacer(replacements...).Replace(h.text)
	return h.Reload()
}

// talk opens a connection to a listener and checks that it reaches the echo.
func (h *harness) talk(listener string) net.Conn {
	h.t.Helper()
	c, err := net.Dial("tcp", h.Addresses(listener)[0].String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	say(h.t, c, "hello")
	return c
}

func say(t *testing.T, c net.Conn, line string) {
	t.Helper()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	defer c.SetDeadline(time.Time{})
	fmt.Fprintln(c, line)
	got, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || got != line+"\n" {
		t.Fatalf("echo of %q: %q, %v", line, got, err)
	}
}

func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

const oneListener = `
access_log: {path: ""}
admin: {bind: "127.0.0.1:0"}
drain: {over: 0s, deadline: 5s}
listeners:
  front: {bind: "127.0.0.1:0", protocol: tcp, upstream: back}
upstreams:
  back: {endpoints: [{address: "ECHO"}]}
`

func TestAFailedReloadLeavesEverythingAsItWas(t *testing.T) {
	h := startEdge(t, oneListener, Options{})
	c := h.talk("front")
	before := h.current.Load()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	err = h.rewrite("listeners:", fmt.Sprintf("listeners:\n  another: {bind: %q, protocol: tcp, upstream: back}\n  taken: {bind: %q, protocol: tcp, upstream: back}",
		"127.0.0.1:0", taken.Addr().String()))
	if err == nil || !strings.Contains(err.Error(), "listeners.taken.bind: cannot listen on "+taken.Addr().String()) {
		t.Errorf("reload on a taken port: %v", err)
	}
	err = h.rewrite("protocol: tcp", "protocol: tpc")
	var bad *ConfigError
	if !errors.As(err, &bad) || len(bad.Unwrap()) == 0 {
		t.Errorf("reload of a bad file: %v", err)
	}
	if h.current.Load() != before {
		t.Error("something else is in force")
	}
	say(t, c, "still there")
	h.talk("front")
}

func TestReloadKeepsConnectionsCountersAndSockets(t *testing.T) {
	h := startEdge(t, oneListener, Options{})
	c := h.talk("front")
	addr := h.Addresses("front")[0].String()
	if err := h.rewrite(`"127.0.0.1:0", protocol`, fmt.Sprintf("%q, protocol", addr)); err != nil {
		t.Fatal("the port it has, written out: ", err)
	}
	if err := h.rewrite("front:", "renamed:"); err != nil {
		t.Fatal(err)
	}
	if got := h.Addresses("renamed"); len(got) != 1 || got[0].String() != addr {
		t.Errorf("the socket moved from %s to %v", addr, got)
	}
	say(t, c, "a connection of a listener that is gone")
	h.talk("renamed")
	if err := h.rewrite("back:", "rear:", "upstream: back", "upstream: rear"); err != nil {
		t.Fatal(err)
	}
	say(t, c, "its upstream is gone too")
	h.talk("renamed")
	if s := h.current.Load().listeners["renamed"].proxy.Stats(); s.Accepted != 2 || s.Active != 2 {
		t.Errorf("counters of renamed after the second reload: %+v", s)
	}
}

func TestListenersOnFreePortsKeepTheirOwn(t *testing.T) {
	h := startEdge(t, strings.Replace(oneListener, "upstreams:", "  other: {bind: \"127.0.0.1:0\", protocol: tcp, upstream: back}\nupstreams:", 1), Options{})
	front, other := h.Addresses("front")[0].String(), h.Addresses("other")[0].String()
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
	if f, o := h.Addresses("front")[0].String(), h.Addresses("other")[0].String(); f != front || o != other || front == other {
		t.Errorf("front moved from %s to %s, other from %s to %s", front, f, other, o)
	}
	h.talk("front")
	h.talk("other")
}

func TestAListenerThatIsGoneAcceptsNoMore(t *testing.T) {
	h := startEdge(t, oneListener+"  unused: {endpoints: [{address: \"ECHO\"}]}\n", Options{})
	if err := h.rewrite("listeners:", "listeners:\n  second: {bind: \"127.0.0.2:0\", protocol: tcp, upstream: unused}"); err != nil {
		t.Fatal(err)
	}
	addr := h.Addresses("second")[0].String()
	c := h.talk("second")
	if err := h.rewrite("  second:", "  third:", "127.0.0.2:0", "127.0.0.3:0"); err != nil {
		t.Fatal(err)
	}
	if again, err := net.Dial("tcp", addr); err == nil {
		again.Close()
		t.Error("the address still accepts")
	}
	say(t, c, "the live connection stays")
}

func TestDrainEndsWhenTheLastConnectionDoes(t *testing.T) {
	h := startEdge(t, strings.Replace(oneListener, "over: 0s, deadline: 5s", "over: 1m, deadline: 2m", 1), Options{})
	admin := "http://" + h.AdminAddress().String()
	c := h.talk("front")
	c2 := h.talk("front")
	if code := get(t, admin+"/readyz"); code != 200 {
		t.Fatalf("readyz %d before the drain", code)
	}
	h.drain()
	eventually(t, func() bool { return get(t, admin+"/readyz") == 503 })
	if err := h.Reload(); !errors.Is(err, errDraining) {
		t.Errorf("reload while draining: %v", err)
	}
	c.Close()
	c2.Close()
	h.waitEnd()
}

func get(t *testing.T, url string) int {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return r.StatusCode
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it did not come true within 10 s")
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestAStartThatFailsLeavesNothingOpen(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	text := strings.Replace(oneListener, "127.0.0.1:0\"}\ndrain", "192.0.2.1:1\"}\ndrain", 1) // an admin address this host has not
	text = strings.Replace(text, "bind: \"127.0.0.1:0\", protocol", fmt.Sprintf("bind: %q, protocol", addr), 1)
	text = strings.ReplaceAll(text, "ECHO", "127.0.0.1:1")
	e := New(Options{LogOutput: io.Discard, Load: func() (*configs.Config, configs.Problems) {
		return configs.Parse("test.yaml", []byte(text))
	}})
	err = e.Start()
	if err == nil || !strings.Contains(err.Error(), "admin.bind: cannot listen on 192.0.2.1:1") {
		t.Fatalf("start: %v", err)
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the listener's port is still taken: %v", err)
	}
	again.Close()
}

func TestTheAdminAddressAndTokenChangeOnReload(t *testing.T) {
	h := startEdge(t, oneListener, Options{})
	first := h.AdminAddress().String()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	post := func(addr, token string) int {
		r, _ := http.NewRequest("POST", "http://"+addr+"/api/v1/reload", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		return res.StatusCode
	}
	if code := post(first, ""); code != 200 {
		t.Fatalf("reload through the API: %d", code)
	}
	if err := h.rewrite(`admin: {bind: "127.0.0.1:0"}`, fmt.Sprintf(`admin: {bind: "127.0.0.1:0", token_file: %q}`, token)); err != nil {
		t.Fatal(err)
	}
	if got := h.AdminAddress().String(); got != first {
		t.Errorf("the admin address moved from %s to %s", first, got)
	}
	eventually(t, func() bool { return post(first, "") == 401 && post(first, "secret") == 200 })
	if err := h.rewrite("127.0.0.1:0\", token", "127.0.0.2:0\", token"); err != nil {
		t.Fatal(err)
	}
	if code := post(h.AdminAddress().String(), "secret"); code != 200 {
		t.Errorf("reload on the new address: %d", code)
	}
	eventually(t, func() bool {
		c, err := net.Dial("tcp", first)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

func TestTheAccessLogMovesWithoutLosingALine(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	h := startEdge(t, strings.Replace(oneListener, `path: ""`, fmt.Sprintf("format: $status, path: %q", one), 1), Options{})
	stays := h.talk("front")
	h.talk("front").Close()
	eventually(t, func() bool { return h.current.Load().listeners["front"].proxy.Stats().Active == 1 })
	if err := h.rewrite(one, two); err != nil {
		t.Fatal(err)
	}
	h.talk("front").Close()
	stays.Close()
	h.drain()
	h.waitEnd()
	for file, want := range map[string]string{one: "200\n", two: "200\n200\n"} {
		if got, err := os.ReadFile(file); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", filepath.Base(file), got, err, want)
		}
	}
}

func TestLogLevelAndFormatFollowAReload(t *testing.T) {
	h := startEdge(t, oneListener, Options{})
	derived := h.Log().With("part", "x").WithGroup("g")
	derived.Debug("unseen")
	if err := h.rewrite("access_log:", "log: {level: debug, format: json}\naccess_log:"); err != nil {
		t.Fatal(err)
	}
	derived.Debug("seen", "k", 1)
	eventually(t, func() bool {
		return strings.Contains(h.log.String(), `"msg":"seen","part":"x","g":{"k":1}`)
	})
	if text := h.log.String(); strings.Contains(text, "unseen") {
		t.Errorf("log:\n%s", text)
	}
}

func TestCertificatesInMemoryServeAListenerWithoutFiles(t *testing.T) {
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.Issue(ca.Leaf{DNSNames: []string{"localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	c := configs.Default()
	c.AccessLog.Path, c.Admin.Bind = "", ""
	l, u := configs.DefaultListener(), configs.DefaultUpstream()
	tls := configs.DefaultTLS()
	l.Bind, l.Protocol, l.Upstream, l.TLS = []string{"127.0.0.1:0"}, "tcp", "back", &tls
	u.Endpoints = []configs.Endpoint{{Address: "127.0.0.1:1", Weight: 1}}
	c.Listeners = map[string]*configs.Listener{"front": &l}
	c.Upstreams = map[string]*configs.Upstream{"back": &u}
	e := New(Options{
		LogOutput:    io.Discard,
		Load:         func() (*configs.Config, configs.Problems) { return &c, nil },
		Certificates: map[string][]certs.KeyPair{"front": {{CertPEM: cert, KeyPEM: key}}},
	})
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	if got := (source{e}).Certificates(); len(got) != 1 || got[0].File != "front" || got[0].Names[0] != "localhost" {
		t.Errorf("certificates: %+v", got)
	}
	stop, stopNow := context.WithCancel(context.Background())
	stopNow()
	e.Run(context.Background(), stop)
}

func TestAPortThatAnotherListenerGotForZeroIsRefused(t *testing.T) {
	h := startEdge(t, oneListener, Options{})
	addr := h.Addresses("front")[0].String()
	err := h.rewrite("upstreams:", fmt.Sprintf("  second: {bind: %q, protocol: tcp, upstream: back}\nupstreams:", addr))
	if err == nil || !strings.Contains(err.Error(), "listeners.second.bind: "+addr+" is what listeners.front got for port 0") {
		t.Errorf("reload: %v", err)
	}
}

func TestConnectionsOfAListenerThatIsGoneAreListedAndComeBackWithItsName(t *testing.T) {
	h := startEdge(t, oneListener, Options{})
	c := h.talk("front")
	if err := h.rewrite("front:", "another:"); err != nil {
		t.Fatal(err)
	}
	if total, _ := (source{h.Edge}).Connections(admin.ConnectionFilter{Listener: "front"}); total != 1 {
		t.Errorf("connections of the listener that is gone: %d", total)
	}
	if err := h.rewrite("another:", "front:"); err != nil {
		t.Fatal(err)
	}
	say(t, c, "still there")
	if s := h.current.Load().listeners["front"].proxy.Stats(); s.Active != 1 || s.Accepted != 1 {
		t.Errorf("counters of the listener that came back: %+v", s)
	}
}

func TestAnUpstreamThatComesBackKnowsItsConnections(t *testing.T) {
	h := startEdge(t, oneListener, Options{})
	h.talk("front")
	for _, rename := range [][]string{{"back:", "rear:", "upstream: back", "upstream: rear"}, {"rear:", "back:", "upstream: rear", "upstream: back"}} {
		if err := h.rewrite(rename...); err != nil {
			t.Fatal(err)
		}
	}
	if ep := (source{h.Edge}).Upstreams()[0].Endpoints[0]; ep.Connections != 1 {
		t.Errorf("the endpoint: %+v", ep)
	}
}

func TestABrokenCAOfAnUpstreamIsShown(t *testing.T) {
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	h := startEdge(t, strings.Replace(oneListener, "back: {", fmt.Sprintf("back: {tls: {ca_file: %q}, ", file), 1), Options{})
	if err := os.WriteFile(file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		got := (source{h.Edge}).Certificates()
		return len(got) == 1 && got[0].Listeners[0] == "upstream back" && strings.Contains(got[0].Error, file)
	})
}
