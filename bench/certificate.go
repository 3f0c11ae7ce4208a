//go:build linux

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const serverName = "bench.test"

// keyType is what the proxies sign handshakes with.
type keyType string

const (
	noKey    keyType = "" // plain TCP
	ecdsaKey keyType = "ecdsa"
	rsaKey   keyType = "rsa"
)

func (k keyType) generate() (crypto.Signer, error) {
	if k == rsaKey {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// certificate is one that all proxies serve, its own authority.
type certificate struct {
	certFile string // with the key as well, as HAProxy wants it
	keyFile  string
	pem      []byte // without the key
}

// newCertificates makes one of each kind.
func newCertificates(dir string) (map[keyType]*certificate, error) {
	all := make(map[keyType]*certificate)
	for _, kind := range []keyType{ecdsaKey, rsaKey} {
		key, err := kind.generate()
		if err != nil {
			return nil, err
		}
		if all[kind], err = newCertificate(filepath.Join(dir, string(kind)), key); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func newCertificate(base string, key crypto.Signer) (*certificate, error) {
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: serverName},
		DNSNames:     []string{serverName},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(7 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &certificate{
		certFile: base + "-cert.pem",
		keyFile:  base + "-key.pem",
		pem:      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	if err := os.WriteFile(c.keyFile, secret, 0o600); err != nil {
		return nil, err
	}
	return c, os.WriteFile(c.certFile, append(append([]byte{}, c.pem...), secret...), 0o600)
}
