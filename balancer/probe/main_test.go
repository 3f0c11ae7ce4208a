package probe_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ = []balancer.Prober{probe.TCP{}, probe.MQTT{}, probe.HTTP{}, &probe.EMQX{}}

const patience = 10 * time.Second

// listen serves every connection with talk and closes it when that returns.
func listen(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				talk(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// readPacket reads an MQTT packet of less than 128 bytes, whole; nil at the end of the stream.
func readPacket(r io.Reader) []byte {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(r, body); err != nil {
		return nil
	}
	return append(head, body...)
}

// silent takes all and answers nothing.
func silent(c net.Conn) { io.Copy(io.Discard, c) }

// reset closes so that the peer sees a reset.
func reset(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }

// answer is a broker that answers CONNECT with these bytes and whatever follows with PINGRESP.
func answer(connack ...byte) func(net.Conn) {
	return func(c net.Conn) {
		if readPacket(c) == nil {
			return
		}
		c.Write(connack)
		for p := readPacket(c); p != nil; p = readPacket(c) {
			if p[0] == 0xc0 {
				c.Write([]byte{0xd0, 0})
			}
		}
	}
}

// withoutProxy is EMQX's plain listener: version 2 of a header is no MQTT at
// all and version 1 the beginning of a long packet.
func withoutProxy(talk func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(c, first); err != nil {
			return
		}
		switch first[0] {
		case '\r':
			return
		case 'P':
			silent(c)
			return
		}
		talk(&begun{Conn: c, r: io.MultiReader(bytes.NewReader(first), c)})
	}
}

// withProxy is EMQX's listener with proxy_protocol: without a header it waits
// and, long after a probe, closes.
func withProxy(talk func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		if first, err := r.Peek(1); err != nil || first[0] != 'P' && first[0] != '\r' {
			silent(c)
			return
		}
		if _, err := proxyproto.Read(r); err == nil {
			talk(&begun{Conn: c, r: r})
		}
	}
}

type begun struct {
	net.Conn
	r io.Reader
}

func (b *begun) Read(p []byte) (int, error) { return b.r.Read(p) }

func mustFail(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("alive, want a failure")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	var inOperation *net.OpError
	if errors.As(err, &inOperation) && inOperation.Op != "dial" {
		t.Errorf("%q names the addresses of a connection that is gone", err)
	}
}

func isDraining(err error) bool {
	var draining balancer.Draining
	return errors.As(err, &draining)
}

func mustBeAlive(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v, want alive", err)
	}
}

// certificate returns configs of a server and of a client that trusts it under the name 127.0.0.1.
func certificate(t testing.TB) (*tls.Config, func(string) *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, func(name string) *tls.Config { return &tls.Config{RootCAs: roots, ServerName: name} }
}
