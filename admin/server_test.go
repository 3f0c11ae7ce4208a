package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"math"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// process is what a Server reads and changes in these tests.
type process struct {
	mu        sync.Mutex
	notReady  string
	reloadErr error
	drainErr  error
	kicked    []string
	drained   []string
	filters   []ConnectionFilter
	config    string
	reloading chan struct{} // Reload says that it began, unless nil, and waits for
	release   chan struct{} // this or for its connection to go
}

func (p *process) Listeners() []Listener {
	return []Listener{{Name: "mqtts", Addresses: []string{"127.0.0.1:8884"}, Protocol: "mqtt", TLS: true, Upstream: "emqx", Refused: map[string]uint64{"rate": 3}}}
}

func (p *process) Upstreams() []Upstream {
	return []Upstream{
		{Name: "emqx", Protocol: "mqtt", Endpoints: []Endpoint{{Address: "10.0.0.1:1883", Weight: 1, Source: "static", Up: true}, {Address: "[::1]:1883"}}},
		{Name: "none", Protocol: "tcp"},
	}
}

func (p *process) Certificates() []Certificate { return nil }
func (p *process) Members() []Member           { return nil }
func (p *process) Announcements() Announcements {
	return Announcements{Engine: &Engine{Containers: []Container{{Name: "a"}}}}
}

func (p *process) Events(since uint64) EventList {
	return EventList{Last: 7, Events: []Event{{ID: 7, FirstID: 3, Time: noon, FirstTime: noon, Count: 2, Level: "warn", Text: "t"}}[min(since/7, 1):]}
}

func (p *process) History(since uint64) History {
	return History{Seconds: 2, Last: since, Time: noon, Listeners: []ListenerHistory{{Name: "mqtts", Active: Series{float32(math.NaN()), 1048577, 0.33333}}}}
}

func (p *process) Connections(f ConnectionFilter) (int, iter.Seq[Connection]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filters = append(p.filters, f)
	if f.ClientID == "nobody" {
		return 0, slices.Values([]Connection(nil))
	}
	all := []Connection{{ID: 1, ClientID: "a"}, {ID: 2, ClientID: "\xff<ü>"}}
	return len(all), slices.Values(all[:min(f.Limit, len(all))])
}

func (p *process) Config() []byte { return []byte(p.config) }

func (p *process) Ready() (bool, string) { return p.notReady == "", p.notReady }

func (p *process) Reload(ctx context.Context) error {
	if p.reloading != nil {
		p.reloading <- struct{}{}
		select {
		case <-p.release:
		case <-ctx.Done():
		}
	}
	return p.reloadErr
}

func (p *process) Drain(upstream, endpoint string, how Drain) error {
	action := "drain"
	if how.Over != nil {
		action += " over " + how.Over.String()
	}
	if how.Keep {
		action += " keep"
	}
	if how.Local {
		action += " local"
	}
	return p.change(action, upstream, endpoint)
}

func (p *process) DrainsOn(local bool) string {
	return map[bool]string{true: "this edge alone", false: "all edges"}[local]
}

func (p *process) Enable(upstream, endpoint string, local bool) error {
	action := "enable"
	if local {
		action += " local"
	}
	return p.change(action, upstream, endpoint)
}

func (p *process) change(action, upstream, endpoint string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drained = append(p.drained, action+" "+upstream+" "+endpoint)
	return p.drainErr
}

func (p *process) Kick(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kicked = append(p.kicked, id)
	return 2
}

// acts is what a Server is made of.
type acts interface {
	Source
	Control
}

// serve runs a Server on an address until the test ends and gives where it listens.
func serve(t *testing.T, p acts, bind, tokenFile string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", bind)
	if err != nil {
		t.Fatal(err)
	}
	gatherer := prometheus.NewRegistry()
	gatherer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "mqedge_answer"}, func() float64 { return 42 }))
	s := New(Options{
		Source: p, Control: p, Gatherer: gatherer, TokenFile: tokenFile, Logger: slog.New(slog.DiscardHandler),
		Version: Version{Version: "1.2.3", Started: noon},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return net.JoinHostPort("127.0.0.1", port)
}

type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends a request; headers are "Name: value", of which Host is the request's own.
func ask(t *testing.T, method, addr, path string, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(body)}
}

const (
	loopback = "127.0.0.1:0"
	anywhere = "0.0.0.0:0"
)

