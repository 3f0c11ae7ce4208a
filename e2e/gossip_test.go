package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	paho5 "github.com/eclipse/paho.golang/paho"
)

type memberState struct {
	Name, Host, Address string
	Alive, Self         bool
	Since               time.Time
}

// gossipKey is the text of a key file.
func gossipKey() string {
	key := make([]byte, 32)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key) + "\n"
}

// cluster are processes that gossip on addresses of 127.0.0.0/8, which nobody else has.
type cluster struct {
	t    testing.TB
	net  string // "127.N.N."
	keys string // the text of the key file
	next int
}

// clusters counts those of this process.
var clusters atomic.Uint32

// newCluster has addresses of its own: others of this process have another second number, other runs of the tests by the process id another
// second or third.
func newCluster(t testing.TB) *cluster {
	const most, apart = 27, 8
	pid := os.Getpid()
	return &cluster{t: t, net: fmt.Sprintf("127.%d.%d.", 30+apart*int(clusters.Add(1)%most)+pid/256%apart, pid%256), keys: gossipKey()}
}

// section is a gossip section for one more member, which knows the first.
func (c *cluster) section(announce string) string {
	c.next++
	return fmt.Sprintf("gossip: {name: host-%d, bind: '%s%d:7946', join: ['%[2]s1:7946'], key_file: keys, announce: [%[4]s]}\n", c.next, c.net, c.next, announce)
}

// prepare is newEdge with the key file in place.
func (c *cluster) prepare(config string) *edge {
	c.t.Helper()
	e := newEdge(c.t, config)
	mustWrite(c.t, e.path("keys"), []byte(c.keys))
	return e
}

// agent runs a process that announces a broker.
func (c *cluster) agent(r *recorder, check string) *edge {
	c.t.Helper()
	return c.agentWith(fmt.Sprintf(`{service: emqx, address: %s, weight: 3, send_proxy: v2, check: %s}`, r.Addr(), check))
}

func (c *cluster) agentWith(announce string) *edge {
	c.t.Helper()
	e := c.prepare(c.section(announce))
	e.launch()
	e.awaitReady()
	return e
}

// awaitEndpoints waits until the upstream has these and no others.
func (e *edge) awaitEndpoints(upstream string, want ...string) {
	e.t.Helper()
	eventually(e.t, func() string {
		found := map[string]bool{}
		for _, ep := range e.upstream(upstream).Endpoints {
			found[ep.Address] = true
		}
		for _, w := range want {
			if !found[w] {
				return fmt.Sprintf("%v without %s", found, w)
			}
		}
		if len(found) != len(want) {
			return fmt.Sprintf("%v, want %v", found, want)
		}
		return ""
	})
}

const mqttCheck = `{type: mqtt, interval: 200ms, timeout: 200ms}`

func TestEndpointsComeAndGoAsAgentsSay(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b, late, stranger := startBroker(t), startBroker(t), startBroker(t), startBroker(t)
	e := c.prepare(`
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {balance: round_robin, send_proxy: v2, gossip: emqx, health: {active: {type: mqtt, interval: 500ms, timeout: 400ms}}}
` + c.section(""))
	e.launch()
	eventually(t, func() string {
		if found := adminURL.FindStringSubmatch(e.stderr.text()); found != nil {
			e.admin = found[1]
		}
		if status, body, err := e.request("GET", "/readyz", ""); status != 503 || !strings.Contains(body, "no endpoints yet") {
			return fmt.Sprintf("/readyz without endpoints: %d %s %v", status, body, err)
		}
		return ""
	})
	first, second := c.agent(a, mqttCheck), c.agent(b, mqttCheck)
	e.awaitReady()
	e.awaitEndpoints("emqx", a.Addr(), b.Addr())
	if ep := e.endpoint("emqx", a.Addr()); ep.Source != "gossip" || ep.Weight != 3 {
		t.Errorf("an endpoint that was announced with weight 3: %+v", ep)
	}
	for i := range 4 {
		mustConnect(t, e.addr("mqtt"), nil, fmt.Sprint("early-", i))
	}
	e.awaitActive("mqtt", 4)

	c.agent(late, mqttCheck)
	e.awaitEndpoints("emqx", a.Addr(), b.Addr(), late.Addr())
	for i := range 3 {
		mustConnect(t, e.addr("mqtt"), nil, fmt.Sprint("later-", i))
	}
	if ep := e.endpoint("emqx", late.Addr()); ep.Connections == 0 {
		t.Errorf("the endpoint that came later got none of three connections: %+v", ep)
	}

	right := c.keys
	c.keys = gossipKey()
	c.agent(stranger, `{type: none}`)
	c.keys = right
	eventually(t, func() string {
		if e.metrics()[`mqedge_gossip_refused_total{reason="key"}`] == 0 {
			return "nobody with a wrong key was refused"
		}
		return ""
	})
	e.awaitMetric("mqedge_gossip_members", 4)
	e.awaitMetric(`mqedge_gossip_announcements{service="emqx"}`, 3)
	e.awaitEndpoints("emqx", a.Addr(), b.Addr(), late.Addr())
	out, errs, code := run(t, "members", "--json", "--admin", e.admin)
	var members []memberState
	if err := json.Unmarshal([]byte(out), &members); err != nil || code != 0 || len(members) != 4 || !members[0].Self || members[0].Host != "host-1" {
		t.Errorf("mqedge members: %d %s%s %v", code, out, errs, err)
	}
	if out, _, _ := run(t, "status", "--admin", e.admin); !strings.Contains(out, "MEMBER") || !strings.Contains(out, "host-3") {
		t.Errorf("mqedge status does not show the members:\n%s", out)
	}

	first.signal(syscall.SIGKILL)
	first.exit()
	e.awaitMetric(`mqedge_gossip_suspected{service="emqx"}`, 1)
	if ep := e.endpoint("emqx", a.Addr()); !ep.Up || ep.Connections == 0 {
		t.Errorf("the endpoint whose agent was killed: %+v", ep)
	}
	e.awaitActive("mqtt", 7)

	told := make(chan byte, 6)
	for i := range 6 {
		connect5With(t, dial(t, e.addr("mqtt")), fmt.Sprint("told-", i), func(d *paho5.Disconnect) { told <- d.ReasonCode })
	}
	e.awaitActive("mqtt", 13)
	moved := e.endpoint("emqx", b.Addr()).Connections
	second.signal(syscall.SIGTERM)
	if code := second.exit(); code != 0 {
		t.Errorf("the agent ended with %d", code)
	}
	e.awaitEndpoints("emqx", a.Addr(), late.Addr())
	select {
	case code := <-told:
		if code != 0x9c {
			t.Errorf("a client of the withdrawn endpoint was told %#x, want 0x9c, Use another server", code)
		}
	case <-time.After(patience()):
		t.Error("no client of the withdrawn endpoint was told anything")
	}
	e.awaitActive("mqtt", 13-moved)
	// The one that nobody announces is gone once it does not work either.
	a.Close()
	e.awaitEndpoints("emqx", late.Addr())
}

