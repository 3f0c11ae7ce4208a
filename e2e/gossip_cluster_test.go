package e2e

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/credentials/insecure"
)

func (c *cluster) fedByGossip(more string) string {
	return "listeners:\n  mqtt: {bind: \"127.0.0.1:0\", upstream: emqx}\nupstreams:\n  emqx: {gossip: emqx}\n" +
		strings.TrimSuffix(c.section(""), "}\n") + more + "}\n"
}

func announced(address string) string { return fmt.Sprintf("{service: emqx, address: %s}", address) }

func TestAnEdgeThatStartsAgainServesThoughNobodyAnnouncesAnyMore(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	node := startFake(t, acknowledge)
	config := c.fedByGossip(", state_file: state")
	e := c.prepare(config)
	e.launch()
	agent := c.agentWith(announced(node.address()))
	e.awaitReady()
	e.awaitEndpoints("emqx", node.address())
	agent.signal(syscall.SIGKILL)
	agent.exit()
	e.signal(syscall.SIGTERM) // it writes the file
	e.exit()

	again := c.prepare(config)
	mustWrite(t, again.path("state"), mustRead(t, e.path("state")))
	again.launch()
	again.awaitReady()
	mustConnect(t, again.addr("mqtt"), nil, "again")
	again.awaitMetric(`mqedge_gossip_suspected{service="emqx"}`, 1)
	// What the file says is not for ever: who announces says what holds.
	other := startFake(t, acknowledge)
	c.next = 1
	c.agentWith(announced(other.address())) // at the address of the agent that died
	again.awaitEndpoints("emqx", other.address())
}

func TestWhoLiesOutsideOfAllowIsRefusedAndCounted(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	node, outside := startFake(t, acknowledge), startFakeAt(t, "127.0.0.77:0", acknowledge)
	e := c.prepare(c.fedByGossip(fmt.Sprintf(", allow: ['%s0/30', '127.0.0.1/32']", c.net)))
	e.launch()
	c.agentWith(announced(node.address()) + ", " + announced(outside.address()))
	e.awaitReady()
	e.awaitEndpoints("emqx", node.address())
	e.awaitMetric(`mqedge_gossip_refused_total{reason="address"}`, 1)
	e.awaitLog("gossip refused what others said", "reason=address", outside.address())

	c.next = 4
	c.agentWith(announced(node.address())) // a member outside of it
	eventually(t, func() string {
		if got := e.metrics()[`mqedge_gossip_refused_total{reason="address"}`]; got < 2 {
			return fmt.Sprintf("%v refused", got)
		}
		return ""
	})
	e.awaitMetric("mqedge_gossip_members", 2)
}

func TestTheKeyOfAClusterRollsOverAndTheOldOneOpensNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	node := startFake(t, acknowledge)
	e := c.prepare(c.fedByGossip(""))
	e.launch()
	agent := c.agentWith(announced(node.address()))
	e.awaitReady()
	before, after := c.keys, gossipKey()
	for _, keys := range []string{before + after, after + before, after} {
		for _, p := range []*edge{e, agent} {
			mustWrite(t, p.path("keys"), []byte(keys))
			if !p.hup() {
				t.Fatalf("the reload failed:\n%s", p.stderr.text())
			}
		}
		e.awaitMetric("mqedge_gossip_members", 2)
		e.awaitEndpoints("emqx", node.address())
	}
	refused := `mqedge_gossip_refused_total{reason="key"}`
	stranger := startFake(t, acknowledge)
	late := c.agentWith(announced(stranger.address())) // with the old key
	eventually(t, func() string {
		if e.metrics()[refused] == 0 {
			return "the old key opens something"
		}
		return ""
	})
	if late.metrics()["mqedge_gossip_members"] != 1 {
		t.Error("a member with the old key has joined")
	}
	mustWrite(t, late.path("keys"), []byte(after))
	if !late.hup() {
		t.Fatal("the reload failed")
	}
	e.awaitEndpoints("emqx", node.address(), stranger.address())
}

