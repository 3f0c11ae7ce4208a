package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"
)

var (
	farClient = &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 40007}
	dialledLB = &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 8883}
)

func TestBehindATrustedLoadBalancerTheRealClientIsSeenByBrokerLogAndAPI(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startBroker(t)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtts:
    bind: 127.0.0.1:0
    upstream: emqx
    tls: {certificates: [%s]}
    proxy_protocol: {trust: [127.0.0.0/8]}
upstreams:
  emqx: {send_proxy: v2, endpoints: %s}
`, pki.server().yaml(), endpoints(node.Addr())))

	for _, version := range []byte{1, 2} {
		id := fmt.Sprintf("by-v%d", version)
		header, err := proxyproto.HeaderProxyFromAddrs(version, farClient, dialledLB).Format()
		must(t, err)
		balancer := dial(t, e.addr("mqtts"))
		for i := range header { // in as many pieces as can be
			if _, err := balancer.Write(header[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
		d, err := introduce(tls.Client(balancer, pki.trusting()), id, 0)
		must(t, err)

		got := node.client(t, id)
		if got.Addr.String() != farClient.String() || got.ProxyDestination.String() != dialledLB.String() || got.TLVs.Authority != "edge.example" {
			t.Errorf("%s: the broker saw %v dialling %v, %+v", id, got.Addr, got.ProxyDestination, got.TLVs)
		}
		list := fetch[[]connectionState](e, "/api/v1/connections?client_id="+id)
		if len(list) != 1 || list[0].Client != farClient.String() || list[0].Peer != balancer.LocalAddr().String() {
			t.Errorf("%s: /api/v1/connections: %+v", id, list)
		}
		must(t, d.leave())
		line := e.awaitAccess("mqtt_client_id", id)
		peer := netip.MustParseAddrPort(balancer.LocalAddr().String())
		if line["proxy_protocol_addr"] != "203.0.113.7" || line["remote_addr"] != "127.0.0.1" || line["remote_port"] != float64(peer.Port()) {
			t.Errorf("%s: access log: %v", id, line)
		}
	}
}

func TestALoadBalancersOwnCheckIsServedUnderItsOwnAddress(t *testing.T) {
	t.Parallel()
	node := startBroker(t)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx, proxy_protocol: {trust: [127.0.0.1]}}
upstreams:
  emqx: {send_proxy: v2, endpoints: %s}
`, endpoints(node.Addr())))
	balancer := dial(t, e.addr("mqtt"))
	local := &proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}
	_, err := local.WriteTo(balancer)
	must(t, err)
	_, err = introduce(balancer, "check", 0)
	must(t, err)
	if got := node.client(t, "check"); got.Addr.String() != balancer.LocalAddr().String() {
		t.Errorf("the broker saw %v", got.Addr)
	}
}

func TestAHeaderFromWhomNobodyTrustsReachesNoEndpoint(t *testing.T) {
	t.Parallel()
	pki, sink := newAuthority(t), startFake(t, swallow)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtt:  {bind: 127.0.0.1:0, upstream: any, proxy_protocol: {trust: [10.0.0.0/8]}}
  mqtts: {bind: 127.0.0.2:0, upstream: any, proxy_protocol: {trust: [10.0.0.0/8]}, tls: {certificates: [%s]}}
  tcp:   {bind: 127.0.0.3:0, upstream: any, proxy_protocol: {trust: [10.0.0.0/8]}, protocol: tcp}
  ws:    {bind: 127.0.0.4:0, upstream: any, proxy_protocol: {trust: [10.0.0.0/8]}, protocol: mqtt_ws}
upstreams:
  any: {endpoints: %s}
`, pki.server().yaml(), endpoints(sink.address())))

	for listener, reason := range map[string]string{
		"mqtt": "not_mqtt", "mqtts": "tls_failed", "tcp": "proxy_header_untrusted", "ws": "proxy_header_untrusted",
	} {
		for _, version := range []byte{1, 2} {
			attacker := dial(t, e.addr(listener))
			header, err := proxyproto.HeaderProxyFromAddrs(version, farClient, dialledLB).Format()
			must(t, err)
			_, err = attacker.Write(append(header, connectPacket("attacker", 0)...))
			must(t, err)
			awaitClosed(t, attacker)
		}
		e.awaitMetric(fmt.Sprintf("mqedge_connections_refused_total{listener=%q,reason=%q}", listener, reason), 2)
	}
	if sink.came() != 0 {
		t.Errorf("%d connections reached the endpoint", sink.came())
	}
}

func TestATrustedPeerThatSendsNoHeaderIsClosedAndCounted(t *testing.T) {
	t.Parallel()
	sink := startFake(t, swallow)
	e := start(t, fmt.Sprintf(`
listeners:
  tcp: {bind: 127.0.0.1:0, protocol: tcp, upstream: any, proxy_protocol: {trust: [127.0.0.1], timeout: 200ms}}
upstreams:
  any: {endpoints: %s}
`, endpoints(sink.address())))
	silent, half, other := dial(t, e.addr("tcp")), dial(t, e.addr("tcp")), dial(t, e.addr("tcp"))
	half.Write([]byte("PROXY TCP4 203.0.113.7"))
	other.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
	for _, c := range []net.Conn{silent, half, other} {
		awaitClosed(t, c)
	}
	e.awaitMetric(`mqedge_connections_refused_total{listener="tcp",reason="proxy_header_timeout"}`, 2)
	e.awaitMetric(`mqedge_connections_refused_total{listener="tcp",reason="proxy_header_invalid"}`, 1)
	if sink.came() != 0 {
		t.Errorf("%d connections reached the endpoint", sink.came())
	}
}
