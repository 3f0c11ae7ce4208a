package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
	"github.com/mqedge/mqedge/demo/broker"
)

func TestAnEndpointWithTLSIsVerifiedAndShownACertificateBehindThePlainProxyHeader(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	shown := pki.issue("edge", ca.Leaf{CommonName: "edge-7", Client: true})
	ends := pki.issue("node", ca.Leaf{CommonName: "node", DNSNames: []string{"node.example"}})
	pair, err := tls.LoadX509KeyPair(ends.cert, ends.key)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(pki.ca.Cert)
	node := startBrokerWith(t, broker.Options{
		ProxyProtocol: true,
		TLS:           &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots},
	})
	config := `{send_proxy: v2, tls: {ca_file: %q, server_name: node.example%s}, endpoints: %s}`

	e := balanced(t, fmt.Sprintf(config, pki.file(), fmt.Sprintf(`, cert_file: %q, key_file: %q`, shown.cert, shown.key), endpoints(node.Addr())))
	d := mustConnect(t, e.addr("mqtt"), nil, "through")
	must(t, d.publish("a", make([]byte, 100_000)))
	if got := node.client(t, "through"); got.Addr.String() != d.LocalAddr().String() || got.ProxyVersion != 2 {
		t.Errorf("the broker saw %v by PROXY v%d", got.Addr, got.ProxyVersion)
	}
}

func TestAnEndpointWithACertificateOfSomebodyElseGetsNoClient(t *testing.T) {
	t.Parallel()
	pki, stranger := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct {
		ends keyPair
		says string
	}{
		"another CA":   {stranger.server(), "certificate signed by unknown authority"},
		"another name": {pki.issue("other", ca.Leaf{DNSNames: []string{"other.example"}}), "not edge.example"},
	} {
		pair, err := tls.LoadX509KeyPair(c.ends.cert, c.ends.key)
		must(t, err)
		got := make(chan error, 1)
		node := startFake(t, func(conn net.Conn) {
			got <- tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}}).Handshake()
		})
		e := balanced(t, fmt.Sprintf(`{tls: {ca_file: %q, server_name: edge.example}, endpoints: %s}`, pki.file(), endpoints(node.address())))
		if _, err := connect(e.addr("mqtt"), nil, "secret"); err == nil {
			t.Errorf("%s: the client was served", name)
		}
		if err := <-got; err == nil {
			t.Errorf("%s: the handshake succeeded", name)
		}
		e.awaitMetric(`mqedge_connections_refused_total{listener="mqtt",reason="upstream_failed"}`, 1)
		eventually(t, func() string {
			if reason := e.endpoint("emqx", node.address()).Reason; !containsAll(reason, []string{c.says}) {
				return fmt.Sprintf("%s: reason %q, want one with %q", name, reason, c.says)
			}
			return ""
		})
	}
}

func TestANewUpstreamCAAppliesWithoutARestart(t *testing.T) {
	t.Parallel()
	pki, next := newAuthority(t), newAuthority(t)
	ends := next.server()
	pair, err := tls.LoadX509KeyPair(ends.cert, ends.key)
	must(t, err)
	node := startBrokerWith(t, broker.Options{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	e := balanced(t, fmt.Sprintf(`{tls: {ca_file: %q}, endpoints: %s}`, pki.file(), endpoints(node.Addr())))
	if _, err := connect(e.addr("mqtt"), nil, "early"); err == nil {
		t.Fatal("an endpoint with a certificate of another CA was used")
	}
	mustWrite(t, pki.file(), next.ca.PEM())
	e.awaitLog("changed TLS files are in use", "emqx")
	mustConnect(t, e.addr("mqtt"), nil, "late")
}
