package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestEveryRouteOfTheAdminAddressAnswers(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startFake(t, acknowledge)
	pair := pki.server()
	e := start(t, fmt.Sprintf(oneCertificate, pair.yaml(), endpoints(node.address())))
	d := mustConnect(t, e.addr("mqtts"), pki.trusting(), "asked-about")

	for path, want := range map[string][]string{
		"/":                              {"/metrics", "/api/v1/"},
		"/livez":                         {"ok"},
		"/readyz":                        {"ready"},
		"/metrics":                       {"mqedge_connections_active", "# HELP"},
		"/api/v1/listeners":              {`"name":"mqtts"`, `"protocol":"mqtt"`, `"tls":true`, `"upstream":"emqx"`, `"active":1`},
		"/api/v1/upstreams":              {`"name":"emqx"`, `"protocol":"mqtt"`, `"source":"static"`, `"up":true`, `"draining":false`, `"ejected":false`, `"reason":""`},
		"/api/v1/members":                {"[]"},
		"/api/v1/announcements":          {`{"announcements":[],"docker":null}`},
		"/api/v1/certificates":           {pair.cert, "edge.example"},
		"/api/v1/connections":            {`"client_id":"asked-about"`, d.LocalAddr().String(), node.address(), `"server_name":"edge.example"`, `"mqtt_version":"3.1.1"`},
		"/api/v1/config":                 {`"idle_timeout":`, `"least_conn"`},
		"/api/v1/version":                {`"version":`, `"go":"go1.`},
		"/debug/pprof/":                  {"goroutine"},
		"/debug/pprof/heap":              {""},
		"/debug/pprof/goroutine":         {""},
		"/debug/pprof/cmdline":           {"mqedge"},
		"/debug/pprof/profile?seconds=1": {""},
	} {
		body := e.call("GET", path)
		for _, part := range want {
			if !strings.Contains(body, part) {
				t.Errorf("%s: no %s in %s", path, part, body)
			}
		}
		if strings.HasPrefix(path, "/api/") && !json.Valid([]byte(body)) {
			t.Errorf("%s is not JSON: %s", path, body)
		}
	}
	if body := e.call("POST", "/api/v1/reload"); !strings.Contains(body, "reloaded") {
		t.Errorf("reload: %s", body)
	}
	if status, body, _ := e.request("GET", "/api/v2/listeners", ""); status != 404 || !strings.Contains(body, "error") {
		t.Errorf("an unknown path: %d %s", status, body)
	}
	must(t, d.ping())
}

func TestTheAnswersHaveTheFieldsOfTheContract(t *testing.T) {
	t.Parallel()
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(deadAddress(t))))
	all := fetch[[]map[string]any](e, "/api/v1/upstreams")
	fields := func(name string, object map[string]any, want ...string) {
		for _, field := range want {
			if _, ok := object[field]; !ok {
				t.Errorf("%s has no %q: %v", name, field, object)
			}
		}
		if len(object) != len(want) {
			t.Errorf("%s has %d fields, want %d: %v", name, len(object), len(want), object)
		}
	}
	fields("upstream", all[0], "name", "protocol", "endpoints")
	fields("endpoint", all[0]["endpoints"].([]any)[0].(map[string]any), "address", "weight", "source", "up", "draining",
		"ejected", "reason", "connections", "connects_total", "failures_total")
}

