package e2e

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

const (
	// forgotten is after how long without a sign of life memberlist has given a member up and tells it nothing any more: GossipToTheDeadTime.
	forgotten = 35 * time.Second

	// rejoined is within how long members that lost each other are to find each other again: one re-join interval of 30 s, a quarter
	// of it for the jitter, and time for the calls.
	rejoined = 60 * time.Second
)

// within waits until check finds nothing to complain about, and returns how long it took.
func within(t testing.TB, limit time.Duration, check func() (complaint string)) time.Duration {
	t.Helper()
	began := time.Now()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		complaint := check()
		switch {
		case complaint == "":
			return time.Since(began)
		case time.Since(began) > limit:
			t.Fatalf("after %v still: %s", limit, complaint)
		}
		<-again.C
	}
}

// serves reports whether new clients of the edge, as many as given, are served, and on how many of them by each endpoint.
func (h *host) serves(e *edge, clients int) (by map[string]int) {
	h.of.t.Helper()
	before := map[string]int{}
	for _, ep := range e.upstream("emqx").Endpoints {
		before[ep.Address] = ep.Connects - ep.Failures
	}
	for i := range clients {
		conn, err := h.dial(e.addr("mqtt"))
		must(h.of.t, err)
		d, err := introduce(conn, fmt.Sprint("client-", i), 0)
		must(h.of.t, err)
		must(h.of.t, d.leave())
	}
	by = map[string]int{}
	for _, ep := range e.upstream("emqx").Endpoints {
		by[ep.Address] = ep.Connects - ep.Failures - before[ep.Address]
	}
	return by
}

func TestAPartitionTakesOutWhatFailsAndNothingElseAndHeals(t *testing.T) {
	t.Parallel()
	n := newInternet(t, "cut", 3)
	edgeHost, one, two := n.hosts[0], n.hosts[1], n.hosts[2]
	c := newCluster(t, 5)
	var agents []*edge
	for _, h := range n.hosts[1:] {
		startInstanceBy(t, h.command(os.Args[0]), h.brokerAddr)
		a := h.prepare(c, fmt.Sprintf("gossip: {name: host-%d, bind: '%s:7946', join: ['%s:7946'], key_file: keys, announce: [{service: emqx, address: '%s', send_proxy: v2, check: %s}]}\n",
			h.number, h.gossipAddr, edgeHost.gossipAddr, h.brokerAddr, mqttCheck))
		a.launch()
		agents = append(agents, a)
	}
	e := edgeHost.prepare(c, fmt.Sprintf(`
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {balance: round_robin, send_proxy: v2, gossip: emqx, connect_timeout: 1s, health: {active: {type: mqtt, interval: 500ms, timeout: 400ms}}}
gossip: {name: edge, bind: '%s:7946', key_file: keys}
`, edgeHost.gossipAddr))
	e.launch()
	e.awaitReady()
	for _, a := range agents {
		a.awaitReady()
	}
	e.awaitEndpoints("emqx", one.brokerAddr, two.brokerAddr)
	const suspected = `mqedge_gossip_suspected{service="emqx"}`

	// Gossip alone is cut: the agent of the second host is dead for the edge, and what it announced works.
	two.cut("gossip")
	took := within(t, rejoined, func() string {
		if got := e.metrics()[suspected]; got != 1 {
			return fmt.Sprintf("%v endpoints are suspected, want 1", got)
		}
		return ""
	})
	t.Logf("gossip was cut: the endpoint was suspected after %v", took.Round(100*time.Millisecond))
	if by := edgeHost.serves(e, 6); by[two.brokerAddr] != 3 || by[one.brokerAddr] != 3 {
		t.Errorf("six clients while an endpoint was suspected that works: %v", by)
	}

	// Now the endpoint cannot be reached either: the edge's own checks say so.
	two.cut("data")
	took = within(t, patience(), func() string {
		if eps := e.upstream("emqx").Endpoints; len(eps) != 1 || eps[0].Address != one.brokerAddr {
			return fmt.Sprintf("%+v", eps)
		}
		return ""
	})
	t.Logf("the network was cut: the endpoint was out after %v", took.Round(100*time.Millisecond))
	if by := edgeHost.serves(e, 4); by[one.brokerAddr] != 4 {
		t.Errorf("four clients: %v", by)
	}

	// The first host is silent as well, but serves: silence never empties a pool.
	one.cut("gossip")
	for _, name := range []string{"host-2", "host-3"} { // by their numbers
		within(t, 2*rejoined, func() string { return e.silentFor(name, forgotten) })
	}
	if by := edgeHost.serves(e, 4); by[one.brokerAddr] != 4 {
		t.Errorf("four clients of an edge without a living member: %v", by)
	}

	for _, h := range n.hosts[1:] {
		h.mend("gossip")
		h.mend("data")
	}
	took = within(t, rejoined, func() string {
		if m := e.metrics(); m["mqedge_gossip_members"] != 3 || m[suspected] != 0 || m[`mqedge_gossip_announcements{service="emqx"}`] != 2 {
			return fmt.Sprintf("%v members, %v endpoints suspected", m["mqedge_gossip_members"], m[suspected])
		}
		for _, a := range agents {
			if got := a.metrics()["mqedge_gossip_members"]; got != 3 {
				return fmt.Sprintf("an agent has %v members", got)
			}
		}
		return ""
	})
	t.Logf("the network was mended: all three agreed after %v", took.Round(100*time.Millisecond))
	e.awaitEndpoints("emqx", one.brokerAddr, two.brokerAddr)
	within(t, patience(), func() string {
		if by := edgeHost.serves(e, 4); by[two.brokerAddr] == 0 {
			return fmt.Sprintf("four clients: %v", by)
		}
		return ""
	})
}