func TestEveryRouteAnswersInTheShapeThatIsPromised(t *testing.T) {
	addr := serve(t, &process{config: "log: {level: info}\nlisteners: {mqtts: {bind: [127.0.0.1:1]}}\n"}, loopback, "")
	for _, test := range []struct {
		path, want string
	}{
		{"/api/v1/listeners", `[{"name":"mqtts","addresses":["127.0.0.1:8884"],"protocol":"mqtt","tls":true,"upstream":"emqx","active":0,` +
			`"half_open":0,"waiting":0,"accepted_total":0,"refused":{"rate":3},"closed":{},"bytes_in":0,"bytes_out":0,"messages_in":0,"messages_out":0,"last_refusal":""}]`},
		{"/api/v1/upstreams", `[{"name":"emqx","protocol":"mqtt","endpoints":[` +
			`{"address":"10.0.0.1:1883","weight":1,"source":"static","up":true,"draining":false,"ejected":false,"reason":"","connections":0,"connects_total":0,"failures_total":0},` +
			`{"address":"[::1]:1883","weight":0,"source":"","up":false,"draining":false,"ejected":false,"reason":"","connections":0,"connects_total":0,"failures_total":0}]},` +
			`{"name":"none","protocol":"tcp","endpoints":[]}]`},
		{"/api/v1/members", `[]`},
		{"/api/v1/announcements", `{"announcements":[],"docker":{"socket":"","connected":false,"error":"","containers":[{"name":"a","offers":0,"reason":"","wrong":false,"warnings":[]}]}}`},
		{"/api/v1/certificates", `[]`},
		{"/api/v1/connections?limit=1", `[{"id":1,"listener":"","client":"","peer":"","client_id":"a","username":"","mqtt_version":"","keepalive":0,` +
			`"server_name":"","upstream":"","endpoint":"","since":"0001-01-01T00:00:00Z","bytes_in":0,"bytes_out":0}]`},
		{"/api/v1/version", `{"version":"1.2.3","commit":"","go":"","started":"2026-05-04T12:00:00Z"}`},
		{"/api/v1/events", `{"last_id":7,"forgotten":0,"events":[{"id":7,"first_id":3,"time":"2026-05-04T12:00:00Z","first_time":"2026-05-04T12:00:00Z",` +
			`"count":2,"level":"warn","text":"t","attributes":[]}]}`},
		{"/api/v1/events?since=7", `{"last_id":7,"forgotten":0,"events":[]}`},
		{"/api/v1/history?since=5", `{"seconds":2,"last":5,"time":"2026-05-04T12:00:00Z","listeners":[{"name":"mqtts","active":[null,1048577,0.3333],` +
			`"accepted":[],"refused":[],"bytes_in":[],"bytes_out":[],"messages_in":[],"messages_out":[]}],"upstreams":[]}`},
		{"/api/v1/access", `{"changes":"open","allowed":true,"reason":""}`},
		{"/api/v1/config", `{"listeners":{"mqtts":{"bind":["127.0.0.1:1"]}},"log":{"level":"info"}}`},
	} {
		got := ask(t, http.MethodGet, addr, test.path)
		if got.status != http.StatusOK || strings.TrimSpace(got.body) != test.want || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s\n got %s\nwant %s", test.path, got.status, got.header.Get("Content-Type"), got.body, test.want)
		}
	}
	for path, want := range map[string]string{"/livez": "ok\n", "/readyz": "ready\n", "/metrics": "\nmqedge_answer 42\n", "/": "<title>mqedge", "/api/v1/": "/api/v1/upstreams"} {
		if got := ask(t, http.MethodGet, addr, path); got.status != http.StatusOK || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %q", path, got.status, got.body)
		}
	}
}

func TestNothingIsAnEmptyListAndNeverNull(t *testing.T) {
	for _, v := range []any{
		Listener{}, Upstream{ExHook: &ExHook{Drift: []Drift{{}}}, Endpoints: []Endpoint{{Provider: &Provider{}}}}, Upstream{ExHook: &ExHook{}}, Certificate{},
		Event{}, EventList{}, History{Listeners: []ListenerHistory{{}}, Upstreams: []UpstreamHistory{{Calls: &CallHistory{}}}}, History{},
	} {
		if body, err := json.Marshal(v); err != nil || strings.Contains(string(body), "null") {
			t.Errorf("%T: %s %v", v, body, err)
		}
	}
}

