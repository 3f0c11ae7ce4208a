package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/demo/broker"
)

// often is a check that notices within a second, and waits for as long as it must where nothing is wrong.
const often = "interval: 100ms, timeout: 20s, rise: 2, fall: 2"

// checked is a listener in front of two endpoints with a check; more is what else the upstream has.
func checked(t testing.TB, check, more, one, two string) *edge {
	t.Helper()
	return balanced(t, fmt.Sprintf(`{balance: round_robin, health: {active: {%s, %s}}, endpoints: %s%s}`,
		check, often, endpoints(one, two), more))
}

// awaitState waits until an endpoint is up or not, and for the words in its reason; without words there must be none.
func (e *edge) awaitState(address string, up bool, words ...string) endpointState {
	e.t.Helper()
	var got endpointState
	eventually(e.t, func() string {
		got = e.endpoint("emqx", address)
		if got.Up != up || !containsAll(got.Reason, words) || len(words) == 0 && got.Reason != "" {
			return fmt.Sprintf("%+v, want up %v and a reason with %q", got, up, words)
		}
		return ""
	})
	return got
}

func TestACheckTakesAnEndpointOutBeforeAClientNoticesAndBringsItBack(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tcp", "mqtt", "http", "emqx"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			nodes, apis, port := twoNodes(t)
			sick, steady := nodes[0].address(), nodes[1].address()
			check, says := "type: "+kind, ""
			var fail, recover func()
			switch kind {
			case "tcp":
				fail, recover, says = nodes[0].stop, func() { startNode(t, sick) }, "connection refused"
			case "mqtt":
				fail, recover = func() { nodes[0].ill.Store(true) }, func() { nodes[0].ill.Store(false) }
				says = "answers CONNECT with 3 server unavailable"
			case "http", "emqx":
				fail, recover = func() { apis[0].say(stopped) }, func() { apis[0].say(running) }
				check, says = fmt.Sprintf("type: %s, port: %d", kind, port), "with 503"
			}
			if kind == "http" {
				check += ", path: /status"
			}
			e := checked(t, check, "", sick, steady)
			crowd(t, e, 4)

			fail()
			got := e.awaitState(sick, false, "check failed: ", says, "(2 of 2)")
			if got.Ejected || got.Draining || got.Failures != 0 {
				t.Errorf("no client has failed there: %+v", got)
			}
			up := fmt.Sprintf(`mqedge_upstream_endpoint_up{endpoint=%q,upstream="emqx"}`, sick)
			e.awaitMetric(up, 0)
			e.awaitLog("endpoint is out of use", sick, says)
			if out, _, _ := run(t, "status", "--admin", e.admin); !containsAll(out, []string{"down", "check failed: "}) {
				t.Errorf("mqedge status:\n%s", out)
			}
			crowd(t, e, 4)
			if now := e.endpoint("emqx", sick); now.Connects != got.Connects {
				t.Errorf("it got %d clients while it was down", now.Connects-got.Connects)
			}

			recover()
			e.awaitState(sick, true)
			e.awaitMetric(up, 1)
			e.awaitLog("endpoint is back", sick, "the check succeeded")
			crowd(t, e, 4)
			if now := e.endpoint("emqx", sick); now.Connects != got.Connects+2 {
				t.Errorf("it got %d of 4 clients, want its share of 2", now.Connects-got.Connects)
			}
		})
	}
}

func TestANodeThatIsEvacuatedKeepsItsClientsAndGetsNoNewOnes(t *testing.T) {
	t.Parallel()
	nodes, apis, port := twoNodes(t)
	leaving := nodes[0].address()
	e := checked(t, fmt.Sprintf("type: emqx, port: %d", port), "", leaving, nodes[1].address())
	old := crowd(t, e, 4)

	apis[0].say(evacuating)
	got := e.awaitState(leaving, true, "draining: EMQX is evacuating")
	if !got.Draining || got.Connections != 2 {
		t.Errorf("the evacuated node: %+v", got)
	}
	if out, _, _ := run(t, "status", "--admin", e.admin); !containsAll(out, []string{"draining", "EMQX is evacuating"}) {
		t.Errorf("mqedge status:\n%s", out)
	}
	e.awaitLog("endpoint is out of use", leaving, "EMQX is evacuating")
	for _, d := range old {
		must(t, d.ping())
	}
	crowd(t, e, 4)
	if now := e.endpoint("emqx", leaving); now.Connections != 2 {
		t.Errorf("it has %d clients, want the 2 of before", now.Connections)
	}

	apis[0].say(running)
	e.awaitState(leaving, true)
	crowd(t, e, 4)
	if now := e.endpoint("emqx", leaving); now.Connections != 4 {
		t.Errorf("it has %d clients, want 2 more", now.Connections)
	}
}

