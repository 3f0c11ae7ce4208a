package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/mqedge/mqedge/certs/ca"
)

func TestAConnectFailureMovesOnToAnotherEndpoint(t *testing.T) {
	e := newEndpoint(t, echo)
	dead := closedPort(t)
	r := newRig(t, settings(MQTT), dead, e.addr)
	const clients = 6
	for range clients {
		client := r.dial(t)
		packet := connect("moves-on", 0)
		send(t, client, packet)
		receiveText(t, client, string(packet))
		client.Close()
	}
	both := 0
	for _, l := range r.lines(t, clients) {
		switch l.UpstreamAddr {
		case dead + ", " + e.addr:
			both++
		case e.addr:
		default:
			t.Errorf("access log: upstream_addr %q", l.UpstreamAddr)
		}
		if l.Status != 200 {
			t.Errorf("access log: %+v", l)
		}
	}
	if both < clients/2-1 {
		t.Errorf("only %d of %d tried the dead endpoint first, in turns", both, clients)
	}
	for _, s := range r.pool.Status().Endpoints {
		if s.Address == dead && s.FailuresTotal != uint64(both) || s.Address == e.addr && s.FailuresTotal != 0 {
			t.Errorf("%s: %d failures", s.Address, s.FailuresTotal)
		}
	}
}

func TestTriesBoundTheEndpointsTried(t *testing.T) {
	dead := []string{closedPort(t), closedPort(t), closedPort(t)}
	for tries, want := range map[int]int{1: 1, 2: 2, 3: 3, 9: 3, 0: 3} {
		t.Run(fmt.Sprint(tries), func(t *testing.T) {
			s := settings(MQTT)
			s.Route.Tries = tries
			r := newRig(t, s, dead...)
			client := r.dial(t)
			send(t, client, connect("nobody-there", 0))
			receiveEnd(t, client)
			r.wantRefused(t, "upstream_failed", 502)
			l := r.lines(t, 1)[0]
			tried := make(map[string]bool)
			for addr := range strings.SplitSeq(l.UpstreamAddr, ", ") {
				tried[addr] = true
			}
			if len(tried) != want {
				t.Errorf("access log: upstream_addr %q, want %d", l.UpstreamAddr, want)
			}
			if text := r.Stats().LastRefusal; !strings.Contains(text, "connection refused") {
				t.Errorf("last refusal %q", text)
			}
		})
	}
}

func TestWithoutAnEndpointAClientIsRefused(t *testing.T) {
	r := newRig(t, settings(MQTT))
	client := r.dial(t)
	send(t, client, connect("lonely", 0))
	receiveEnd(t, client)
	r.wantRefused(t, "no_endpoint", 502)
	l := r.lines(t, 1)[0]
	if l.UpstreamAddr != "" || l.ClientID != "lonely" {
		t.Errorf("access log: %+v", l)
	}
}

// upstreamTLS trusts the test's authority.
func upstreamTLS(t testing.TB) func(string) *tls.Config {
	pool := roots(t)
	return func(host string) *tls.Config { return &tls.Config{RootCAs: pool, ServerName: host} }
}

// buffered reads from r what was read of the connection already.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

