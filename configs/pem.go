package configs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	maxCertificateFile = 1 << 20
	maxCAFile          = 16 << 20
	maxCRLFile         = 64 << 20 // 20 bytes and some for each of a million revoked devices
)

// keyPair checks a certificate and its key, which stand under path as cert_file and key_file; "" is not checked.
func (c *checker) keyPair(certFile, keyFile, path string) {
	certPath, keyPath := path+".cert_file", path+".key_file"
	certPEM, chain := c.certificates(certFile, certPath, maxCertificateFile)
	keyPEM := c.privateKey(keyFile, keyPath)
	if chain == nil {
		return
	}
	leaf := chain[0]
	switch {
	case c.now.After(leaf.NotAfter):
		c.warnf(certPath, "%s expired on %s: clients will refuse it, renew it", certFile, date(leaf.NotAfter))
	case c.now.Before(leaf.NotBefore):
		c.warnf(certPath, "%s is not valid before %s: clients will refuse it until then", certFile, date(leaf.NotBefore))
	}
	if keyPEM == nil {
		return
	}
	_, err := tls.X509KeyPair(certPEM, keyPEM)
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "does not match"):
		c.errorf(keyPath, "%s is not the key of %s: name the two files that belong together", keyFile, certFile)
	default:
		c.errorf(keyPath, "%s cannot be used with %s: %s", keyFile, certFile, strings.TrimPrefix(err.Error(), "tls: "))
	}
}

// certificates returns the text and the certificates of a PEM file, or nil after reporting why not.
func (c *checker) certificates(file, path string, limit int64) ([]byte, []*x509.Certificate) {
	if file == "" {
		return nil, nil
	}
	data, err := readRegular(file, limit)
	if err != nil {
		c.errorf(path, "%v", err)
		return nil, nil
	}
	certificates, err := parseCertificates(data)
	if err != nil {
		c.errorf(path, "%s %v", file, err)
		return nil, nil
	}
	return data, certificates
}

func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	other := ""
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "CERTIFICATE" {
			other = block.Type
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a broken certificate: %s", strings.TrimPrefix(err.Error(), "x509: "))
		}
		certificates = append(certificates, certificate)
	}
	switch {
	case certificates != nil:
		return certificates, nil
	case strings.HasSuffix(other, "PRIVATE KEY"):
		return nil, errors.New("holds a private key and no certificate: have the two files been swapped?")
	case other != "":
		return nil, fmt.Errorf("holds no certificate but %s: it needs -----BEGIN CERTIFICATE-----", shown(other))
	}
	return nil, errors.New("is not a PEM file: it needs -----BEGIN CERTIFICATE-----")
}

// privateKey returns the text of a PEM file that holds a key, or nil after reporting why not.
func (c *checker) privateKey(file, path string) []byte {
	if file == "" {
		return nil
	}
	data, err := readRegular(file, maxCertificateFile)
	if err != nil {
		c.errorf(path, "%v", err)
		return nil
	}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			c.errorf(path, "%s holds no private key: it needs -----BEGIN PRIVATE KEY-----", file)
			return nil
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			c.errorf(path, "%s is encrypted, and nobody is there to type its passphrase: decrypt it with openssl pkey", file)
			return nil
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return data
		}
	}
}

// authorities returns the certificates of a file of CAs.
func (c *checker) authorities(file, path string) []*x509.Certificate {
	_, cas := c.certificates(file, path, maxCAFile)
	var last time.Time
	for _, ca := range cas {
		if ca.NotAfter.After(last) {
			last = ca.NotAfter
		}
	}
	if cas != nil && c.now.After(last) {
		c.warnf(path, "every CA in %s has expired, the last on %s: certificates they signed will be refused", file, date(last))
	}
	return cas
}

// revocationList checks a file of CRLs, in PEM or DER. With cas nil, which was reported, signatures are left out.
func (c *checker) revocationList(file, path string, cas []*x509.Certificate) {
	data, err := readRegular(file, maxCRLFile)
	if err != nil {
		c.errorf(path, "%v", err)
		return
	}
	lists, err := parseRevocationLists(data)
	if err != nil {
		c.errorf(path, "%s %v", file, err)
		return
	}
	for _, list := range lists {
		if cas != nil && !signedByAny(list, cas) {
			c.errorf(path, "%s has a list issued by %s that no CA of client_ca_file has signed: add that CA, or name its own list",
				file, shown(list.Issuer.String()))
		}
		if !list.NextUpdate.IsZero() && c.now.After(list.NextUpdate) {
			c.warnf(path, "%s has a list that was due for renewal on %s: fetch a new one", file, date(list.NextUpdate))
		}
	}
}

func parseRevocationLists(data []byte) ([]*x509.RevocationList, error) {
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		list, err := x509.ParseRevocationList(data)
		if err != nil {
			return nil, errors.New("is not a CRL: it needs -----BEGIN X509 CRL-----, or DER")
		}
		return []*x509.RevocationList{list}, nil
	}
	var lists []*x509.RevocationList
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("holds a broken CRL: %s", strings.TrimPrefix(err.Error(), "x509: "))
		}
		lists = append(lists, list)
	}
	if lists == nil {
		return nil, errors.New("holds no CRL: it needs -----BEGIN X509 CRL-----")
	}
	return lists, nil
}

func signedByAny(list *x509.RevocationList, cas []*x509.Certificate) bool {
	for _, ca := range cas {
		if list.CheckSignatureFrom(ca) == nil {
			return true
		}
	}
	return false
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }
