package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

// authority is a CA with a folder for what it issues.
type authority struct {
	t   testing.TB
	ca  *ca.CA
	dir string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	root, err := ca.New()
	must(t, err)
	a := &authority{t: t, ca: root, dir: t.TempDir()}
	mustWrite(t, a.file(), root.PEM())
	return a
}

// file is the CA's own certificate.
func (a *authority) file() string { return filepath.Join(a.dir, "ca.pem") }

// keyPair is a certificate and its key, in files.
type keyPair struct{ cert, key string }

// yaml is the pair as an item of tls.certificates.
func (p keyPair) yaml() string { return fmt.Sprintf("{cert_file: %q, key_file: %q}", p.cert, p.key) }

// leaf is the certificate that the file holds now.
func (p keyPair) leaf(t testing.TB) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(p.cert)
	must(t, err)
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return leaf
}

// issue writes a certificate to files of this name. One for servers is for the loopback addresses too.
func (a *authority) issue(name string, leaf ca.Leaf) keyPair {
	a.t.Helper()
	pair := keyPair{filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+"-key.pem")}
	a.reissue(pair, leaf)
	return pair
}

// reissue replaces the files of a pair.
func (a *authority) reissue(pair keyPair, leaf ca.Leaf) {
	a.t.Helper()
	if !leaf.Client {
		leaf.IPs = append(leaf.IPs, net.IPv4(127, 0, 0, 1), net.IPv6loopback)
	}
	cert, key, err := a.ca.Issue(leaf)
	must(a.t, err)
	mustWrite(a.t, pair.cert, cert)
	must(a.t, os.WriteFile(pair.key, key, 0o600))
}

// server is a certificate for edge.example, which clients of trusting ask for.
func (a *authority) server() keyPair {
	a.t.Helper()
	return a.issue("server", issued("edge.example"))
}

// crl writes a list of revoked certificates.
func (a *authority) crl(file string, serials ...*big.Int) {
	a.t.Helper()
	list, err := a.ca.CRL(serials...)
	must(a.t, err)
	mustWrite(a.t, file, list)
}

// trusting is the configuration of a client that asks for edge.example and shows a certificate, if one is given,
// whatever CAs the server would like it to be of.
func (a *authority) trusting(shown ...keyPair) *tls.Config {
	a.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.ca.Cert)
	c := &tls.Config{RootCAs: roots, ServerName: "edge.example"}
	for _, pair := range shown {
		cert, err := tls.LoadX509KeyPair(pair.cert, pair.key)
		must(a.t, err)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return c
}

// issued is a certificate for a server of this name.
func issued(name string) ca.Leaf { return ca.Leaf{CommonName: name, DNSNames: []string{name}} }
