package certs

import (
	"crypto/tls"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

// serialOf is as connection.shown has it.
func serialOf(t testing.TB, pair KeyPair) string { return pairOf(t, pair).Leaf.SerialNumber.Text(16) }

func TestTheNameAskedForDecidesTheCertificate(t *testing.T) {
	authority := newCA(t)
	first := issue(t, authority, ca.Leaf{DNSNames: []string{"first.example"}})
	exact := issue(t, authority, ca.Leaf{DNSNames: []string{"Edge.example", "a.wild.example"}})
	wildcard := issue(t, authority, ca.Leaf{DNSNames: []string{"*.wild.example"}})
	common := issue(t, authority, ca.Leaf{CommonName: "common.example"})
	sans := issue(t, authority, ca.Leaf{CommonName: "ignored.example", DNSNames: []string{"san.example"}})
	server := open(t, Options{Certificates: []KeyPair{first, wildcard, exact, common, sans}}, nil).ServerConfig()

	eachVersion(t, func(t *testing.T, version uint16) {
		for _, test := range []struct {
			name string
			want KeyPair
		}{
			{"first.example", first},
			{"edge.example", exact},
			{"EDGE.example", exact},
			{"a.wild.example", exact},
			{"b.wild.example", wildcard},
			{"wild.example", first},
			{"c.b.wild.example", first},
			{"common.example", common},
			{"ignored.example", first},
			{"nobody.example", first},
			{"", first},
		} {
			config := client(t, authority, KeyPair{})
			config.ServerName, config.InsecureSkipVerify, config.MaxVersion = test.name, true, version
			if got := connect(t, server, config).ok(t).shown(); got != serialOf(t, test.want) {
				t.Errorf("for %q: another certificate than expected", test.name)
			}
		}
	})
}

func TestAClientGetsTheECDSACertificateWhenItCanAndTheRSAOneWhenNot(t *testing.T) {
	authority := newCA(t)
	asRSA := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}, RSA: true})
	asECDSA := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
	store := open(t, Options{Certificates: []KeyPair{asRSA, asECDSA}}, nil)

	for _, name := range []string{"edge.example", "unknown.example", ""} {
		config := client(t, authority, KeyPair{})
		config.ServerName, config.InsecureSkipVerify = name, true
		if connect(t, store.ServerConfig(), config).ok(t).shown() != serialOf(t, asECDSA) {
			t.Errorf("name %q: a client that can do both did not get ECDSA", name)
		}
		config.MaxVersion = tls.VersionTLS12
		config.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		if connect(t, store.ServerConfig(), config).ok(t).shown() != serialOf(t, asRSA) {
			t.Errorf("name %q: a client without ECDSA did not get RSA", name)
		}
	}

	inUse := store.current.Load().config
	hello := &tls.ClientHelloInfo{
		ServerName:        "edge.example",
		SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes:  []tls.SignatureScheme{tls.PSSWithSHA256},
	}
	cert, err := inUse.GetCertificate(hello)
	if err != nil || cert.Leaf.SerialNumber.Text(16) != serialOf(t, asRSA) {
		t.Errorf("a TLS 1.3 client that verifies no ECDSA signatures did not get RSA (%v)", err)
	}
}

func TestAWildcardForAnotherKeyTypeIsBetterThanAnExactNameTheClientCannotUse(t *testing.T) {
	authority := newCA(t)
	exact := issue(t, authority, ca.Leaf{DNSNames: []string{"edge.example"}})
	wildcard := issue(t, authority, ca.Leaf{DNSNames: []string{"*.example"}, RSA: true})
	store := open(t, Options{Certificates: []KeyPair{exact, wildcard}}, nil)
	config := client(t, authority, KeyPair{})
	config.InsecureSkipVerify, config.MaxVersion = true, tls.VersionTLS12
	config.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	if connect(t, store.ServerConfig(), config).ok(t).shown() != serialOf(t, wildcard) {
		t.Error("an RSA client did not get the RSA wildcard")
	}
}

func BenchmarkChoosingACertificate(b *testing.B) {
	authority := newCA(b)
	names := []string{"a.example", "b.example", "*.wild.example"}
	var pairs []KeyPair
	for _, name := range names {
		pairs = append(pairs, issue(b, authority, ca.Leaf{DNSNames: []string{name}}))
	}
	choose := open(b, Options{Certificates: pairs}, nil).current.Load().config.GetCertificate
	for _, name := range []string{"b.example", "x.wild.example", "unknown.example"} {
		b.Run(name, func(b *testing.B) {
			hello := &tls.ClientHelloInfo{
				ServerName:        name,
				SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
				SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256},
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := choose(hello); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