func TestAnEndpointThatDoesNotAgreeAboutPROXYProtocolIsNamed(t *testing.T) {
	t.Parallel()
	for says, expects := range map[string]bool{
		"the endpoint expects a PROXY header, but send_proxy is off":        true,
		"the endpoint does not expect a PROXY header, but send_proxy is on": false,
	} {
		one := startBrokerWith(t, broker.Options{ProxyProtocol: expects})
		two := startBrokerWith(t, broker.Options{ProxyProtocol: expects})
		wrong, right := `"off"`, "v2"
		if !expects {
			wrong, right = right, wrong
		}
		config := `
listeners: {mqtt: {bind: "127.0.0.1:0", upstream: emqx}}
upstreams:
  emqx:
    send_proxy: %s
    health: {active: {type: mqtt, interval: 100ms, timeout: 2s, fall: 2}}
    endpoints: %s
`
		addresses := endpoints(one.Addr(), two.Addr())
		e := start(t, fmt.Sprintf(config, wrong, addresses))
		e.awaitState(one.Addr(), false, says, "(2 of 2)")
		e.awaitState(two.Addr(), false, says)
		mismatch := fmt.Sprintf(`mqedge_upstream_proxy_mismatch{endpoint=%q,upstream="emqx"}`, one.Addr())
		e.awaitMetric(mismatch, 1)
		if out, _, _ := run(t, "status", "--admin", e.admin); !strings.Contains(strings.Join(strings.Fields(out), " "), says) {
			t.Errorf("mqedge status:\n%s", out)
		}
		more := one.total() + 3
		eventually(t, func() string {
			if one.total() < more {
				return "no more probes"
			}
			return ""
		})
		if n := strings.Count(e.stderr.text(), "PROXY protocol on one side only"); n != 2 {
			t.Errorf("it was said %d times of two endpoints:\n%s", n, e.stderr.text())
		}
		e.reload(fmt.Sprintf(config, right, addresses))
		e.awaitState(one.Addr(), true)
		e.awaitMetric(mismatch, 0)
	}
}

func TestTheMQTTCheckIntroducesItselfWithTheCredentialsOfTheFile(t *testing.T) {
	t.Parallel()
	n := startNode(t, "127.0.0.1:0")
	e := newEdge(t, fmt.Sprintf(`
listeners: {mqtt: {bind: "127.0.0.1:0", upstream: emqx}}
upstreams:
  emqx:
    health: {active: {type: mqtt, %s, username: monitor, password: "${file:secret}"}}
    endpoints: %s
`, often, endpoints(n.address())))
	mustWrite(t, e.path("secret"), []byte("not to be seen\n"))
	e.launch()
	e.awaitReady()
	eventually(t, func() string {
		asked := n.asked.Load()
		if asked == nil {
			return "nobody asked"
		}
		if !containsAll(*asked, []string{"mqedge-probe-", "-emqx-127.0.0.1-", "\x00\x07monitor\x00\x0enot to be seen"}) {
			t.Errorf("asked by %q", *asked)
		}
		return ""
	})
	if shown := e.call("GET", "/api/v1/config"); strings.Contains(shown, "not to be seen") || !strings.Contains(shown, "(hidden)") {
		t.Errorf("the admin address shows %s", shown)
	}
}

func TestTheMQTTCheckGoesTheWayOfClientsThroughPROXYAndTLS(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	ends := pki.server()
	pair, err := tls.LoadX509KeyPair(ends.cert, ends.key)
	must(t, err)
	n := startBrokerWith(t, broker.Options{ProxyProtocol: true, TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	e := balanced(t, fmt.Sprintf(`{send_proxy: v2, tls: {ca_file: %q}, health: {active: {type: mqtt, %s, fall: 1}}, endpoints: %s}`,
		pki.file(), strings.ReplaceAll(often, ", fall: 2", ""), endpoints(n.Addr())))
	for range 2 { // the second time with the certificates of another generation
		more := n.total() + 3
		eventually(t, func() string {
			if n.total() < more {
				return fmt.Sprintf("%d probes: %+v", n.total(), e.endpoint("emqx", n.Addr()))
			}
			return ""
		})
		e.awaitState(n.Addr(), true)
		if !e.hup() {
			t.Fatal("the reload failed")
		}
	}
	mustWrite(t, pki.file(), newAuthority(t).ca.PEM())
	e.awaitState(n.Addr(), false, "certificate signed by unknown authority")
}

func TestAReloadKeepsTheVerdictsOfACheckThatStaysTheSame(t *testing.T) {
	t.Parallel()
	nodes, apis, port := twoNodes(t)
	sick := nodes[0].address()
	config := func(more, fall string) string {
		return fmt.Sprintf(`
%s
listeners: {mqtt: {bind: "127.0.0.1:0", upstream: emqx}}
upstreams:
  emqx:
    health: {active: {type: emqx, port: %d, interval: 100ms, timeout: 20s, fall: %s}}
    endpoints: %s
`, more, port, fall, endpoints(sick, nodes[1].address()))
	}
	e := start(t, config("", "2"))
	apis[0].say(stopped)
	e.awaitState(sick, false, "with 503", "(2 of 2)")
	for range 10 {
		e.reload(config("log: {level: debug}", "2"))
		if got := e.endpoint("emqx", sick); got.Up {
			t.Fatalf("a reload brought it up: %+v", got)
		}
	}
	apis[0].say(http.NotFound)
	e.reload(config("", "1"))
	e.awaitLog("endpoint is back", sick, "it is not checked any more")
	e.awaitState(sick, false, "with 404", "(1 of 1)")
	e.reload(strings.Replace(config("", "1"), "type: emqx", "type: none", 1))
	e.awaitState(sick, true)
}