func TestReadyzSaysWhyNot(t *testing.T) {
	addr := serve(t, &process{notReady: "draining"}, loopback, "")
	if got := ask(t, http.MethodGet, addr, "/readyz"); got.status != http.StatusServiceUnavailable || got.body != "draining\n" {
		t.Errorf("%d %q", got.status, got.body)
	}
	if got := ask(t, http.MethodGet, addr, "/livez"); got.status != http.StatusOK {
		t.Errorf("livez: %d", got.status)
	}
}

func TestAnUnknownPathOrAWrongMethodIsAnErrorInJSON(t *testing.T) {
	addr := serve(t, &process{}, loopback, "")
	for _, test := range []struct {
		method, path, allow string
		status              int
	}{
		{"GET", "/api/v1/nothing", "", 404},
		{"GET", "/api/v1/listeners/", "", 404},
		{"GET", "/api/v1/upstreams/emqx/endpoints/10.0.0.1:1883/explode", "", 404},
		{"POST", "/api/v1/listeners", "GET, HEAD", 405},
		{"GET", "/api/v1/reload", "POST", 405},
		{"PUT", "/api/v1/connections", "DELETE, GET, HEAD", 405},
		{"OPTIONS", "/api/v1/reload", "POST", 405},
	} {
		got := ask(t, test.method, addr, test.path)
		var said map[string]string
		if err := json.Unmarshal([]byte(got.body), &said); err != nil || said["error"] == "" {
			t.Errorf("%s %s: %q", test.method, test.path, got.body)
		}
		if got.status != test.status || got.header.Get("Allow") != test.allow {
			t.Errorf("%s %s: %d, Allow %q", test.method, test.path, got.status, got.header.Get("Allow"))
		}
	}
}

func TestAReloadThatFailsListsItsProblems(t *testing.T) {
	p := &process{}
	addr := serve(t, p, loopback, "")
	if got := ask(t, http.MethodPost, addr, "/api/v1/reload"); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	p.reloadErr = errors.Join(errors.New("a.yaml:1:2: log: wrong"), errors.New("a.yaml:3:4: drain: wrong"))
	got := ask(t, http.MethodPost, addr, "/api/v1/reload")
	want := `{"error":"the configuration was not loaded; the one in effect stays","problems":["a.yaml:1:2: log: wrong","a.yaml:3:4: drain: wrong"]}`
	if got.status != http.StatusUnprocessableEntity || strings.TrimSpace(got.body) != want {
		t.Errorf("%d\n got %s\nwant %s", got.status, got.body, want)
	}
}

func TestAnEndpointIsDrainedByNameEscapedOrNot(t *testing.T) {
	p := &process{}
	addr := serve(t, p, loopback, "")
	for _, endpoint := range []string{"10.0.0.1:1883", "[::1]:1883", "%5B%3A%3A1%5D%3A1883"} {
		got := ask(t, http.MethodPost, addr, "/api/v1/upstreams/emqx/endpoints/"+endpoint+"/drain")
		if got.status != http.StatusOK || !strings.Contains(got.body, `"draining":true`) {
			t.Errorf("%s: %d %s", endpoint, got.status, got.body)
		}
	}
	ask(t, http.MethodPost, addr, "/api/v1/upstreams/emqx/endpoints/[::1]:1883/enable")
	want := []string{"drain emqx 10.0.0.1:1883", "drain emqx [::1]:1883", "drain emqx [::1]:1883", "enable emqx [::1]:1883"}
	if !reflect.DeepEqual(p.drained, want) {
		t.Errorf("got %q", p.drained)
	}

	for _, wrong := range []string{"over=30", "over=-1s", "keep=yes", "local=1"} {
		if got := ask(t, http.MethodPost, addr, "/api/v1/upstreams/emqx/endpoints/10.0.0.1:1883/drain?"+wrong); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", wrong, got.status, got.body)
		}
	}
	for path, want := range map[string]string{
		"emqx/endpoints/10.0.0.2:1883": `upstream emqx has no endpoint \"10.0.0.2:1883\": there are 10.0.0.1:1883, [::1]:1883`,
		"emqqx/endpoints/x":            `there is no upstream \"emqqx\": there are emqx, none`,
		"none/endpoints/x":             `upstream none has no endpoint \"x\": there are none`,
	} {
		got := ask(t, http.MethodPost, addr, "/api/v1/upstreams/"+path+"/drain")
		if got.status != http.StatusNotFound || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	p.drainErr = errors.New("it has just left")
	if got := ask(t, http.MethodPost, addr, "/api/v1/upstreams/emqx/endpoints/10.0.0.1:1883/drain"); got.status != http.StatusConflict {
		t.Errorf("%d %s", got.status, got.body)
	}
}
