package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// edges runs n edges of one cluster with these endpoints; more is what else the gossip section has.
func (c *cluster) edges(n int, upstream, more string) []*edge {
	c.t.Helper()
	all := make([]*edge, n)
	for i := range all {
		all[i] = c.prepare(c.edgeConfig(upstream, more))
	}
	for _, e := range all {
		e.launch()
	}
	for _, e := range all {
		e.awaitReady()
		e.awaitMetric("mqedge_gossip_members", float64(n))
	}
	return all
}

func (c *cluster) edgeConfig(upstream, more string) string {
	section := strings.TrimSuffix(c.section(""), "}\n") + more + "}\n"
	return fmt.Sprintf("listeners:\n  mqtt: {bind: \"127.0.0.1:0\", upstream: emqx}\nupstreams:\n  emqx: {%s}\n%s", upstream, section)
}

// hand runs a command about an endpoint through the admin address of e.
func (e *edge) hand(args ...string) {
	e.t.Helper()
	if out, errs, code := run(e.t, append(args[:1:1], append([]string{"--admin", e.admin}, args[1:]...)...)...); code != 0 {
		e.t.Fatalf("mqedge %v: %d %s%s", args, code, out, errs)
	}
}

// awaitDrain waits until an endpoint is drained and the reason has these words; "" until it is not drained.
func (e *edge) awaitDrain(upstream, address, reason string) {
	e.t.Helper()
	eventually(e.t, func() string {
		ep := e.endpoint(upstream, address)
		if ep.Draining != (reason != "") || reason != "" && ep.Reason != reason {
			return fmt.Sprintf("%s of %s: %+v, want %q", address, upstream, ep, reason)
		}
		return ""
	})
}

func TestADrainByHandHoldsOnEveryEdgeAndIsUndoneOnAny(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	upstream := "endpoints: " + endpoints(a.address(), b.address())
	all := c.edges(3, upstream, ", state_file: state")
	for _, e := range all {
		crowd(t, e, 4)
	}
	if out, errs, _ := run(t, "drain", "--admin", all[1].admin, "emqx", a.address()); out != "emqx "+a.address()+": draining on all edges\n" {
		t.Fatalf("mqedge drain: %q, %s", out, errs)
	}
	for _, e := range all {
		e.awaitDrain("emqx", a.address(), "drained by hand on host-2")
		e.awaitActive("mqtt", 2) // drain.over is 0 here: those on a have gone
		mustConnect(t, e.addr("mqtt"), nil, "new")
		if ep := e.endpoint("emqx", a.address()); ep.Connections != 0 {
			t.Errorf("a client came to the drained endpoint: %+v", ep)
		}
	}
	if out, _, _ := run(t, "status", "--admin", all[2].admin); !strings.Contains(out, "drained by hand on host-2") {
		t.Errorf("mqedge status:\n%s", out)
	}
	all[0].awaitMetric(`mqedge_gossip_facts{kind="drain"}`, 1)

	// A new edge knows it before it serves anybody.
	late := c.prepare(c.edgeConfig(upstream, ""))
	late.launch()
	late.awaitReady()
	if ep := late.endpoint("emqx", a.address()); !ep.Draining {
		t.Errorf("on an edge that has just come: %+v", ep)
	}
	// So does one that comes back alone, by its state file.
	eventually(t, func() string {
		if text, _ := os.ReadFile(all[0].path("state")); !strings.Contains(string(text), "emqx "+a.address()) {
			return "the state file does not know of the drain"
		}
		return ""
	})
	for _, e := range append(all, late) {
		e.signal(syscall.SIGTERM)
		e.exit()
	}
	alone := newEdge(t, string(mustRead(t, all[0].path("mqedge.yaml"))))
	mustWrite(t, alone.path("keys"), []byte(c.keys))
	mustWrite(t, alone.path("state"), mustRead(t, all[0].path("state")))
	alone.launch()
	alone.awaitReady()
	alone.awaitDrain("emqx", a.address(), "drained by hand on host-2")

	second := c.prepare(c.edgeConfig(upstream, ""))
	second.launch()
	second.awaitReady()
	second.awaitDrain("emqx", a.address(), "drained by hand on host-2")
	second.hand("enable", "emqx", a.address())
	alone.awaitDrain("emqx", a.address(), "")
	second.awaitDrain("emqx", a.address(), "")
}

