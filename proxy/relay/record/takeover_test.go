package record

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// keyLog keeps what crypto/tls writes to a KeyLogWriter.
type keyLog struct{ writes []string }

func (l *keyLog) Write(p []byte) (int, error) {
	l.writes = append(l.writes, string(p))
	return len(p), nil
}

// secret returns the one secret with that label.
func (l *keyLog) secret(t testing.TB, label string) []byte {
	t.Helper()
	var secret []byte
	for _, line := range l.writes {
		if fields := strings.Fields(line); fields[0] == label {
			if secret != nil {
				t.Fatalf("two secrets %s in %q", label, l.writes)
			}
			secret = unhex(t, fields[2])
		}
	}
	if secret == nil {
		t.Fatalf("no secret %s in %q", label, l.writes)
	}
	return secret
}

// recordConn hands out bytes only up to the end of the current record, so that
// crypto/tls never takes what comes after the handshake, and keeps the last
// write.
type recordConn struct {
	net.Conn
	header []byte // read, not handed out
	body   int    // bytes that follow of the record
	last   []byte
}

func (c *recordConn) Read(p []byte) (int, error) {
	if len(c.header) == 0 && c.body == 0 {
		header := make([]byte, headerLen)
		if _, err := io.ReadFull(c.Conn, header); err != nil {
			return 0, err
		}
		c.header, c.body = header, bodyLen(header)
	}
	if len(c.header) > 0 {
		n := copy(p, c.header)
		c.header = c.header[n:]
		return n, nil
	}
	n, err := c.Conn.Read(p[:min(len(p), c.body)])
	c.body -= n
	return n, err
}

func (c *recordConn) Write(p []byte) (int, error) {
	c.last = bytes.Clone(p)
	return c.Conn.Write(p)
}

// taken is a connection of which a State has taken over the server's end.
type taken struct {
	*State
	t      testing.TB
	conn   net.Conn
	log    *keyLog
	work   Work
	buffer []byte
	client *tls.Conn
}

