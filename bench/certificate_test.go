//go:build linux

package main

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
)

func TestThereIsACertificateOfEachKindThatVerifiesByItself(t *testing.T) {
	certs, err := newCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[keyType]x509.PublicKeyAlgorithm{ecdsaKey: x509.ECDSA, rsaKey: x509.RSA} {
		pair, err := tls.LoadX509KeyPair(certs[kind].certFile, certs[kind].keyFile)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(certs[kind].pem)
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: serverName, Roots: roots}); err != nil || pair.Leaf.PublicKeyAlgorithm != want {
			t.Errorf("%s: %s, %v", kind, pair.Leaf.PublicKeyAlgorithm, err)
		}
		if _, err := tls.LoadX509KeyPair(certs[kind].certFile, certs[kind].certFile); err != nil {
			t.Errorf("%s: no key beside the certificate, as HAProxy wants it: %v", kind, err)
		}
	}
	if certs[noKey] != nil {
		t.Error("a certificate for plain TCP")
	}
}