func TestADrainCanBeOfOneEdgeAloneAndIsRememberedForEndpointsToCome(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b, late := startFake(t, acknowledge), startFake(t, acknowledge), startFake(t, acknowledge)
	first := "endpoints: " + endpoints(a.address(), b.address())
	all := c.edges(2, first, "")
	x, y := all[0], all[1]

	if out, errs, _ := run(t, "drain", "--admin", x.admin, "emqx", a.address(), "--local"); out != "emqx "+a.address()+": draining on this edge alone\n" {
		t.Fatalf("mqedge drain --local: %q, %s", out, errs)
	}
	x.awaitDrain("emqx", a.address(), "drained by hand on this edge alone")
	x.hand("drain", "emqx", b.address(), "--keep") // to have something to wait for
	y.awaitDrain("emqx", b.address(), "drained by hand on host-1")
	y.awaitDrain("emqx", a.address(), "")
	y.hand("enable", "emqx", b.address(), "--local")
	y.awaitDrain("emqx", b.address(), "")
	x.awaitDrain("emqx", b.address(), "drained by hand on host-1")
	// The next word counts for all again.
	x.hand("drain", "emqx", b.address(), "--keep")
	y.awaitDrain("emqx", b.address(), "drained by hand on host-1")
	y.hand("enable", "emqx", b.address())
	x.awaitDrain("emqx", b.address(), "")
	x.awaitDrain("emqx", a.address(), "drained by hand on this edge alone")
	x.hand("enable", "emqx", a.address())
	x.awaitDrain("emqx", a.address(), "")

	// y has not heard of the endpoint when it is drained.
	config := string(mustRead(t, x.path("mqedge.yaml")))
	third := "endpoints: " + endpoints(a.address(), b.address(), late.address())
	x.reload(strings.Replace(config, first, third, 1))
	x.hand("drain", "emqx", late.address(), "--over", "1h")
	y.awaitMetric(`mqedge_gossip_facts{kind="drain"}`, 1)
	y.reload(strings.Replace(string(mustRead(t, y.path("mqedge.yaml"))), first, third, 1))
	if ep := y.endpoint("emqx", late.address()); !ep.Draining {
		t.Errorf("an endpoint that was drained before it came: %+v", ep)
	}

	// A new name makes a new member, which knows it still; without gossip it is this edge's alone.
	config = strings.Replace(strings.Replace(config, first, third, 1), "host-1", "renamed", 1)
	x.reload(config)
	x.awaitDrain("emqx", late.address(), "drained by hand on host-1")
	x.reload(config[:strings.Index(config, "gossip:")])
	x.awaitDrain("emqx", late.address(), "drained by hand on host-1")
	x.reload(config)
	x.awaitMetric("mqedge_gossip_members", 2)
	x.awaitDrain("emqx", late.address(), "drained by hand on host-1")
	y.hand("enable", "emqx", late.address())
	x.awaitDrain("emqx", late.address(), "")

	// In another cluster nobody can undo it but this edge.
	y.hand("drain", "emqx", late.address())
	x.awaitDrain("emqx", late.address(), "drained by hand on host-2")
	x.reload(strings.Replace(config, "gossip: {", "gossip: {label: other, ", 1))
	y.awaitMetric("mqedge_gossip_members", 1)
	y.hand("enable", "emqx", late.address())
	x.awaitDrain("emqx", late.address(), "drained by hand on host-2")
	x.hand("enable", "emqx", late.address())
	x.awaitDrain("emqx", late.address(), "")
	if out, errs, code := run(t, "drain", "--admin", x.admin, "emqx", "127.0.0.1:1"); code != 1 || !strings.Contains(errs, "has no endpoint") {
		t.Errorf("an endpoint that nobody knows: %d %s%s", code, out, errs)
	}
}

func mustRead(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return text
}
