package configs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var year2020 = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// authority signs certificates and revocation lists for a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string, until time.Time) *authority {
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: year2020.AddDate(-1, 0, 0), NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	return a
}

func (a *authority) pem() []byte { return encodePEM("CERTIFICATE", a.cert.Raw) }

// pair returns a server certificate and its key.
func (a *authority) pair(from, until time.Time) (cert, key []byte) {
	private := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "edge.example.com"}, DNSNames: []string{"edge.example.com"},
		NotBefore: from, NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	must(a.t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must(a.t, err)
	return encodePEM("CERTIFICATE", der), encodePEM("PRIVATE KEY", pkcs8)
}

func (a *authority) crl(nextUpdate time.Time) []byte {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: year2020, NextUpdate: nextUpdate}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	must(a.t, err)
	return encodePEM("X509 CRL", der)
}

// fixtures fills DIR/certs with what the files in testdata and examples name.
func fixtures(t testing.TB, dir string) {
	far := time.Now().AddDate(10, 0, 0)
	ca := newAuthority(t, "devices CA", far)
	stranger := newAuthority(t, "another CA", far)
	old := newAuthority(t, "old CA", year2020)
	cert, key := ca.pair(year2020, far)
	cert2, key2 := ca.pair(year2020, far)
	expired, expiredKey := ca.pair(year2020.AddDate(-1, 0, 0), year2020)
	future, futureKey := ca.pair(time.Date(2900, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2901, 1, 1, 0, 0, 0, 0, time.UTC))
	crl := ca.crl(far)
	der, _ := pem.Decode(crl)
	for name, data := range map[string][]byte{
		"cert.pem": cert, "key.pem": key, "cert-ecdsa.pem": cert2, "key-ecdsa.pem": key2,
		"both.pem":    append(bytes.Clone(cert), key...),
		"expired.pem": expired, "expired-key.pem": expiredKey, "future.pem": future, "future-key.pem": futureKey,
		"devices-ca.pem": ca.pem(), "old-ca.pem": old.pem(), "emqx-ca.pem": ca.pem(), "providers-ca.pem": ca.pem(),
		"devices-crl.pem": crl, "devices-crl.der": der.Bytes, "old-crl.pem": ca.crl(year2020.AddDate(0, 1, 0)),
		"stranger-crl.pem": stranger.crl(far),
		"garbage.pem":      []byte("not PEM at all\n"),
		"broken.pem":       encodePEM("CERTIFICATE", []byte("nothing")),
		"broken-crl.pem":   encodePEM("X509 CRL", []byte("nothing")),
		"broken-key.pem":   encodePEM("PRIVATE KEY", []byte("nothing")),
		"encrypted.pem":    encodePEM("ENCRYPTED PRIVATE KEY", []byte("nothing")),
		"empty":            nil,
		"admin-token":      []byte("secret\n"),
		"short-secret":     []byte(secretLine(32) + "\n" + secretLine(16)),
		"five-secrets":     bytes.Repeat([]byte(secretLine(32)), 5),
		"binary":           {0xff, 0xfe},
	} {
		write(t, filepath.Join(dir, "certs", name), data)
	}
	write(t, filepath.Join(dir, "gossip.keys"), []byte(secretLine(32)))
	write(t, filepath.Join(dir, "short.keys"), []byte(secretLine(32)+secretLine(31)))
}

// secretLine is a line of a file of secrets for session tickets.
func secretLine(size int) string { return base64.StdEncoding.EncodeToString(make([]byte, size)) + "\n" }

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func write(t testing.TB, file string, data []byte) {
	must(t, os.MkdirAll(filepath.Dir(file), 0o755))
	must(t, os.WriteFile(file, data, 0o600))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// parseText parses a file that stands in dir.
func parseText(dir, text string) (*Config, Problems) {
	return Parse(filepath.Join(dir, "mqedge.yaml"), []byte(text))
}

// minimal is the least a file can say, before and after what a test is about.
const minimal = `
upstreams: {emqx: {endpoints: [{address: "10.0.0.1:1883"}]}}
listeners: {mqtt: {bind: "0.0.0.0:1883", upstream: emqx}}
`
