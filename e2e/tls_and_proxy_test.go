package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mqedge/mqedge/demo/broker"
)

func TestClientsOfEveryVersionTalkThroughTLSAndTheBrokerSeesWhoTheyAre(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startBroker(t)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtts:
    bind: 127.0.0.1:0
    upstream: emqx
    tls: {certificates: [%s], alpn: [mqtt]}
upstreams:
  emqx: {send_proxy: v2, endpoints: %s}
`, pki.server().yaml(), endpoints(node.Addr())))
	edgeAddr := netip.MustParseAddrPort(e.addr("mqtts"))

	for mqttName, run := range map[string]struct {
		level   byte
		connect func(testing.TB, net.Conn, string) client
	}{"3.1.1": {4, connect311}, "5": {5, connect5}} {
		for tlsName, version := range map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13} {
			id := "mqtt-" + mqttName + "-" + tlsName
			t.Run(id, func(t *testing.T) {
				config := pki.trusting()
				config.MinVersion, config.MaxVersion, config.NextProtos = version, version, []string{"mqtt"}
				conn := dialTLS(t, edgeAddr.String(), config)
				c := run.connect(t, conn, id)
				c.subscribe("greetings/" + id)
				c.publish("greetings/"+id, "hello from "+id)
				if got := receive(t, c); got != "hello from "+id {
					t.Errorf("received %q", got)
				}

				got := node.client(t, id)
				local := netip.MustParseAddrPort(conn.LocalAddr().String())
				if got.Addr != local || got.ProxyVersion != 2 || got.ProxySource != local || got.ProxyDestination != edgeAddr {
					t.Errorf("the broker took %v for %v and %v for %v (PROXY v%d)",
						got.Addr, local, got.ProxyDestination, edgeAddr, got.ProxyVersion)
				}
				want := broker.TLVs{
					Authority: "edge.example", ALPN: "mqtt",
					SSL: true, SSLVersion: tlsName, SSLCipher: tls.CipherSuiteName(conn.ConnectionState().CipherSuite), Verify: 1,
				}
				if got.TLVs != want {
					t.Errorf("the broker was told %+v, want %+v", got.TLVs, want)
				}
				if got.ProtocolVersion != run.level {
					t.Errorf("MQTT level %d", got.ProtocolVersion)
				}
			})
		}
	}
}

func receive(t testing.TB, c client) string {
	t.Helper()
	select {
	case payload := <-c.received():
		return payload
	case <-time.After(patience()):
		t.Fatal("no message")
		return ""
	}
}

func TestAVersionOneHeaderNamesTheClientAndTheAddressItDialled(t *testing.T) {
	t.Parallel()
	node := startBroker(t)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {send_proxy: v1, endpoints: %s}
`, endpoints(node.Addr())))
	d := mustConnect(t, e.addr("mqtt"), nil, "v1")
	got := node.client(t, "v1")
	if got.ProxyVersion != 1 || got.Addr.String() != d.LocalAddr().String() || got.ProxyDestination.String() != e.addr("mqtt") {
		t.Errorf("the broker saw %v dialling %v by PROXY v%d", got.Addr, got.ProxyDestination, got.ProxyVersion)
	}
}

func TestWithoutSendProxyTheBrokerSeesPlainMQTT(t *testing.T) {
	t.Parallel()
	node := startBrokerWith(t, broker.Options{})
	e := start(t, fmt.Sprintf(`
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {endpoints: %s}
`, endpoints(node.Addr())))
	d := mustConnect(t, e.addr("mqtt"), nil, "plain")
	must(t, d.ping())
	if got := node.client(t, "plain"); got.ProxyVersion != 0 || got.Addr.String() == d.LocalAddr().String() {
		t.Errorf("the broker saw %v by PROXY v%d", got.Addr, got.ProxyVersion)
	}
}