// takeOver has crypto/tls do the handshake on both ends, and takes over from
// the server, which must have written that many records.
func takeOver(t testing.TB, serverConfig, clientConfig *tls.Config, written int) *taken {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	for _, c := range []net.Conn{near, far} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}

	log := new(keyLog)
	serverConfig = serverConfig.Clone()
	serverConfig.KeyLogWriter = log
	conn := &recordConn{Conn: far}
	server, client := tls.Server(conn, serverConfig), tls.Client(near, clientConfig)
	done := make(chan error, 1)
	go func() { done <- client.Handshake() }()
	if err := errors.Join(server.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
	state, err := New(Secrets{
		Suite: server.ConnectionState().CipherSuite,
		Read:  log.secret(t, "CLIENT_TRAFFIC_SECRET_0"),
		Write: log.secret(t, "SERVER_TRAFFIC_SECRET_0"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := state.SkipWritten(conn.last); n != written {
		t.Fatalf("%d records written, want %d", n, written)
	}
	return &taken{State: state, t: t, conn: far, log: log, buffer: make([]byte, 64<<10), client: client}
}

// receive returns the next n bytes of payload, and replies on the way.
func (c *taken) receive(n int) (text []byte) {
	c.t.Helper()
	for len(text) < n {
		got, err := c.conn.Read(c.buffer)
		if err != nil {
			c.t.Fatal(err)
		}
		if text, err = c.Open(text, c.buffer[:got], &c.work); err != nil {
			c.t.Fatal(err)
		}
		c.write(c.work.Reply)
		c.work.Reply = c.work.Reply[:0]
	}
	return text
}

// end reads until Open returns an error.
func (c *taken) end() error {
	for {
		n, err := c.conn.Read(c.buffer)
		if err != nil {
			c.t.Fatal(err)
		}
		if _, err := c.Open(nil, c.buffer[:n], &c.work); err != nil {
			return err
		}
	}
}

func (c *taken) write(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// exchange has the client send text, and the State send it back.
func (c *taken) exchange(text []byte) {
	c.t.Helper()
	sent := make(chan error, 1)
	go func() { _, err := c.client.Write(text); sent <- err }()
	received := c.receive(len(text))
	if err := <-sent; err != nil || !bytes.Equal(received, text) {
		c.t.Fatalf("%d bytes arrived of %d, %v", len(received), len(text), err)
	}
	go func() { _, err := c.conn.Write(c.Seal(nil, received)); sent <- err }()
	back := make([]byte, len(text))
	if _, err := io.ReadFull(c.client, back); err != nil {
		c.t.Fatal(err)
	}
	if err := <-sent; err != nil || !bytes.Equal(back, text) {
		c.t.Fatalf("%d bytes came back differently, %v", len(back), err)
	}
}

func newConfigs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"edge"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	certificates := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: certificates, ClientCAs: roots, SessionTicketsDisabled: true,
	}
	server.SetSessionTicketKeys([][32]byte{{1}}) // so that a clone takes another's tickets
	client = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: certificates, RootCAs: roots, ServerName: "edge"}
	return server, client
}

func TestAStateTakesOverFromCryptoTLS(t *testing.T) {
	plain, client := newConfigs(t)
	tickets := plain.Clone()
	tickets.SessionTicketsDisabled = false
	mutual := tickets.Clone()
	mutual.ClientAuth = tls.RequireAndVerifyClientCert
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, test := range []struct {
		name    string
		server  *tls.Config
		written int
		resumed bool
	}{
		{"without tickets", plain, 0, false},
		{"with a ticket", tickets, 1, false},
		{"resumed", tickets, 1, true},
		{"with a client certificate", mutual, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !test.resumed {
				client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			c := takeOver(t, test.server, client, test.written)
			if resumed := c.client.ConnectionState().DidResume; resumed != test.resumed {
				t.Fatalf("resumed: %t", resumed)
			}
			for _, n := range []int{1, 200, MaxPayload, 300_000} {
				c.exchange(payload(n))
				c.Sleep()
			}
			for _, request := range []bool{true, false, true} {
				c.write(c.KeyUpdate(nil, request))
				c.exchange(payload(1000))
			}
			if err := c.client.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if err := c.end(); err != io.EOF {
				t.Fatalf("error %v, want EOF", err)
			}
			c.write(c.CloseNotify(c.Seal(nil, []byte("bye"))))
			if rest, err := io.ReadAll(c.client); err != nil || string(rest) != "bye" {
				t.Fatalf("%q and %v", rest, err)
			}
		})
	}
}

func TestCryptoTLSUnderstandsOurAlert(t *testing.T) {
	server, client := newConfigs(t)
	c := takeOver(t, server, client, 0)
	forged := append([]byte{typeApplicationData, 3, 3, 0, 40}, make([]byte, 40)...)
	if _, err := c.client.NetConn().Write(forged); err != nil {
		t.Fatal(err)
	}
	if alert := alertOf(t, c.end()); alert.Code != alertBadRecordMAC {
		t.Fatalf("error %v", alert)
	}
	c.write(c.work.Reply)
	_, err := c.client.Read(make([]byte, 1))
	if err == nil || !strings.Contains(err.Error(), "remote error: tls: bad record MAC") {
		t.Errorf("the client is told %v", err)
	}
}

func TestAnAlertOfCryptoTLSIsUnderstood(t *testing.T) {
	server, client := newConfigs(t)
	c := takeOver(t, server, client, 0)
	c.write(forge(c.State, 'x', 99))
	if _, err := c.client.Read(make([]byte, 1)); err == nil {
		t.Fatal("the client accepts an unknown content type")
	}
	if alert := alertOf(t, c.end()); alert.Code != alertUnexpectedMessage || alert.Sent {
		t.Errorf("error %v", alert)
	}
}

// What a server relies on who takes the secrets from a KeyLogWriter. When a Go
// release changes it, this fails, and the takeover needs another look.
func TestKeyLogWriterGetsTheSecretsAsExpected(t *testing.T) {
	server, client := newConfigs(t)
	server.SessionTicketsDisabled = false
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		c := takeOver(t, server, client, 1)
		if c.client.ConnectionState().DidResume != resumed {
			t.Fatalf("resumed: %t", !resumed)
		}
		c.write(c.KeyUpdate(nil, true))
		c.exchange([]byte("x"))
		labels := []string{
			"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
			"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0",
		}
		if len(c.log.writes) != len(labels) {
			t.Fatalf("%d writes, want %d: %q", len(c.log.writes), len(labels), c.log.writes)
		}
		var random string
		for i, line := range c.log.writes {
			label, rest, _ := strings.Cut(line, " ")
			clientRandom, secret, _ := strings.Cut(rest, " ")
			if i == 0 {
				random = clientRandom
			}
			secret, ended := strings.CutSuffix(secret, "\n")
			bin, err := hex.DecodeString(secret)
			if label != labels[i] || clientRandom != random || len(random) != 64 || !ended ||
				err != nil || len(bin) != c.suite.secretLen() {
				t.Errorf("write %d is %q, want %s, the client random and the secret in hex", i, line, labels[i])
			}
		}
	}
}
