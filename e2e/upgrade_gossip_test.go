package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/credentials/insecure"

	"github.com/mqedge/mqedge/demo/broker"
)

// TestAnUpgradedAgentDrainsNobody also upgrades the edge that the agent's announcements feed.
func TestAnUpgradedAgentDrainsNobody(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a := startBrokerWith(t, broker.Options{ProxyProtocol: true})
	announce := fmt.Sprintf(`{service: emqx, address: %s, send_proxy: v2, check: %s}`, a.Addr(), mqttCheck)
	agent := newLine(t, c.section(announce))
	mustWrite(t, agent.path("keys"), []byte(c.keys))
	agent.launch()
	agent.awaitReady()
	edge := newLine(t, `
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {send_proxy: v2, gossip: emqx}
`+c.section(""))
	mustWrite(t, edge.path("keys"), []byte(c.keys))
	edge.launch()
	edge.awaitReady()
	edge.awaitEndpoints("emqx", a.Addr())
	d := mustConnect(t, edge.addr("mqtt"), nil, "stays")

	members := func(l *line, want ...*line) {
		t.Helper()
		eventually(t, func() string {
			var alive []string
			for _, m := range fetch[[]struct {
				Name  string `json:"name"`
				Alive bool   `json:"alive"`
			}](l.edge, "/api/v1/members") {
				if m.Alive {
					alive = append(alive, m.Name)
				}
			}
			if len(alive) != len(want) {
				return fmt.Sprintf("alive are %v, want %d", alive, len(want))
			}
			return ""
		})
	}
	members(edge, edge, agent)
	for range 2 {
		agent.upgrade()
		agent.awaitLog("gossip runs")
		members(edge, edge, agent)
		must(t, d.ping())
	}
	if text := edge.stderr.text(); strings.Contains(text, "was withdrawn") || strings.Contains(text, "out of use") {
		t.Error("the edge drained the endpoint of an agent that was upgraded")
	}

	edge.upgrade()
	mustConnect(t, edge.addr("mqtt"), nil, "at once") // what was known is known
	if n := strings.Count(edge.stderr.text(), "upstream emqx has no endpoints"); n > 0 {
		t.Error("the edge had no endpoints")
	}
	members(agent, edge, agent)
	agent.kill(syscall.SIGTERM) // which says farewell
	edge.awaitEndpoints("emqx")
}

func TestWhatIsDrainedOnAllIsDrainedAfterAnUpgradeToo(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	other := c.edges(1, "endpoints: "+endpoints(a.address(), b.address()), "")[0]
	l := newLine(t, c.edgeConfig("endpoints: "+endpoints(a.address(), b.address()), ""))
	mustWrite(t, l.path("keys"), []byte(c.keys))
	l.launch()
	l.awaitReady()
	other.hand("drain", "emqx", a.address())
	l.awaitDrain("emqx", a.address(), "drained by hand on host-1")
	for range 2 {
		l.upgrade()
		came := a.came()
		for i := range 6 {
			mustConnect(t, l.addr("mqtt"), nil, fmt.Sprintf("at once-%d", i))
		}
		if a.came() != came {
			t.Error("a client came to the drained endpoint")
		}
		l.awaitLog("gossip runs")
		l.awaitDrain("emqx", a.address(), "drained by hand on host-1")
	}
	other.awaitMetric("mqedge_gossip_members", 2)
	other.hand("enable", "emqx", a.address())
	l.awaitDrain("emqx", a.address(), "")
}

func TestHooksAreServedThroughAnUpgrade(t *testing.T) {
	t.Parallel()
	p := startProvider(t, "127.0.0.1:0", "client.authenticate", "client.connected")
	l := startLine(t, "drain: {over: 500ms, deadline: 20s}\n"+hooking("exhook: {}", p))
	node := startEMQX(t, l.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	told, err := node.load()
	must(t, err)
	over, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-over:
				ended <- nil
				return
			default:
			}
			if got, err := node.authenticate(fmt.Sprintf("client-%d", n)); err != nil || got != allowed {
				ended <- fmt.Errorf("call %d: %q, %v", n, got, err)
				return
			}
		}
	}()
	for range 2 {
		l.upgrade()
	}
	l.exit()
	l.awaitEnd(l.pids[0])
	close(over)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p.Stop()
	other := startEMQX(t, l.addr("hooks"), "emqx@10.0.0.2", insecure.NewCredentials())
	if again, err := other.load(); err != nil || again != told {
		t.Errorf("without a provider EMQX is told %q, %v; before the upgrades %q", again, err, told)
	}
}
