package e2e

import (
	"fmt"
	"net"
	"testing"

	"github.com/mqedge/mqedge/demo/broker"
)

func TestClientsAndEndpointsMayBeIPv6AndMixed(t *testing.T) {
	t.Parallel()
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		without(t, "this host has no IPv6: "+err.Error())
	} else {
		l.Close()
	}
	node := startBrokerWith(t, broker.Options{Addr: "[::1]:0", ProxyProtocol: true})
	for _, version := range []string{"v1", "v2"} {
		e := start(t, fmt.Sprintf(`
admin: {bind: "[::1]:0"}
listeners:
  six:  {bind: "[::1]:0", upstream: emqx}
  four: {bind: 127.0.0.1:0, upstream: emqx}
  both: {bind: "[::]:0", upstream: emqx}
upstreams:
  emqx: {send_proxy: %s, endpoints: %s}
`, version, endpoints(node.Addr())))
		_, port, err := net.SplitHostPort(e.addr("both"))
		must(t, err)
		for id, addr := range map[string]string{
			"six": e.addr("six"), "four": e.addr("four"),
			"both-six": net.JoinHostPort("::1", port), "both-four": net.JoinHostPort("127.0.0.1", port),
		} {
			d := mustConnect(t, addr, nil, id)
			got := node.client(t, id)
			if got.ProxySource.String() != d.LocalAddr().String() || got.ProxyDestination.String() != addr {
				t.Errorf("%s, %s: the broker saw %v dialling %v, want %v dialling %v",
					version, id, got.ProxySource, got.ProxyDestination, d.LocalAddr(), addr)
			}
		}
	}
}
