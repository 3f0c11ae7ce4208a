package edge

import (
	"net"
	"strings"
	"testing"
)

// portsUsed are the values of the gauge, by source.
func (h *harness) portsUsed() map[string]float64 {
	h.t.Helper()
	out := make(map[string]float64)
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "mqedge_upstream_source_ports_used" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "source" {
					out[l.GetValue()] += m.GetGauge().GetValue()
				}
			}
		}
	}
	return out
}

const twoSources = "back: {source_addresses: [127.0.0.11, 127.0.0.12], "

func TestCountsOfSourcePortsSurviveReloads(t *testing.T) {
	h := startEdge(t, strings.Replace(oneListener, "back: {", twoSources, 1), Options{})
	conns := []net.Conn{h.talk("front"), h.talk("front"), h.talk("front"), h.talk("front")}
	want := func(when string, first, second, third float64) {
		t.Helper()
		eventually(t, func() bool {
			got := h.portsUsed()
			return got["127.0.0.11"] == first && got["127.0.0.12"] == second && got["127.0.0.13"] == third
		})
		if t.Failed() {
			t.Fatalf("%s: %v", when, h.portsUsed())
		}
	}
	want("at first", 2, 2, 0)
	for _, step := range []struct {
		when    string
		rewrite []string
	}{
		{"another source", []string{"127.0.0.11, 127.0.0.12", "127.0.0.12, 127.0.0.13"}},
		{"no sources", []string{"source_addresses: [127.0.0.12, 127.0.0.13], ", ""}},
		{"another name", []string{"back:", "rear:", "upstream: back", "upstream: rear"}},
	} {
		if err := h.rewrite(step.rewrite...); err != nil {
			t.Fatal(step.when, ": ", err)
		}
	}
	conns = append(conns, h.talk("front"))
	if err := h.rewrite("rear: {", twoSources, "upstream: rear", "upstream: back"); err != nil {
		t.Fatal(err)
	}
	want("back again", 2, 2, 0)
	conns = append(conns, h.talk("front"), h.talk("front"))
	want("two more", 3, 3, 0)
	for _, c := range conns {
		c.Close()
	}
	want("all closed", 0, 0, 0)
}

func TestASourceThatThisHostDoesNotHaveIsRefusedAndChangesNothing(t *testing.T) {
	h := startEdge(t, strings.Replace(oneListener, "back: {", twoSources, 1), Options{})
	c := h.talk("front")
	err := h.rewrite("127.0.0.12", "192.0.2.1")
	if want := "upstreams.back.source_addresses: 192.0.2.1: this host has no such address: see `ip address`"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	say(t, c, "still there")
	h.talk("front")
	if got := h.portsUsed(); got["127.0.0.11"] != 1 || got["127.0.0.12"] != 1 {
		t.Errorf("ports in use: %v", got)
	}
}
