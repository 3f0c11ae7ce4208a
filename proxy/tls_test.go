package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
)

var authority = sync.OnceValues(ca.New)

func certificate(t testing.TB, leaf ca.Leaf) tls.Certificate {
	t.Helper()
	a, err := authority()
	must(t, err)
	certPEM, keyPEM, err := a.Issue(leaf)
	must(t, err)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	must(t, err)
	return pair
}

func roots(t testing.TB) *x509.CertPool {
	t.Helper()
	a, err := authority()
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	return &tls.Config{Certificates: []tls.Certificate{certificate(t, ca.Leaf{CommonName: "edge", DNSNames: []string{"edge.test"}})}}
}

func clientTLS(t testing.TB) *tls.Config {
	t.Helper()
	return &tls.Config{RootCAs: roots(t), ServerName: "edge.test"}
}

// stream is what a client has of a connection, with TLS or without.
type stream interface {
	net.Conn
	CloseWrite() error
}

// transports are the ways in which a client may come.
var transports = []struct {
	name    string
	version uint16 // 0 = plain TCP
}{{"plain", 0}, {"TLS 1.2", tls.VersionTLS12}, {"TLS 1.3", tls.VersionTLS13}}

// eachTransport runs a test for each of them. Its settings lack TLS until enter is called.
func eachTransport(t *testing.T, test func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream)) {
	for _, tr := range transports {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			secure := func(s *Settings) {
				if tr.version != 0 {
					s.TLS = serverTLS(t)
				}
			}
			enter := func(c *net.TCPConn) stream {
				if tr.version == 0 {
					return c
				}
				config := clientTLS(t)
				config.MaxVersion = tr.version
				return tlsClient(t, c, config)
			}
			test(t, secure, enter)
		})
	}
}

func tlsClient(t testing.TB, c net.Conn, config *tls.Config) *tls.Conn {
	t.Helper()
	client := tls.Client(c, config)
	must(t, client.Handshake())
	return client
}