func TestTheGossipSectionGoesAndComesByReload(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	fixed, node := startFake(t, acknowledge), startFake(t, acknowledge)
	with := strings.Replace(c.fedByGossip(""), "{gossip: emqx}", "{gossip: emqx, endpoints: "+endpoints(fixed.address())+"}", 1)
	without := strings.Replace(with[:strings.Index(with, "gossip: {name")], "gossip: emqx, ", "", 1)
	e := c.prepare(with)
	e.launch()
	e.awaitReady()
	agent := c.agentWith(announced(node.address()))
	e.awaitEndpoints("emqx", fixed.address(), node.address())
	e.reload(without)
	e.awaitEndpoints("emqx", fixed.address())
	agent.awaitMetric("mqedge_gossip_members", 1)
	if _, found := e.metrics()["mqedge_gossip_members"]; found {
		t.Error("a process that is no member counts members")
	}
	if out, _, _ := run(t, "members", "--admin", e.admin); !strings.Contains(out, "no members") {
		t.Errorf("mqedge members: %s", out)
	}
	e.reload(with)
	e.awaitEndpoints("emqx", fixed.address(), node.address())
	e.reload(without)
	e.reload(with) // while the farewell of the one before is under way, perhaps
	e.awaitEndpoints("emqx", fixed.address(), node.address())
}

func TestMembersFindEachOtherOverIPv6(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		without(t, "this host has no IPv6: "+err.Error())
	} else {
		l.Close()
	}
	keys := gossipKey()
	launch := func(config string) *edge {
		e := newEdge(t, config)
		mustWrite(t, e.path("keys"), []byte(keys))
		e.launch()
		return e
	}
	e := launch(`
listeners:
  mqtt: {bind: "[::1]:0", upstream: emqx}
upstreams:
  emqx: {gossip: emqx}
gossip: {bind: '[::1]:0', key_file: keys}
`)
	at := regexp.MustCompile(`advertise=(\S+)`).FindStringSubmatch(e.awaitLog("gossip runs"))[1]
	node := startFakeAt(t, "[::1]:0", acknowledge)
	_, port, err := net.SplitHostPort(node.address())
	must(t, err)
	launch(fmt.Sprintf("gossip: {bind: '[::1]:0', join: ['%s'], key_file: keys, announce: [{service: emqx, address: ':%s'}]}\n", at, port)).awaitReady()
	e.awaitReady()
	e.awaitEndpoints("emqx", "[::1]:"+port)
	mustConnect(t, e.addr("mqtt"), nil, "six")
	e.hand("drain", "emqx", "[::1]:"+port)
	e.awaitDrain("emqx", "[::1]:"+port, "drained by hand on "+fetch[[]memberState](e, "/api/v1/members")[0].Host)
}

func TestHookServersAreFoundByGossipAndDrainedOnEveryEdge(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := startProvider(t, "127.0.0.1:0", "client.authenticate"), startProvider(t, "127.0.0.1:0", "client.authenticate")
	var all []*edge
	for range 2 {
		all = append(all, c.prepare("listeners:\n  hooks: {bind: \"127.0.0.1:0\", protocol: grpc, upstream: hooks}\nupstreams:\n  hooks: {balance: round_robin, gossip: hooks, exhook: {}}\n"+c.section("")))
	}
	for _, e := range all {
		e.launch()
	}
	c.agentWith(fmt.Sprintf("{service: hooks, address: %s}, {service: hooks, address: %s}", a.addr, b.addr))
	for i, e := range all {
		e.awaitReady()
		e.awaitEndpoints("hooks", a.addr, b.addr)
		node := startEMQX(t, e.addr("hooks"), fmt.Sprint("emqx-", i), insecure.NewCredentials())
		_, err := node.load()
		must(t, err)
		if got, err := node.authenticate("device"); err != nil || got != allowed {
			t.Fatalf("%q %v", got, err)
		}
	}
	all[0].hand("drain", "hooks", a.addr)
	all[1].awaitDrain("hooks", a.addr, "drained by hand on host-1")
	before := len(a.heard())
	for i, e := range all {
		node := startEMQX(t, e.addr("hooks"), fmt.Sprint("emqx-", i), insecure.NewCredentials())
		for n := range 10 {
			if got, err := node.authenticate(fmt.Sprint("device-", n)); err != nil || got != allowed {
				t.Fatalf("%q %v", got, err)
			}
		}
	}
	for _, call := range a.heard()[before:] {
		if strings.HasPrefix(call, "OnClientAuthenticate") {
			t.Errorf("a drained hook server got %s", call)
		}
	}
}
