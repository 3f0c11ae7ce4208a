package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestConnectionsComeEvenlyFromTheSourceAddresses(t *testing.T) {
	t.Parallel()
	one, two := startFake(t, acknowledge), startFake(t, acknowledge)
	_, port, err := net.SplitHostPort(one.address())
	must(t, err)
	sources := []string{"127.0.0.11", "127.0.0.12"}
	e := balanced(t, fmt.Sprintf("{balance: round_robin, source_addresses: [127.0.0.11, 127.0.0.12], endpoints: %s}",
		endpoints("localhost:"+port, two.address()))) // a name is looked up first
	clients := crowd(t, e, 12)
	for _, f := range []*fake{one, two} {
		came := make(map[string]int)
		f.mu.Lock()
		for _, c := range f.conns {
			host, _, err := net.SplitHostPort(c.RemoteAddr().String())
			must(t, err)
			came[host]++
		}
		f.mu.Unlock()
		for _, source := range sources {
			if came[source] != 3 {
				t.Errorf("%s saw connections from %v, want 3 from each of %v", f.address(), came, sources)
			}
			e.awaitMetric(portsUsed(source, f.address()), 3)
		}
	}
	if n := e.metrics()[`mqedge_upstream_source_ports{upstream="emqx"}`]; n < 1000 || n > 65536 {
		t.Errorf("each has %v ports", n)
	}
	for _, d := range clients[1:] {
		must(t, d.leave())
	}
	eventually(t, func() string {
		held := 0.0
		for series, n := range e.metrics() {
			if strings.HasPrefix(series, "mqedge_upstream_source_ports_used{") {
				held += n
			}
		}
		if held != 1 {
			return fmt.Sprintf("%v ports are in use after all but one client left", held)
		}
		return ""
	})
}

func portsUsed(source, endpoint string) string {
	return fmt.Sprintf(`mqedge_upstream_source_ports_used{endpoint=%q,source=%q,upstream="emqx"}`, endpoint, source)
}

func TestASourceAddressOfAnotherHostEndsTheStart(t *testing.T) {
	t.Parallel()
	e := newEdge(t, `
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {source_addresses: [192.0.2.1], endpoints: [{address: 127.0.0.1:1}]}
`)
	e.launch()
	if code := e.exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	e.awaitLog("upstreams.emqx.source_addresses: 192.0.2.1: this host has no such address", "ip address")
}
