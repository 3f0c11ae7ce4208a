package relay

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"testing"
	"time"
)

func rsaCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// shake makes a handshake and returns how often full was called.
func shake(t *testing.T, r *Relay, server, client *tls.Config, answer error) (calls int, resumed bool, err error) {
	t.Helper()
	outer, inner := tcpPair(t)
	defer outer.Close()
	defer inner.Close()
	outer.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := NewConn(inner, nil)
	must(t, err)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	ended := make(chan error, 1)
	go func() {
		tc := tls.Client(outer, client)
		_, err := tc.Read(make([]byte, 1)) // also takes the tickets of TLS 1.3
		ended <- err
	}()
	secure, state, err := r.Handshake(c, server, func() error { calls++; return answer })
	if err == nil {
		if _, err := secure.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	return calls, state.DidResume, err
}

func TestFullIsCalledOnceByHandshakesThatResumeNothing(t *testing.T) {
	ecdsa, withRSA := testCertificate(t), rsaCertificate(t)
	for _, c := range []struct {
		name    string
		cert    tls.Certificate
		version uint16
		suites  []uint16
	}{
		{"TLS 1.3", ecdsa, tls.VersionTLS13, nil},
		{"TLS 1.3, RSA", withRSA, tls.VersionTLS13, nil},
		{"TLS 1.2", ecdsa, tls.VersionTLS12, nil},
		{"TLS 1.2, RSA", withRSA, tls.VersionTLS12, nil},
		{"TLS 1.2, RSA decrypts", withRSA, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
	} {
		for _, loops := range []int{0, 1} {
			for _, where := range []string{"Certificates", "GetCertificate", "GetConfigForClient"} {
				r := newRelay(t, loops)
				server := &tls.Config{MaxVersion: c.version, CipherSuites: c.suites}
				var oldKeys, newKeys [32]byte
				newKeys[0] = 1
				server.SetSessionTicketKeys([][32]byte{oldKeys})
				get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.cert, nil }
				switch where {
				case "Certificates":
					server.Certificates = []tls.Certificate{c.cert}
				case "GetCertificate":
					server.GetCertificate = get
				case "GetConfigForClient":
					inner := server
					inner.GetCertificate = get
					server = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return inner, nil }}
					defer func() { inner.GetCertificate = nil }()
				}
				client := &tls.Config{InsecureSkipVerify: true, ServerName: "edge.example", MinVersion: tls.VersionTLS12, CipherSuites: c.suites, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				expect := func(what string, wantCalls int, wantResumed bool) {
					t.Helper()
					calls, resumed, err := shake(t, r, server, client, nil)
					if calls != wantCalls || resumed != wantResumed || err != nil {
						t.Errorf("%s, %d loops, %s, %s: full was called %d times, resumed %v, %v", c.name, loops, where, what, calls, resumed, err)
					}
				}
				expect("the first", 1, false)
				expect("with a ticket", 0, true)
				if where == "GetConfigForClient" {
					continue // the keys are in its inner configuration
				}
				server.SetSessionTicketKeys([][32]byte{newKeys})
				expect("with a ticket that nobody knows", 1, false)
			}
		}
	}
}

func TestAnErrorOfFullEndsTheHandshake(t *testing.T) {
	refused := errors.New("refused")
	cert := testCertificate(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, loops := range []int{0, 1} {
			for _, stale := range []bool{false, true} {
				r := newRelay(t, loops)
				server := &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version}
				server.SetSessionTicketKeys([][32]byte{{1}})
				client := &tls.Config{InsecureSkipVerify: true, ServerName: "edge.example", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
				if stale {
					if _, _, err := shake(t, r, server, client, nil); err != nil {
						t.Fatal(err)
					}
					server.SetSessionTicketKeys([][32]byte{{2}})
				}
				if calls, _, err := shake(t, r, server, client, refused); calls != 1 || err == nil {
					t.Errorf("version %#x, %d loops, stale ticket %v: %d calls, %v", version, loops, stale, calls, err)
				}
			}
		}
	}
}

func TestOnlyAClientThatMayResumeIsLeftUntilTheKeyIsUsed(t *testing.T) {
	both, old := []uint16{tls.VersionTLS13, tls.VersionTLS12}, []uint16{tls.VersionTLS12}
	for _, c := range []struct {
		name       string
		versions   []uint16
		extensions []uint16
		max        uint16 // of the server
		may        bool
	}{
		{"TLS 1.3 with a key", both, []uint16{43, 41}, 0, true},
		{"TLS 1.3 without", both, []uint16{43}, 0, false},
		{"TLS 1.3 with an extension of TLS 1.2", both, []uint16{35, 43}, 0, false},
		{"the same to a server of TLS 1.2", both, []uint16{35, 43}, tls.VersionTLS12, true},
		{"TLS 1.2 with a ticket, maybe", old, []uint16{35}, 0, true},
		{"TLS 1.2 without", old, []uint16{10}, 0, false},
	} {
		hello := &tls.ClientHelloInfo{SupportedVersions: c.versions, Extensions: c.extensions}
		if got := mayResume(hello, &tls.Config{MaxVersion: c.max}); got != c.may {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
