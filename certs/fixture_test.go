package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mqedge/mqedge/certs/ca"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// eachVersion runs a test for TLS 1.2 and for TLS 1.3.
func eachVersion(t *testing.T, test func(t *testing.T, version uint16)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) { test(t, version) })
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newCA(t testing.TB) *ca.CA {
	t.Helper()
	return must[*ca.CA](t)(ca.New())
}

func issue(t testing.TB, from *ca.CA, leaf ca.Leaf) KeyPair {
	t.Helper()
	cert, key, err := from.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return KeyPair{CertPEM: cert, KeyPEM: key}
}

func crlOf(t testing.TB, from *ca.CA, revoked ...KeyPair) []byte {
	t.Helper()
	var serials []*big.Int
	for _, pair := range revoked {
		serials = append(serials, pairOf(t, pair).Leaf.SerialNumber)
	}
	return must[[]byte](t)(from.CRL(serials...))
}

func pairOf(t testing.TB, pair KeyPair) tls.Certificate {
	t.Helper()
	return must[tls.Certificate](t)(tls.X509KeyPair(pair.CertPEM, pair.KeyPEM))
}

func open(t testing.TB, o Options, tickets *Tickets) *Store {
	t.Helper()
	return must[*Store](t)(Open("mqtts", o, tickets, quiet))
}

// folder writes files in place, each time with another time of modification: two writes in a test may be closer than
// the file system's clock can tell.
type folder struct {
	t    testing.TB
	path string
	next time.Time
}

func newFolder(t testing.TB) *folder { return &folder{t, t.TempDir(), time.Now().Add(-time.Hour)} }

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

func (f *folder) put(name string, data []byte) string {
	f.t.Helper()
	file := f.file(name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.next = f.next.Add(time.Second)
	if err := os.Chtimes(file, f.next, f.next); err != nil {
		f.t.Fatal(err)
	}
	return file
}

func (f *folder) putPair(name string, pair KeyPair) KeyPair {
	f.t.Helper()
	return KeyPair{CertFile: f.put(name+".pem", pair.CertPEM), KeyFile: f.put(name+".key", pair.KeyPEM)}
}

// client is the configuration of a client that trusts the CA and shows the pair, if it has a certificate.
func client(t testing.TB, trusted *ca.CA, pair KeyPair) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "edge.example"}
	config.RootCAs.AddCert(trusted.Cert)
	if len(pair.CertPEM) > 0 {
		config.Certificates = []tls.Certificate{pairOf(t, pair)}
	}
	return config
}

// resuming is client with a memory for tickets.
func resuming(t testing.TB, trusted *ca.CA, pair KeyPair, version uint16) *tls.Config {
	t.Helper()
	config := client(t, trusted, pair)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	config.MinVersion, config.MaxVersion = version, version
	return config
}

// connection is both ends of a TLS connection over loopback. Each side's error is that of its handshake or, because in
// TLS 1.3 the client is done before the server, of one byte sent from the server to the client.
type connection struct {
	server, client       *tls.Conn
	serverErr, clientErr error
}

func (c *connection) resumed() bool {
	return c.server.ConnectionState().DidResume && c.client.ConnectionState().DidResume
}

func (c *connection) ok(t testing.TB) *connection {
	t.Helper()
	if c.serverErr != nil || c.clientErr != nil {
		t.Fatalf("server: %v, client: %v", c.serverErr, c.clientErr)
	}
	return c
}

// shown is the serial number of the server's certificate.
func (c *connection) shown() string {
	return c.client.ConnectionState().PeerCertificates[0].SerialNumber.Text(16)
}

func connect(t testing.TB, server, client *tls.Config) *connection {
	t.Helper()
	listener := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer listener.Close()
	deadline := time.Now().Add(20 * time.Second)

	c := &connection{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := listener.Accept()
		if err != nil {
			c.serverErr = err
			return
		}
		c.server = tls.Server(raw, server)
		c.server.SetDeadline(deadline)
		if c.serverErr = c.server.Handshake(); c.serverErr == nil {
			_, c.serverErr = c.server.Write([]byte{1})
		} else {
			raw.(*net.TCPConn).CloseWrite() // not Close: unread bytes would reset the connection before the alert
		}
	}()
	raw := must[net.Conn](t)(net.Dial("tcp", listener.Addr().String()))
	t.Cleanup(func() { raw.Close() })
	c.client = tls.Client(raw, client)
	c.client.SetDeadline(deadline)
	if c.clientErr = c.client.Handshake(); c.clientErr == nil {
		_, c.clientErr = io.ReadFull(c.client, make([]byte, 1))
	} else {
		raw.(*net.TCPConn).CloseWrite()
	}
	<-done
	t.Cleanup(func() { c.server.NetConn().Close() })
	return c
}

// eventually polls.
func eventually(t testing.TB, what string, true func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

func count(log *bytes.Buffer, level string) int {
	return bytes.Count(log.Bytes(), []byte("level="+level))
}

func textLog(to io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }
