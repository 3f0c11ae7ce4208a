// Package ca is a certificate authority in memory, for the demo and for tests. It writes nothing to disk, and no
// certificate of it should be trusted by anything that outlives the process.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

const (
	leafLife = 24 * time.Hour
	caLife   = 365 * 24 * time.Hour
	crlLife  = 24 * time.Hour
	backdate = time.Hour // for clocks that are behind
)

// CA is a root. Cert and Key are for whoever needs a kind of certificate that Issue does not make.
type CA struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// Leaf is what a certificate is to say.
type Leaf struct {
	CommonName string
	DNSNames   []string
	IPs        []net.IP
	RSA        bool      // RSA 2048 instead of ECDSA P-256
	Client     bool      // for clients instead of servers
	NotAfter   time.Time // zero: in 24 hours
}

// New makes a CA whose name no other has.
func New() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial := newSerial()
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "mqedge in-memory CA " + hex.EncodeToString(serial.Bytes()[:4])},
		NotBefore:             time.Now().Add(-backdate),
		NotAfter:              time.Now().Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &CA{cert, key}, nil
}

// PEM is the CA's own certificate.
func (ca *CA) PEM() []byte { return encode("CERTIFICATE", ca.Cert.Raw) }

// Issue makes a key and a certificate for it.
func (ca *CA) Issue(leaf Leaf) (certPEM, keyPEM []byte, err error) {
	key, err := newKey(leaf.RSA)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: leaf.CommonName},
		DNSNames:     leaf.DNSNames,
		IPAddresses:  leaf.IPs,
		NotBefore:    time.Now().Add(-backdate),
		NotAfter:     leaf.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if leaf.Client {
		template.ExtKeyUsage[0] = x509.ExtKeyUsageClientAuth
	}
	if leaf.RSA {
		template.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	if leaf.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(leafLife)
	}
	if template.NotAfter.Before(template.NotBefore) {
		template.NotBefore = template.NotAfter.Add(-backdate)
	}
	certDER, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, key.Public(), ca.Key)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the key: %w", err)
	}
	return encode("CERTIFICATE", certDER), encode("PRIVATE KEY", keyDER), nil
}

// CRL is the list of these serial numbers in PEM, good for 24 hours.
func (ca *CA) CRL(serials ...*big.Int) ([]byte, error) {
	now := time.Now()
	template := &x509.RevocationList{
		Number:     big.NewInt(now.UnixNano()),
		ThisUpdate: now.Add(-backdate),
		NextUpdate: now.Add(crlLife),
	}
	for _, serial := range serials {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial, RevocationTime: now})
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, ca.Cert, ca.Key)
	if err != nil {
		return nil, err
	}
	return encode("X509 CRL", der), nil
}

func newKey(asRSA bool) (crypto.Signer, error) {
	if asRSA {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// newSerial is positive and 16 bytes long.
func newSerial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails: see crypto/rand
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