func TestAnEndpointIsAnnouncedOnceItWorksAndAsDownWhenItDoesNot(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	there := startBroker(t)
	address := deadAddress(t)
	e := c.prepare(`
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {send_proxy: v1, gossip: emqx}
` + c.section(""))
	e.launch()
	c.agent(there, mqttCheck)
	checked := c.agentWith(fmt.Sprintf(`{service: emqx, address: %s, check: {type: tcp, interval: 200ms, timeout: 200ms}}`, address))
	e.awaitReady()
	e.awaitLog("another send_proxy", "announced=v2", "send_proxy=v1")
	checked.awaitLog("not announced before its check succeeds", address)
	e.awaitEndpoints("emqx", there.Addr())
	node := startFakeAt(t, address, acknowledge)
	e.awaitEndpoints("emqx", there.Addr(), address)
	node.stop()
	e.awaitEndpoints("emqx", there.Addr())
	startFakeAt(t, address, acknowledge)
	e.awaitEndpoints("emqx", there.Addr(), address)
}

func TestAReloadChangesWhatIsAnnouncedAndWhatIsLearnt(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := startBroker(t), startBroker(t)
	edgeConfig := func(upstream, more string) string {
		return fmt.Sprintf(`
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {send_proxy: v2, gossip: emqx%s}
gossip: {bind: '%s1:7946', key_file: keys%s}
`, upstream, c.net, more)
	}
	c.section("") // the edge is the first
	e := c.prepare(edgeConfig("", ""))
	e.launch()
	announce := func(r *recorder) string { return fmt.Sprintf("{service: emqx, address: %s}", r.Addr()) }
	agent := c.agentWith(announce(a))
	e.awaitReady()
	before := fetch[[]memberState](e, "/api/v1/members")[0].Name

	// The agent offers another broker as well.
	c.next--
	agent.reload(c.section(announce(a) + ", " + announce(b)))
	e.awaitEndpoints("emqx", a.Addr(), b.Addr())
	d := mustConnect(t, e.addr("mqtt"), nil, "stays")

	// A reload that changes nothing of gossip, then one that does: no endpoint goes meanwhile.
	e.reload(edgeConfig(", tries: 2", ""))
	if after := fetch[[]memberState](e, "/api/v1/members")[0].Name; after != before {
		t.Errorf("%s became %s by a reload that changed nothing about it", before, after)
	}
	e.reload(edgeConfig(", tries: 2", ", name: renamed"))
	e.awaitEndpoints("emqx", a.Addr(), b.Addr())
	if self := fetch[[]memberState](e, "/api/v1/members")[0]; self.Host != "renamed" {
		t.Errorf("the member after the reload: %+v", self)
	}
	e.awaitMetric("mqedge_gossip_members", 2)
	must(t, d.ping())

	// A port that is taken fails the reload, and changes nothing.
	e.configure(strings.Replace(edgeConfig("", ""), c.net+"1:7946", c.net+"2:7946", 1))
	if e.hup() {
		t.Error("a reload took a port that another process has")
	}
	e.awaitLog("reload failed", "gossip.bind", "the port is taken")
	e.awaitMetric("mqedge_gossip_members", 2)

	// New keys in the same file.
	c.keys = gossipKey() + c.keys
	mustWrite(t, e.path("keys"), []byte(c.keys))
	mustWrite(t, agent.path("keys"), []byte(c.keys))
	e.reload(edgeConfig(", tries: 2", ", name: renamed"))
	if !agent.hup() {
		t.Error("the agent did not take the keys")
	}
	agent.reload(func() string { c.next--; return c.section(announce(b)) }())
	e.awaitEndpoints("emqx", b.Addr())
}
