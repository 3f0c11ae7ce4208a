package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// Status is what a store uses and whether its files are still good.
type Status struct {
	Name         string              `json:"name"`
	Certificates []CertificateStatus `json:"certificates"`
	CAs          int                 `json:"cas"` // those that the peer's certificate may come from; 0: none, or the system's
	CRLs         []CRLStatus         `json:"crls"`
	LoadedAt     time.Time           `json:"loaded_at"` // when what is in use was loaded

	// Error says why the files as they are now cannot be used; what was loaded before them is in use. Empty: all is good.
	Error      string    `json:"error"`
	ErrorSince time.Time `json:"error_since,omitzero"`
}

// CertificateStatus describes the leaf of one certificate chain.
type CertificateStatus struct {
	CertFile  string    `json:"cert_file"` // empty for one in memory
	KeyFile   string    `json:"key_file"`
	Subject   string    `json:"subject"`
	DNSNames  []string  `json:"dns_names"` // the names it is chosen by
	Addresses []string  `json:"addresses"` // the IP addresses it is good for
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"` // hexadecimal
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	KeyType   string    `json:"key_type"`
}

// CRLStatus describes one list of the CRL file.
type CRLStatus struct {
	Issuer     string    `json:"issuer"`
	Entries    int       `json:"entries"`
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update,omitzero"` // zero: the list does not say
	Expired    bool      `json:"expired"`              // NextUpdate has passed; the list stays in use all the same
}

func (c CRLStatus) expired(now time.Time) bool {
	return !c.NextUpdate.IsZero() && now.After(c.NextUpdate)
}

func describe(pair KeyPair, cert *tls.Certificate) CertificateStatus {
	return CertificateStatus{
		CertFile:  pair.CertFile,
		KeyFile:   pair.KeyFile,
		Subject:   cert.Leaf.Subject.String(),
		DNSNames:  names(cert.Leaf),
		Addresses: addresses(cert.Leaf),
		Issuer:    cert.Leaf.Issuer.String(),
		Serial:    fmt.Sprintf("%x", cert.Leaf.SerialNumber),
		NotBefore: cert.Leaf.NotBefore,
		NotAfter:  cert.Leaf.NotAfter,
		KeyType:   keyType(cert.Leaf.PublicKey),
	}
}

func addresses(leaf *x509.Certificate) []string {
	all := []string{} // [] rather than null in JSON
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return all
}

func keyType(public any) string {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return fmt.Sprintf("%T", public)
	}
}
