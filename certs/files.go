package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// largestFile is far above a CRL of a million entries (some 40 MiB) and keeps a wrong path from filling the memory.
const largestFile = 256 << 20

func readFile(what, file string) ([]byte, error) {
	info, err := os.Stat(file) // before opening: opening a pipe would wait for its writer
	if err != nil {
		return nil, unreadable(what, file, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fileError(what, file, errors.New("not a regular file"), "give the path of the file itself")
	}
	if info.Size() > largestFile {
		return nil, fileError(what, file, fmt.Errorf("larger than %d MiB", largestFile>>20), "check the path")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(what, file, err)
	}
	return data, nil
}

func unreadable(what, file string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileError(what, file, err, "create it or correct the path")
	case errors.Is(err, fs.ErrPermission):
		return fileError(what, file, err, "let the user this process runs as read it")
	default:
		return fileError(what, file, err, "make it readable")
	}
}

// certificate loads the pair and checks that key and certificate belong together. Leaf is set.
func (p KeyPair) certificate() (*tls.Certificate, error) {
	certFile, keyFile, certPEM, keyPEM := "(in memory)", "(in memory)", p.CertPEM, p.KeyPEM
	if p.CertFile != "" || p.KeyFile != "" {
		if p.CertFile == "" {
			return nil, fmt.Errorf("key %s: no certificate file is given with it: add one", p.KeyFile)
		}
		if p.KeyFile == "" {
			return nil, fmt.Errorf("certificate %s: no key file is given with it: add one", p.CertFile)
		}
		var err error
		certFile, keyFile = p.CertFile, p.KeyFile
		if certPEM, err = readFile("certificate", certFile); err != nil {
			return nil, err
		}
		if keyPEM, err = readFile("key", keyFile); err != nil {
			return nil, err
		}
	}
	if _, err := parseCertificates(certPEM); err != nil {
		return nil, fileError("certificate", certFile, err, "put the chain there in PEM, the server's own certificate first")
	}
	if bytes.Contains(keyPEM, []byte("ENCRYPTED")) {
		return nil, fileError("key", keyFile, errors.New("encrypted with a passphrase"),
			"decrypt it (openssl pkey -in encrypted.pem -out key.pem)")
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fileError("key", keyFile, errors.New(strings.TrimPrefix(err.Error(), "tls: ")),
			"put the PEM private key there that belongs to the first certificate of "+certFile)
	}
	return &pair, nil
}

// authorities are the CAs of one file.
type authorities struct {
	pool  *x509.CertPool
	certs []*x509.Certificate
}

func loadAuthorities(file string) (*authorities, error) {
	data, err := readFile("CA file", file)
	if err != nil {
		return nil, err
	}
	certs, err := parseCertificates(data)
	if err != nil {
		return nil, fileError("CA file", file, err, "put the CA certificates there in PEM")
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return &authorities{pool, certs}, nil
}

// parseCertificates returns the certificates of a PEM file, which are at least one; other blocks are skipped. Unlike
// x509.CertPool.AppendCertsFromPEM it does not pass over a damaged one.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PEM certificate number %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no PEM certificate in it")
	}
	return certs, nil
}
