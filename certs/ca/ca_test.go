package ca

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"testing"
	"time"
)

func TestIssuedCertificatesVerifyForWhatTheyWereAskedFor(t *testing.T) {
	authority, err := New()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority.PEM()) {
		t.Fatal("PEM is not a certificate")
	}
	for _, leaf := range []Leaf{
		{DNSNames: []string{"edge.example"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}},
		{DNSNames: []string{"edge.example"}, RSA: true},
		{CommonName: "device", Client: true},
		{CommonName: "old device", Client: true, NotAfter: time.Now().Add(-48 * time.Hour)},
	} {
		certPEM, keyPEM, err := authority.Issue(leaf)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(certPEM, keyPEM)
		if err != nil {
			t.Fatal(err)
		}
		options := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		if leaf.Client {
			options.KeyUsages[0] = x509.ExtKeyUsageClientAuth
		}
		if len(leaf.DNSNames) > 0 {
			options.DNSName = leaf.DNSNames[0]
		}
		expired := !leaf.NotAfter.IsZero()
		if _, err := pair.Leaf.Verify(options); (err != nil) != expired {
			t.Errorf("%+v: %v", leaf, err)
		}
	}
}

func TestTheCRLListsTheSerialsAndIsSignedByTheCA(t *testing.T) {
	authority, err := New()
	if err != nil {
		t.Fatal(err)
	}
	serial := newSerial()
	text, err := authority.CRL(serial)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	list, err := x509.ParseRevocationList(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(authority.Cert); err != nil {
		t.Error(err)
	}
	if len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(serial) != 0 {
		t.Errorf("%v", list.RevokedCertificateEntries)
	}
}
