package certs

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"
)

// clientSessions bounds the sessions a ClientStore remembers; there is one for each server name.
const clientSessions = 256

// ClientOptions say what an upstream is asked for and shown. The zero value is TLS with the system's CAs and no
// certificate.
type ClientOptions struct {
	CAFile            string // PEM; empty: the system's CAs
	CertFile, KeyFile string // PEM; the client certificate, if any
	ServerName        string // asked for and verified instead of the name given to ClientConfig
}

// ClientStore is the TLS side of dialling one upstream. Its methods may be called concurrently.
type ClientStore struct {
	options ClientOptions
	*reloader[clientMaterial]
}

type clientMaterial struct {
	cas      *authorities     // nil: the system's
	cert     *tls.Certificate // nil: none
	sessions tls.ClientSessionCache
	expired  bool // the certificate, and it was said
}

// OpenClient loads everything; an error names the file and what to do about it. The name is for logs and Status.
func OpenClient(name string, o ClientOptions, log *slog.Logger) (*ClientStore, error) {
	s := &ClientStore{options: o}
	var err error
	if s.reloader, err = newReloader(name, log, []string{o.CAFile, o.CertFile, o.KeyFile}, s.load); err != nil {
		return nil, fmt.Errorf("TLS to %s: %w", name, err)
	}
	s.tend(time.Now())
	return s, nil
}

// ClientConfig returns a new configuration for tls.Client, which belongs to the caller: take one for each connection, so
// that new CAs apply. The server name is a host without its port; ClientOptions.ServerName goes before it. Sessions are
// resumed with any configuration of the store that has the same server name, until the files change.
func (s *ClientStore) ClientConfig(serverName string) *tls.Config {
	m := s.current.Load()
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         cmp.Or(s.options.ServerName, serverName),
		ClientSessionCache: m.sessions,
	}
	if m.cas != nil {
		config.RootCAs = m.cas.pool
	}
	if m.cert != nil {
		config.GetClientCertificate = s.clientCertificate
	}
	return config
}

// clientCertificate shows the certificate even to a server that names other CAs: the server's refusal says more than
// that of a server that was shown none.
func (s *ClientStore) clientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return s.current.Load().cert, nil
}

// Run reloads changed files and warns of an expired certificate until ctx ends; then it returns nil. It may be called
// once. A store that does not run keeps what it has.
func (s *ClientStore) Run(ctx context.Context) error {
	s.run(ctx, s.tend)
	return nil
}

// Status describes what new connections use.
func (s *ClientStore) Status() Status {
	m := s.current.Load()
	status := Status{Certificates: []CertificateStatus{}, CRLs: []CRLStatus{}}
	if m.cert != nil {
		status.Certificates = []CertificateStatus{describe(s.pair(), m.cert)}
	}
	if m.cas != nil {
		status.CAs = len(m.cas.certs)
	}
	s.complete(&status)
	return status
}

func (s *ClientStore) pair() KeyPair {
	return KeyPair{CertFile: s.options.CertFile, KeyFile: s.options.KeyFile}
}

// load makes a new session cache too: a resumed session would go on under the old certificate.
func (s *ClientStore) load() (*clientMaterial, error) {
	m := &clientMaterial{sessions: tls.NewLRUClientSessionCache(clientSessions)}
	var err error
	if s.options.CAFile != "" {
		if m.cas, err = loadAuthorities(s.options.CAFile); err != nil {
			return nil, err
		}
	}
	if s.options.CertFile != "" || s.options.KeyFile != "" {
		if m.cert, err = s.pair().certificate(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (s *ClientStore) tend(now time.Time) {
	m := s.current.Load()
	if m.cert != nil && !m.expired && now.After(m.cert.Leaf.NotAfter) {
		m.expired = true
		s.log.Warn(fmt.Sprintf("the client certificate of %s expired and stays in use until its file is renewed", m.cert.Leaf.Subject),
			"name", s.name, "expired", m.cert.Leaf.NotAfter)
	}
}
