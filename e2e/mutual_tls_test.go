package e2e

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

// mutualTLS is a listener that asks for client certificates, in front of a broker that wants PROXY v2.
const mutualTLS = `
listeners:
  mqtts:
    bind: 127.0.0.1:0
    upstream: emqx
    tls:
      certificates: [%s]
      client_auth: %s
      client_ca_file: %q
      client_crl_file: %q
upstreams:
  emqx: {send_proxy: v2, endpoints: %s}
`

func TestOnlyDevicesWithAGoodCertificateGetInAndTheBrokerLearnsTheirNames(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startBroker(t)
	good := pki.issue("good", ca.Leaf{CommonName: "device-\x01\n7", Client: true})
	revoked := pki.issue("revoked", ca.Leaf{CommonName: "device-8", Client: true})
	foreign := newAuthority(t).issue("foreign", ca.Leaf{CommonName: "device-7", Client: true})
	crl := filepath.Join(pki.dir, "crl.pem")
	pki.crl(crl, revoked.leaf(t).SerialNumber)
	e := start(t, fmt.Sprintf(mutualTLS, pki.server().yaml(), "require", pki.file(), crl, endpoints(node.Addr())))

	refusals := 0
	for name, shown := range map[string][]keyPair{"without": nil, "revoked": {revoked}, "foreign": {foreign}} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := pki.trusting(shown...)
			config.MaxVersion = version
			if d, err := connect(e.addr("mqtts"), config, name); err == nil {
				d.Close()
				t.Errorf("a client with certificate %q got in over %s", name, tls.VersionName(version))
			}
			refusals++
		}
	}
	e.awaitMetric(`mqedge_connections_refused_total{listener="mqtts",reason="tls_failed"}`, float64(refusals))
	if node.total() != 0 || len(node.refused) != 0 {
		t.Error("something of them reached the broker")
	}

	d := mustConnect(t, e.addr("mqtts"), pki.trusting(good), "with")
	if got := node.client(t, "with").TLVs; got.CN != "device-7" || got.Verify != 0 || !got.SSL {
		t.Errorf("the broker was told %+v", got)
	}
	must(t, d.leave())
	if line := e.awaitAccess("mqtt_client_id", "with"); line["ssl_client_s_dn_cn"] != "device-\x01\n7" {
		t.Errorf("access log: %v", line)
	}
}

func TestARequestedCertificateMayBeMissingButNotBad(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startBroker(t)
	good := pki.issue("good", ca.Leaf{CommonName: "device-7", Client: true})
	foreign := newAuthority(t).issue("foreign", ca.Leaf{CommonName: "device-7", Client: true})
	e := start(t, fmt.Sprintf(mutualTLS, pki.server().yaml(), "request", pki.file(), "", endpoints(node.Addr())))

	mustConnect(t, e.addr("mqtts"), pki.trusting(good), "with")
	mustConnect(t, e.addr("mqtts"), pki.trusting(), "without")
	if got := node.client(t, "with").TLVs; got.CN != "device-7" || got.Verify != 0 {
		t.Errorf("with a certificate the broker was told %+v", got)
	}
	if got := node.client(t, "without").TLVs; got.CN != "" || got.Verify == 0 || !got.SSL {
		t.Errorf("without one the broker was told %+v", got)
	}
	if _, err := connect(e.addr("mqtts"), pki.trusting(foreign), "foreign"); err == nil {
		t.Error("a certificate of another CA was accepted")
	}
}

func TestANewRevocationListAppliesToTheNextConnectionAndToResumedSessions(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startBroker(t)
	stolen := pki.issue("stolen", ca.Leaf{CommonName: "stolen", Client: true})
	crl := filepath.Join(pki.dir, "crl.pem")
	pki.crl(crl)
	e := start(t, fmt.Sprintf(mutualTLS, pki.server().yaml(), "require", pki.file(), crl, endpoints(node.Addr())))

	config := pki.trusting(stolen)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	d := mustConnect(t, e.addr("mqtts"), config, "stolen")

	pki.crl(crl, stolen.leaf(t).SerialNumber)
	e.awaitLog("changed TLS files are in use")
	if _, err := connect(e.addr("mqtts"), config, "stolen-again"); err == nil {
		t.Error("a revoked client got in, by its session ticket")
	}
	must(t, d.ping()) // what is connected stays
}