// silentFor complains unless a member has not been heard of for that long.
func (e *edge) silentFor(name string, limit time.Duration) string {
	e.t.Helper()
	for _, m := range fetch[[]memberState](e, "/api/v1/members") {
		if m.Host == name && !m.Alive && time.Since(m.Since) > limit {
			return ""
		}
	}
	return name + " has not been silent for " + limit.String()
}

func TestAnEdgeThatMovedIsFoundByItsName(t *testing.T) {
	t.Parallel()
	n := newInternet(t, "move", 2)
	edgeHost, one := n.hosts[0], n.hosts[1]
	c := newCluster(t, 6)
	startInstanceBy(t, one.command(os.Args[0]), one.brokerAddr)
	one.resolve(edgeHost.gossipAddr + " edges.test\n")
	config := `
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {send_proxy: v2, gossip: emqx}
gossip: {name: edge, bind: '%s:7946', key_file: keys}
`
	first := edgeHost.prepare(c, fmt.Sprintf(config, edgeHost.gossipAddr))
	first.launch()
	agent := one.prepare(c, fmt.Sprintf("gossip: {name: agent, bind: '%s:7946', join: ['edges.test:7946'], key_file: keys, announce: [{service: emqx, address: '%s', send_proxy: v2}]}\n",
		one.gossipAddr, one.brokerAddr))
	agent.launch()
	first.awaitReady()
	first.awaitEndpoints("emqx", one.brokerAddr)
	first.signal(syscall.SIGKILL)
	first.exit()

	const moved = "10.77.0.99"
	n.ip("-n", edgeHost.namespace, "address", "delete", edgeHost.gossipAddr+"/24", "dev", "gossip")
	n.ip("-n", edgeHost.namespace, "address", "add", moved+"/24", "dev", "gossip")
	one.resolve(moved + " edges.test\n")
	second := edgeHost.prepare(c, fmt.Sprintf(config, moved))
	second.launch()
	took := within(t, rejoined, func() string {
		found := adminURL.FindStringSubmatch(second.stderr.text())
		if found == nil {
			return "no admin address in the log"
		}
		second.admin = found[1]
		if status, body, err := second.request("GET", "/readyz", ""); status != 200 {
			return fmt.Sprintf("%d %s %v", status, body, err)
		}
		return ""
	})
	t.Logf("an edge at another address was found by its name after %v", took.Round(100*time.Millisecond))
	second.awaitEndpoints("emqx", one.brokerAddr)
	if by := edgeHost.serves(second, 2); by[one.brokerAddr] != 2 {
		t.Errorf("two clients: %v", by)
	}
}