func TestTheHeaderGoesInClearBeforeTLSToAnEndpoint(t *testing.T) {
	leaf := certificate(t, ca.Leaf{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	for version := byte(0); version <= 2; version++ {
		for _, p := range []Protocol{MQTT, TCP} {
			e := newEndpoint(t, nil)
			s := settings(p)
			s.Route.SendProxy, s.Route.TLS = version, upstreamTLS(t)
			r := newRig(t, s, e.addr)
			client := r.dial(t)
			packet := connect("secret-both-ways", 0)
			send(t, client, packet)

			raw := e.next(t)
			r2 := bufio.NewReader(raw)
			if version > 0 {
				h, err := proxyproto.Read(r2)
				must(t, err)
				wantAddresses(t, h, version, client.LocalAddr().String(), r.addr)
			}
			server := tls.Server(buffered{raw, r2}, &tls.Config{Certificates: []tls.Certificate{leaf}})
			receiveText(t, server, string(packet))
			send(t, server, connack)
			receiveText(t, client, string(connack))
			client.CloseWrite()
			if rest := receiveEnd(t, server); len(rest) > 0 {
				t.Errorf("the endpoint got %q", rest)
			}
			server.Close()
			receiveEnd(t, client)
			r.wantClosed(t, "client_closed")
		}
	}
}

func TestAnEndpointWithAnotherNameOrAuthorityGetsNothing(t *testing.T) {
	theirs, err := ca.New()
	must(t, err)
	certPEM, keyPEM, err := theirs.Issue(ca.Leaf{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	must(t, err)
	foreign, err := tls.X509KeyPair(certPEM, keyPEM)
	must(t, err)
	serve := func(leaf tls.Certificate, got chan<- []byte) func(*net.TCPConn) {
		return func(c *net.TCPConn) {
			server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{leaf}})
			b := make([]byte, 100)
			n, _ := io.ReadAtLeast(server, b, 1)
			got <- b[:n]
			server.Write(connack)
		}
	}
	wrong, right := make(chan []byte, 2), make(chan []byte, 1)
	other := newEndpoint(t, serve(certificate(t, ca.Leaf{DNSNames: []string{"other.test"}}), wrong))
	stray := newEndpoint(t, serve(foreign, wrong))
	good := newEndpoint(t, serve(certificate(t, ca.Leaf{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}), right))

	s := settings(MQTT)
	s.Route.TLS = upstreamTLS(t)
	first := newPool(other.addr, stray.addr)
	s.Route.Upstream = first
	alone := newRig(t, s)
	client := alone.dial(t)
	send(t, client, connect("alone", 0))
	receiveEnd(t, client)
	alone.wantRefused(t, "upstream_failed", 502)
	for range 2 {
		if b := <-wrong; len(b) > 0 {
			t.Errorf("an endpoint that is not verified got %q", b)
		}
	}
	for _, e := range first.Status().Endpoints {
		if e.FailuresTotal != 1 || e.Connections != 0 {
			t.Errorf("%+v", e)
		}
	}

	s2 := settings(MQTT)
	s2.Route.TLS = upstreamTLS(t)
	r := newRig(t, s2, other.addr, good.addr)
	for range 2 { // in turns: one of them meets the wrong one first
		client = r.dial(t)
		send(t, client, connect("moves-on", 0))
		receiveText(t, client, string(connack))
		if b := <-right; string(b) != string(connect("moves-on", 0)) {
			t.Errorf("the right endpoint got %q", b)
		}
	}
}

func TestAnEndpointThatNeverAnswersIsLeftAtTheConnectTimeout(t *testing.T) {
	t.Parallel()
	silent := newEndpoint(t, func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	s := settings(MQTT)
	s.Route.TLS, s.Route.ConnectTimeout = upstreamTLS(t), 200*time.Millisecond
	r := newRig(t, s, silent.addr)
	client := r.dial(t)
	start := time.Now()
	send(t, client, connect("waits", 0))
	receiveEnd(t, client)
	if took := time.Since(start); took < 150*time.Millisecond || took > 3*time.Second {
		t.Errorf("refused after %v", took)
	}
	r.wantRefused(t, "upstream_failed", 502)
}

func TestAConnectionThatIsToEndTriesNoFurtherEndpoint(t *testing.T) {
	t.Parallel()
	silent := func(c *net.TCPConn) { io.Copy(io.Discard, c) }
	a, b := newEndpoint(t, silent), newEndpoint(t, silent)
	s := settings(MQTT)
	s.Route.TLS, s.Route.ConnectTimeout = upstreamTLS(t), 2*patience // the dial under way is given up too
	r := newRig(t, s, a.addr, b.addr)
	client := r.dial(t)
	send(t, client, connect("unwanted", 0))
	until(t, "a dial", func() bool { return a.dials.Load()+b.dials.Load() == 1 })
	if n := r.Kick("unwanted"); n != 1 {
		t.Errorf("kicked %d", n)
	}
	receiveEnd(t, client)
	r.wantRefused(t, "kicked", 503)
	if n := a.dials.Load() + b.dials.Load(); n != 1 {
		t.Errorf("%d endpoints were dialled", n)
	}
	for _, s := range r.pool.Status().Endpoints {
		if s.FailuresTotal != 0 {
			t.Errorf("%s is blamed: %+v", s.Address, s)
		}
	}
}

func TestWhatThisHostLacksIsNoFaultOfTheEndpoint(t *testing.T) {
	dialError := func(errno syscall.Errno) error {
		return fmt.Errorf("10.0.0.1:1883: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)})
	}
	for _, errno := range []syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if err := dialError(errno); !isLocal(err) || unreachable(err).reason != "local_limit" || unreachable(err).status != 500 {
			t.Errorf("%v: %+v", err, unreachable(err))
		}
	}
	for _, errno := range []syscall.Errno{syscall.ECONNREFUSED, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ECONNRESET} {
		if err := dialError(errno); isLocal(err) || unreachable(err).reason != "upstream_failed" || unreachable(err).status != 502 {
			t.Errorf("%v: %+v", err, unreachable(err))
		}
	}
	if isLocal(errors.New("no idea")) || isLocal(nil) {
		t.Error("an unknown error is taken for a fault of this host")
	}
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE} {
		if !isExhausted(dialError(errno)) {
			t.Errorf("%v is not final", errno)
		}
	}
	if isExhausted(dialError(syscall.EADDRNOTAVAIL)) {
		t.Error("without a free port to one endpoint no other is tried")
	}
}
