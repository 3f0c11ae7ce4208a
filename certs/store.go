package certs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Store is the TLS side of one listener. Its methods may be called concurrently.
type Store struct {
	options Options
	tickets *Tickets
	server  *tls.Config
	*reloader[material]
}

// Open loads everything; an error names the file and what to do about it. The name is for logs and Status. Without
// tickets (nil) and TicketKeysFile the store makes its own keys, and sessions do not resume with another store.
func Open(name string, o Options, tickets *Tickets, log *slog.Logger) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("TLS of %s: %w", name, err)
	}
	s := &Store{options: o, tickets: tickets}
	if tickets == nil {
		s.tickets = NewTickets(0)
	}
	if o.TicketKeysFile != "" {
		if err := createSecrets(o.TicketKeysFile); err != nil {
			return nil, fmt.Errorf("TLS of %s: %w", name, err)
		}
	}
	var err error
	if s.reloader, err = newReloader(name, log, o.files(), s.load); err != nil {
		return nil, fmt.Errorf("TLS of %s: %w", name, err)
	}
	s.server = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return s.current.Load().config, nil
	}}
	s.tend(time.Now())
	return s, nil
}

// ServerConfig returns the store's one configuration for tls.Server. Each handshake uses what the store holds when the
// handshake begins. Its other fields are empty: versions, ALPN and so on are decided for each handshake.
func (s *Store) ServerConfig() *tls.Config { return s.server }

// Run reloads changed files, rotates ticket keys and warns of what expires, until ctx ends; then it returns nil. It may
// be called once. A store that does not run keeps what it has.
func (s *Store) Run(ctx context.Context) error {
	s.run(ctx, s.tend)
	return nil
}

// Status describes what new handshakes use.
func (s *Store) Status() Status {
	m := s.current.Load()
	now := time.Now()
	status := Status{
		Certificates: slices.Clone(m.certificates),
		CAs:          m.cas,
		CRLs:         append([]CRLStatus{}, m.crls...), // [] rather than null in JSON
	}
	for i := range status.CRLs {
		status.CRLs[i].Expired = status.CRLs[i].expired(now)
	}
	s.complete(&status)
	return status
}

// Tend takes over ticket keys that have come since Open. It is not for a store that runs, which does so by itself.
func (s *Store) Tend() { s.tend(time.Now()) }

// tend does what time rather than a change of a file calls for.
func (s *Store) tend(now time.Time) {
	m := s.current.Load()
	m.setTicketKeys(m.tickets.at(now))
	for len(m.expiries) > 0 && now.After(m.expiries[0].at) {
		s.log.Warn(m.expiries[0].warning, "name", s.name, "expired", m.expiries[0].at)
		m.expiries = m.expiries[1:]
	}
}

// material is what one load of all files made. Handshakes see only config, which crypto/tls allows to get new ticket
// keys; the rest is for Open and Run.
type material struct {
	config       *tls.Config
	rule         []byte // of client certificates; tickets are bound to it
	tickets      ticketKeys
	generation   uint64 // of the ticket keys in config
	expiries     []expiry
	certificates []CertificateStatus
	cas          int
	crls         []CRLStatus
}

// ticketKeys returns the keys for this time, the one that writes first, and a number that changes with them.
type ticketKeys interface {
	at(now time.Time) ([][32]byte, uint64)
}

// expiry is a warning and when it is due.
type expiry struct {
	at      time.Time
	warning string
}

func (s *Store) load() (*material, error) {
	o := s.options
	m := &material{tickets: s.tickets, config: &tls.Config{
		MinVersion: cmp.Or(o.MinVersion, tls.VersionTLS12),
		MaxVersion: o.MaxVersion,
		NextProtos: o.ALPN,
		ClientAuth: o.ClientAuth.mode(),
	}}
	if len(o.CipherSuites) > 0 { // empty but not nil would mean none
		m.config.CipherSuites = o.CipherSuites
	}
	if err := m.loadCertificates(o.Certificates); err != nil {
		return nil, err
	}
	if err := m.loadClientRule(o); err != nil {
		return nil, err
	}
	if o.TicketKeysFile != "" {
		read, err := loadSecrets(o.TicketKeysFile)
		if err != nil {
			return nil, err
		}
		m.tickets = read
	}
	slices.SortFunc(m.expiries, func(a, b expiry) int { return a.at.Compare(b.at) })
	m.setTicketKeys(m.tickets.at(time.Now()))
	return m, nil
}

func (m *material) loadCertificates(pairs []KeyPair) error {
	all := make([]*tls.Certificate, len(pairs))
	for i, pair := range pairs {
		cert, err := pair.certificate()
		if err != nil {
			return err
		}
		all[i] = cert
		m.certificates = append(m.certificates, describe(pair, cert))
		m.expiries = append(m.expiries, expiry{cert.Leaf.NotAfter,
			fmt.Sprintf("the certificate of %s expired and stays in use until its file is renewed", cert.Leaf.Subject)})
	}
	m.config.GetCertificate = newChooser(all).choose
	return nil
}

func (m *material) loadClientRule(o Options) error {
	m.rule = []byte{byte(o.ClientAuth)}
	if o.ClientCAFile == "" {
		return nil
	}
	cas, err := loadAuthorities(o.ClientCAFile)
	if err != nil {
		return err
	}
	m.cas = len(cas.certs)
	if o.ClientAuth != None {
		m.config.ClientCAs = cas.pool
		m.rule = append(m.rule, cas.digest()...)
	}
	if o.ClientCRLFile == "" {
		return nil
	}
	revoked, err := loadRevocations(o.ClientCRLFile, cas)
	if err != nil {
		return err
	}
	m.config.VerifyConnection = revoked.verify
	m.crls = revoked.lists
	for _, list := range m.crls {
		if !list.NextUpdate.IsZero() {
			m.expiries = append(m.expiries, expiry{list.NextUpdate,
				fmt.Sprintf("the client CRL of %s expired and stays in use until its file is renewed", list.Issuer)})
		}
	}
	return nil
}

func (m *material) setTicketKeys(keys [][32]byte, generation uint64) {
	if m.generation == generation {
		return
	}
	m.generation = generation
	m.config.SetSessionTicketKeys(bindKeys(keys, m.rule))
}

// digest is the same for the same CAs in any order.
func (a *authorities) digest() []byte {
	var sums [][]byte
	for _, cert := range a.certs {
		sum := sha256.Sum256(cert.Raw)
		sums = append(sums, sum[:])
	}
	slices.SortFunc(sums, slices.Compare)
	return slices.Concat(slices.CompactFunc(sums, slices.Equal)...)
}
