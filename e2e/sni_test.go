package e2e

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

func TestTheNameAClientAsksForChoosesTheCertificate(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	exact := pki.issue("exact", ca.Leaf{CommonName: "first", DNSNames: []string{"one.example"}})
	wildcard := pki.issue("wildcard", ca.Leaf{CommonName: "second", DNSNames: []string{"*.devices.example"}})
	e := start(t, fmt.Sprintf(`
listeners:
  tls: {bind: 127.0.0.1:0, protocol: tcp, upstream: any, tls: {certificates: [%s, %s]}}
upstreams:
  any: {endpoints: %s}
`, exact.yaml(), wildcard.yaml(), endpoints(startFake(t, swallow).address())))
	for asked, want := range map[string]string{
		"one.example": "first", "ONE.example": "first", "a.devices.example": "second",
		"a.b.devices.example": "first", "other.example": "first", "": "first",
	} {
		if got := shownCertificate(t, e.addr("tls"), &tls.Config{ServerName: asked}).Subject.CommonName; got != want {
			t.Errorf("a client that asks for %q is shown the %s certificate, not the %s", asked, got, want)
		}
	}
}

// startWithRSAAndECDSA starts an edge with a certificate of either kind for edge.example.
func startWithRSAAndECDSA(t *testing.T) *edge {
	t.Helper()
	pki := newAuthority(t)
	names := []string{"edge.example"}
	old, new := pki.issue("rsa", ca.Leaf{DNSNames: names, RSA: true}), pki.issue("ecdsa", ca.Leaf{DNSNames: names})
	return start(t, fmt.Sprintf(`
listeners:
  tls: {bind: 127.0.0.1:0, protocol: tcp, upstream: any, tls: {certificates: [%s, %s]}}
upstreams:
  any: {endpoints: %s}
`, old.yaml(), new.yaml(), endpoints(startFake(t, swallow).address())))
}

func TestRSAAndECDSAServeOneNameSideBySide(t *testing.T) {
	t.Parallel()
	e := startWithRSAAndECDSA(t)

	knowsRSAOnly := &tls.Config{
		ServerName: "edge.example", MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	}
	if key, ok := shownCertificate(t, e.addr("tls"), knowsRSAOnly).PublicKey.(*rsa.PublicKey); !ok {
		t.Errorf("a client that knows RSA only was shown %T", key)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		leaf := shownCertificate(t, e.addr("tls"), &tls.Config{ServerName: "edge.example", MaxVersion: version})
		if _, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok {
			t.Errorf("over %s a client that knows both was shown %T", tls.VersionName(version), leaf.PublicKey)
		}
	}
}

// shownCertificate is the leaf that a client is shown. It does not verify it.
func shownCertificate(t testing.TB, addr string, config *tls.Config) *x509.Certificate {
	t.Helper()
	config.InsecureSkipVerify = true
	conn := dialTLS(t, addr, config)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}
