package e2e

import (
	"fmt"
	"maps"
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

// serves connects clients to the edge, which must be served, and returns how many of them each endpoint got.
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
		if got := ep.Connects - ep.Failures - before[ep.Address]; got > 0 {
			by[ep.Address] = got
		}
	}
	return by
}

func TestAPartitionTakesOutWhatFailsAndNothingElseAndHeals(t *testing.T) {
	t.Parallel()
	n := newInternet(t, "cut", 4)
	edgeHost, near, far := n.hosts[0], n.hosts[1], n.hosts[2:]
	c := newCluster(t)
	var all []*edge
	var brokers []string
	for _, h := range n.hosts[1:] {
		startInstanceBy(t, h.command(os.Args[0]), h.brokerAddr)
		a := h.prepare(c, fmt.Sprintf("gossip: {name: host-%d, bind: '%s:7946', join: ['%s:7946'], key_file: keys, announce: [{service: emqx, address: '%s', send_proxy: v2, check: %s}]}\n",
			h.number, h.gossipAddr, edgeHost.gossipAddr, h.brokerAddr, mqttCheck))
		a.launch()
		all, brokers = append(all, a), append(brokers, h.brokerAddr)
	}
	e := edgeHost.prepare(c, fmt.Sprintf(`
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {balance: round_robin, send_proxy: v2, gossip: emqx, connect_timeout: 1s, health: {active: {type: mqtt, interval: 500ms, timeout: 400ms}}}
gossip: {name: edge, bind: '%s:7946', key_file: keys}
`, edgeHost.gossipAddr))
	e.launch()
	all = append(all, e)
	for _, process := range all {
		process.awaitReady()
	}
	e.awaitEndpoints("emqx", brokers...)
	agree(t, e, all)
	everyone := map[string]int{brokers[0]: 2, brokers[1]: 2, brokers[2]: 2}

	// Gossip alone is cut. For the edge two agents are dead, and what they announced works.
	for _, h := range far {
		h.cut("gossip")
	}
	took := within(t, 2*rejoined, func() string { return e.suspects(2) })
	t.Logf("gossip was cut: two endpoints of three were suspected after %v", took.Round(100*time.Millisecond))
	if by := edgeHost.serves(e, 6); !maps.Equal(by, everyone) {
		t.Errorf("six clients while endpoints were suspected that work: %v", by)
	}

	// Now their endpoints cannot be reached either: the edge's own checks say so.
	for _, h := range far {
		h.cut("data")
	}
	took = within(t, patience(), func() string {
		if eps := e.upstream("emqx").Endpoints; len(eps) != 1 || eps[0].Address != near.brokerAddr {
			return fmt.Sprintf("%+v", eps)
		}
		return ""
	})
	t.Logf("the network was cut: they were out after %v", took.Round(100*time.Millisecond))
	if by := edgeHost.serves(e, 4); !maps.Equal(by, map[string]int{near.brokerAddr: 4}) {
		t.Errorf("four clients: %v", by)
	}

	// Longer than memberlist remembers those that died. No side looks for the other any more but by calling again.
	within(t, 2*rejoined, func() string { return e.silentFor("host-3", forgotten) + e.silentFor("host-4", forgotten) })
	for _, process := range all {
		if got := process.metrics()["mqedge_gossip_members"]; got != 2 {
			t.Errorf("%v members on one side, want 2", got)
		}
	}
	for _, h := range far {
		h.mend("gossip")
		h.mend("data")
	}
	took = agree(t, e, all)
	t.Logf("the network was mended: all four agreed after %v", took.Round(100*time.Millisecond))
	e.awaitEndpoints("emqx", brokers...)
	within(t, patience(), func() string {
		if by := edgeHost.serves(e, 6); !maps.Equal(by, everyone) {
			return fmt.Sprintf("six clients: %v", by)
		}
		return ""
	})

	// The edge hears of nobody: silence empties no pool.
	edgeHost.cut("gossip")
	took = within(t, 2*rejoined, func() string { return e.suspects(3) })
	t.Logf("the edge was alone: all three were suspected after %v", took.Round(100*time.Millisecond))
	if by := edgeHost.serves(e, 6); !maps.Equal(by, everyone) {
		t.Errorf("six clients of an edge that is alone: %v", by)
	}
	edgeHost.mend("gossip")
	took = agree(t, e, all)
	t.Logf("and after it was not: all four agreed after %v", took.Round(100*time.Millisecond))
}

// agree waits until all know of each other and the edge suspects nothing.
func agree(t testing.TB, e *edge, all []*edge) time.Duration {
	t.Helper()
	return within(t, rejoined, func() string {
		for i, process := range all {
			if got := process.metrics()["mqedge_gossip_members"]; got != float64(len(all)) {
				return fmt.Sprintf("process %d knows %v members", i, got)
			}
		}
		return e.suspects(0)
	})
}

// suspects complains unless so many endpoints are suspected.
func (e *edge) suspects(want float64) string {
	e.t.Helper()
	if got := e.metrics()[`mqedge_gossip_suspected{service="emqx"}`]; got != want {
		return fmt.Sprintf("%v endpoints are suspected, want %v", got, want)
	}
	return ""
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
	c := newCluster(t)
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