func TestAnEndpointIsDrainedAndEnabledByHand(t *testing.T) {
	t.Parallel()
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{balance: round_robin, endpoints: %s}`, endpoints(a.address(), b.address())))
	old := crowd(t, e, 4)

	out, errs, code := run(t, "drain", "--keep", "--admin", e.admin, "emqx", a.address())
	if code != 0 || !strings.Contains(out, "draining") {
		t.Fatalf("mqedge drain: %d %s%s", code, out, errs)
	}
	crowd(t, e, 4)
	if a.came() != 2 || b.came() != 6 {
		t.Errorf("%d and %d connections, want 2 and 6", a.came(), b.came())
	}
	got := e.endpoint("emqx", a.address())
	if !got.Draining || got.Connections != 2 || !strings.Contains(got.Reason, "drained by hand") {
		t.Errorf("the drained endpoint: %+v", got)
	}
	for _, d := range old {
		must(t, d.ping())
	}
	if !e.hup() || !e.endpoint("emqx", a.address()).Draining {
		t.Error("a reload has undone it")
	}

	e.call("POST", "/api/v1/upstreams/emqx/endpoints/"+a.address()+"/enable")
	crowd(t, e, 4)
	if a.came() != 4 {
		t.Errorf("%d connections after it was enabled, want 4", a.came())
	}
	for _, args := range [][]string{{"emqx", "127.0.0.1:1"}, {"emxq", a.address()}} {
		if _, errs, code := run(t, append([]string{"enable", "--admin", e.admin}, args...)...); code != 1 || !strings.Contains(errs, args[0]) {
			t.Errorf("mqedge enable %v: %d %s", args, code, errs)
		}
	}
}

func TestAClientIsKickedByItsID(t *testing.T) {
	t.Parallel()
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(startFake(t, acknowledge).address())))
	stays := mustConnect(t, e.addr("mqtt"), nil, "stays")
	id := "a client/with?odd=letters&ü"
	one, two := mustConnect(t, e.addr("mqtt"), nil, id), mustConnect(t, e.addr("mqtt"), nil, id)
	escaped := "?client_id=a%20client%2Fwith%3Fodd%3Dletters%26%C3%BC"
	if list := fetch[[]connectionState](e, "/api/v1/connections"+escaped); len(list) != 2 || list[0].ClientID != id {
		t.Errorf("listed: %+v", list)
	}
	if body := e.call("DELETE", "/api/v1/connections"+escaped); !strings.Contains(body, "2") {
		t.Errorf("kicked: %s", body)
	}
	awaitClosed(t, one)
	awaitClosed(t, two)
	must(t, stays.ping())
	e.awaitMetric(`mqedge_connections_closed_total{listener="mqtt",reason="kicked"}`, 2)
}

func TestBeyondLoopbackOnlyATokenChangesThings(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	config := fmt.Sprintf("listeners:\n  mqtt: {bind: 127.0.0.1:0, upstream: emqx}\nupstreams:\n  emqx: {endpoints: %s}\n", endpoints(node.address()))
	open := func(e *edge) { // what the log names is an address to bind to
		_, port, err := net.SplitHostPort(e.admin)
		must(t, err)
		e.admin = "127.0.0.1:" + port
	}

	none := start(t, "admin: {bind: \"0.0.0.0:0\"}\n"+config)
	open(none)
	if status, body, _ := none.request("POST", "/api/v1/reload", "x"); status != 403 || !strings.Contains(body, "admin.token_file") {
		t.Errorf("without a token file: %d %s", status, body)
	}
	none.call("GET", "/metrics")
	if status, _, _ := none.request("GET", "/debug/pprof/", ""); status != 403 {
		t.Errorf("pprof: %d", status)
	}

	e := newEdge(t, "admin: {bind: \"0.0.0.0:0\", token_file: token}\n"+config)
	mustWrite(t, e.path("token"), []byte("secret-1\n"))
	e.launch()
	e.awaitReady()
	open(e)
	d := mustConnect(t, e.addr("mqtt"), nil, "kept")
	drain := "/api/v1/upstreams/emqx/endpoints/" + node.address() + "/drain"
	for _, token := range []string{"", "wrong", "secret-10"} {
		for path, method := range map[string]string{
			"/api/v1/reload": "POST", drain: "POST", "/api/v1/connections?client_id=kept": "DELETE",
		} {
			if status, body, _ := e.request(method, path, token); status != 401 || !strings.Contains(body, "Bearer") {
				t.Errorf("%s %s with token %q: %d %s", method, path, token, status, body)
			}
		}
	}
	must(t, d.ping())
	if status, body, _ := e.request("POST", drain, "secret-1"); status != 200 {
		t.Errorf("with the token: %d %s", status, body)
	}
	mustWrite(t, e.path("token"), []byte("secret-2\n"))
	if status, _, _ := e.request("POST", "/api/v1/reload", "secret-1"); status != 401 {
		t.Errorf("with the token of before: %d", status)
	}
	if _, errs, code := run(t, "enable", "--admin", e.admin, "--token-file", e.path("token"), "emqx", node.address()); code != 0 {
		t.Errorf("mqedge enable with a token file: %d %s", code, errs)
	}
	e.call("GET", "/api/v1/upstreams") // reading needs none
}

func TestTheAdminAddressMayMoveOrGoWithAReload(t *testing.T) {
	t.Parallel()
	config := fmt.Sprintf("listeners:\n  mqtt: {bind: 127.0.0.1:0, upstream: emqx}\nupstreams:\n  emqx: {endpoints: %s}\n",
		endpoints(startFake(t, acknowledge).address()))
	e := start(t, config)
	d := mustConnect(t, e.addr("mqtt"), nil, "stays")
	first, second := e.admin, deadAddress(t)
	e.configure(fmt.Sprintf("admin: {bind: %q}\n", second) + config)
	e.call("POST", "/api/v1/reload") // is answered though the address goes with it
	e.admin = second
	e.call("GET", "/readyz")
	eventually(t, func() string {
		if c, err := net.Dial("tcp", first); err == nil {
			c.Close()
			return "the old admin address is still open"
		}
		return ""
	})
	must(t, d.ping())

	e.configure("admin: {bind: \"\"}\n" + config)
	e.call("POST", "/api/v1/reload")
	eventually(t, func() string {
		if c, err := net.Dial("tcp", second); err == nil {
			c.Close()
			return "the admin address is still open"
		}
		return ""
	})
	must(t, d.ping())
}

func TestStatusAndHealthShowARunningEdge(t *testing.T) {
	t.Parallel()
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(startFake(t, acknowledge).address())))
	mustConnect(t, e.addr("mqtt"), nil, "one")
	if out, errs, code := run(t, "health", "--admin", e.admin); code != 0 || out != "ready\n" {
		t.Errorf("mqedge health: %d %s%s", code, out, errs)
	}
	out, errs, code := run(t, "status", "--admin", e.admin)
	if code != 0 || !containsAll(out, []string{"ready", "LISTENER", e.addr("mqtt"), "UPSTREAM emqx", "up"}) {
		t.Errorf("mqedge status: %d %s%s", code, out, errs)
	}
	out, _, code = run(t, "status", "--json", "--admin", e.admin)
	var s struct {
		Ready     bool
		Listeners []listenerState
		Upstreams []upstreamState
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || !s.Ready || s.Listeners[0].Active != 1 || s.Upstreams[0].Endpoints[0].Connections != 1 {
		t.Errorf("mqedge status --json: %d %v %s", code, err, out)
	}
}

func TestTheReloadVerbChangesTheProcessOrSaysWhatIsWrongWithTheFile(t *testing.T) {
	t.Parallel()
	emqx := endpoints(startFake(t, acknowledge).address())
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, emqx))
	if out, errs, code := run(t, "reload", "--admin", e.admin); code != 0 || out != "reloaded\n" {
		t.Errorf("mqedge reload: %d %s%s", code, out, errs)
	}
	e.configure("listeners: {mqtt: {bind: nowhere, upstream: emqx}}\nupstreams: {emqx: {endpoints: " + emqx + "}}\n")
	_, errs, code := run(t, "reload", "--admin", e.admin)
	if code != 1 || !containsAll(errs, []string{"the one in effect stays", "listeners.mqtt.bind: "}) {
		t.Errorf("mqedge reload: %d %s", code, errs)
	}
	if out, errs, code := run(t, "health", "--live", "--admin", e.admin); code != 0 || out != "alive\n" {
		t.Errorf("mqedge health --live: %d %s%s", code, out, errs)
	}
}
