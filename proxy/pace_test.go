package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/mqedge/mqedge/proxy/admit"
)

// limit has a rate that no test waits for: after exhaust.
func limit(queue int, wait time.Duration) admit.Limit {
	return admit.Limit{PerSecond: 1, Burst: 1, Queue: queue, Wait: wait}
}

// exhaust takes the tokens of the next minute, at the rate in force.
func exhaust(p *pacer, l admit.Limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate.Configure(admit.Limit{}, time.Now())
	p.gate.Configure(l, time.Now().Add(time.Minute))
}

// newPacedRig lets nobody in before a reload says so.
func newPacedRig(t *testing.T, s *Settings, l admit.Limit, endpoints ...string) *rig {
	t.Helper()
	s.ConnectRate = l
	r := prepareRig(t, "127.0.0.1:0", s, endpoints...)
	exhaust(r.connects, l)
	r.serve()
	return r
}

func (r *rig) awaitWaiting(t *testing.T, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d wait", n), func() bool { return r.Stats().Waiting == n })
}

func TestConnectionsBeyondTheRateWaitAndAreServedInTheEnd(t *testing.T) {
	const clients = 60
	e := newEndpoint(t, echo)
	s := settings(TCP)
	s.ConnectRate = admit.Limit{PerSecond: 100, Burst: 10, Queue: clients}
	r := newRig(t, s, e.addr)
	began := time.Now()
	served := burst(t, clients, func() *net.TCPConn { return r.dial(t) })
	if took := time.Since(began); took < 450*time.Millisecond {
		t.Errorf("%d were served in %v: ten are due at once and a hundred a second", len(served), took)
	}
	if s := r.Stats(); len(served) != clients || len(s.Refused) != 0 {
		t.Errorf("%d of %d were served, refused %v", len(served), clients, s.Refused)
	}
}

func TestAReloadThatTurnsTheRateOffLetsAllIn(t *testing.T) {
	const clients = 20
	e := newEndpoint(t, echo)
	s := settings(TCP)
	r := newPacedRig(t, s, limit(100, 0), e.addr)
	var all []*net.TCPConn
	for range clients {
		all = append(all, r.dial(t))
	}
	r.awaitWaiting(t, clients)
	after := *s
	after.ConnectRate = admit.Limit{}
	r.Configure(&after)
	for _, c := range all {
		send(t, c, []byte("hello"))
		receiveText(t, c, "hello")
	}
	r.awaitWaiting(t, 0)
}

func TestWhoWaitedDuringAReloadGoesWhereClientsGoNow(t *testing.T) {
	before, after := newEndpoint(t, echo), newEndpoint(t, echo)
	s := settings(TCP)
	r := newPacedRig(t, s, limit(1, 0), before.addr)
	client := r.dial(t)
	r.awaitWaiting(t, 1)
	now := *s
	now.Route.Upstream, now.ConnectRate = newPool(after.addr), admit.Limit{}
	r.Configure(&now)
	send(t, client, []byte("hello"))
	receiveText(t, client, "hello")
	before.wantNoDials(t)
}

func TestWithoutAPlaceInTheQueueAClientHearsWhy(t *testing.T) {
	answers := map[string][]byte{"3.1": {0x20, 2, 0, 3}, "3.1.1": {0x20, 2, 0, 3}, "5": {0x20, 3, 0, 0x9f, 0}}
	for version, packet := range connects("a") {
		t.Run(version, func(t *testing.T) {
			e := newEndpoint(t, echo)
			r := newPacedRig(t, settings(MQTT), limit(0, 0), e.addr)
			client := r.dial(t)
			send(t, client, packet)
			if got := receiveEnd(t, client); string(got) != string(answers[version]) {
				t.Errorf("told % x, want % x", got, answers[version])
			}
			until(t, "it is counted", func() bool { return r.Stats().Refused["connect_rate"] == 1 })
		})
	}
}

func TestBeforeTLSAndInTCPARefusalIsAPlainClose(t *testing.T) {
	for _, p := range []Protocol{MQTT, TCP} {
		e := newEndpoint(t, echo)
		s := settings(p)
		if p == MQTT {
			s.TLS = serverTLS(t)
		}
		r := newPacedRig(t, s, limit(0, 0), e.addr)
		if got := receiveEnd(t, r.dial(t)); len(got) != 0 {
			t.Errorf("%s: told % x", p, got)
		}
		until(t, "it is counted", func() bool { return r.Stats().Refused["connect_rate"] == 1 })
	}
}

func TestWhoWaitsForTooLongIsRefused(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newPacedRig(t, settings(TCP), limit(10, 50*time.Millisecond), e.addr)
	clients := []*net.TCPConn{r.dial(t), r.dial(t), r.dial(t)}
	for _, c := range clients {
		receiveEnd(t, c)
	}
	until(t, "they are counted", func() bool { return r.Stats().Refused["connect_rate"] == 3 })
	e.wantNoDials(t)
}

func TestAClientThatLeavesGivesUpItsPlace(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newPacedRig(t, settings(MQTT), limit(10, 0), e.addr)
	for i, end := range []func(*net.TCPConn){
		func(c *net.TCPConn) { c.Close() },
		func(c *net.TCPConn) { c.Write(connect("a", 0)); c.Close() },
		func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		c := r.dial(t)
		r.awaitWaiting(t, 1)
		end(c)
		until(t, "it is gone", func() bool { return r.Stats().Refused["client_gone"] == uint64(i+1) })
		r.awaitWaiting(t, 0)
	}
}

func TestATCPClientThatShutsDownItsSideWhileItWaitsIsServed(t *testing.T) {
	e := newEndpoint(t, echo)
	s := settings(TCP)
	r := newPacedRig(t, s, limit(10, 0), e.addr)
	c := r.dial(t)
	r.awaitWaiting(t, 1)
	send(t, c, []byte("hello"))
	must(t, c.CloseWrite())
	after := *s
	after.ConnectRate.PerSecond = 1000
	r.Configure(&after)
	if got := receiveEnd(t, c); string(got) != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestThoseThatWaitAreClosedWithTheOthers(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newPacedRig(t, settings(TCP), limit(10, 0), e.addr)
	c := r.dial(t)
	r.awaitWaiting(t, 1)
	CloseAll([]*Listener{r.Listener}, ReasonShutdown)
	receiveEnd(t, c)
	r.Wait() // for the goroutine that tells them, too
	if s := r.Stats(); s.Refused["shutdown"] != 1 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAFloodOfOneNetworkDoesNotHoldUpAnother(t *testing.T) {
	const flood, queue = 40, 20
	came := make(chan string, queue)
	e := newEndpoint(t, func(c *net.TCPConn) {
		if h, err := proxyproto.Read(bufio.NewReader(c)); err == nil { // else the test is over
			came <- h.SourceAddr.(*net.TCPAddr).IP.String()
		}
	})
	s := trusting(TCP)
	r := newPacedRig(t, s, limit(queue, 0), e.addr)
	from := func(address string) {
		send(t, r.dial(t), fmt.Appendf(nil, "PROXY TCP4 %s 198.51.100.1 4000 8883\r\n", address))
	}
	for range flood {
		from("192.0.2.1")
	}
	refused := func(n int) {
		until(t, fmt.Sprintf("%d are refused", n), func() bool { return r.Stats().Refused["connect_rate"] == uint64(n) })
	}
	refused(flood - queue)
	from("203.0.113.1")
	refused(flood - queue + 1) // one of the flood
	r.awaitWaiting(t, queue)
	after := *s
	after.ConnectRate.PerSecond = 1000
	r.Configure(&after)
	for i := range queue {
		if <-came == "203.0.113.1" {
			if i > queue/2 {
				t.Errorf("it was served after %d of the flood", i)
			}
			return
		}
	}
	t.Error("it was never served")
}

func TestFullHandshakesWaitAndResumedOnesDoNot(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			e := newEndpoint(t, echo)
			s := settings(TCP)
			s.TLS = serverTLS(t)
			s.TLS.SetSessionTicketKeys([][32]byte{{1}})
			s.TLS.MaxVersion = version
			r := newRig(t, s, e.addr)
			config := clientTLS(t)
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			hello := func(c net.Conn) {
				t.Helper()
				send(t, c, []byte("hello"))
				receiveText(t, c, "hello")
			}
			hello(tlsClient(t, r.dial(t), config)) // has a ticket now

			limited := *s
			limited.FullHandshakes = limit(100, 0)
			hurried := limited
			hurried.HandshakeTimeout = 2 * time.Second
			r.Configure(&hurried)
			exhaust(r.fulls, limited.FullHandshakes)
			began := time.Now()
			var waiting []*tls.Conn
			shaken := make(chan error, 5)
			for range cap(shaken) {
				c := tls.Client(r.dial(t), clientTLS(t))
				waiting = append(waiting, c)
				go func() { shaken <- c.Handshake() }()
			}
			full := func() int { return r.Stats().WaitingFull }
			until(t, "they wait", func() bool { return full() == len(waiting) })
			r.Configure(&limited)
			again := tlsClient(t, r.dial(t), config)
			if n := full(); !again.ConnectionState().DidResume || n != len(waiting) {
				t.Errorf("resumed %v, while %d wait", again.ConnectionState().DidResume, n)
			}
			hello(again)
			until(t, "they have waited for longer than a handshake may take", func() bool {
				return time.Since(began) > hurried.HandshakeTimeout+2*time.Second/10
			})
			after := *s
			after.FullHandshakes.PerSecond = 1000
			r.Configure(&after)
			for range waiting {
				must(t, <-shaken)
			}
			for _, c := range waiting {
				hello(c)
			}
			if full, failed := r.handshakes[handshakeFull].Load(), r.handshakes[handshakeFailed].Load(); full != 6 || failed != 0 {
				t.Errorf("%d full handshakes, %d failed", full, failed)
			}
		})
	}
}

func TestAFullHandshakeWithoutAPlaceIsClosedWithoutAnAlert(t *testing.T) {
	e := newEndpoint(t, echo)
	s := settings(MQTT)
	s.TLS = serverTLS(t)
	s.FullHandshakes = limit(0, 0)
	r := newRig(t, s, e.addr)
	exhaust(r.fulls, s.FullHandshakes)
	err := tls.Client(r.dial(t), clientTLS(t)).Handshake()
	var op *net.OpError
	if err == nil || errors.As(err, &op) && op.Op == "remote error" {
		t.Errorf("told %v", err)
	}
	until(t, "it is counted", func() bool { return r.Stats().Refused["handshake_rate"] == 1 })
	if n := r.handshakes[handshakeFailed].Load(); n != 0 {
		t.Errorf("%d handshakes are counted as failed", n)
	}
}

func TestOneThatIsTurnedAwayDoesNotTakeATurnOfThoseThatAreNot(t *testing.T) {
	e := newEndpoint(t, echo)
	s := settings(MQTT)
	s.TLS = serverTLS(t)
	s.MaxConnections, s.FullHandshakes = 1, admit.Limit{PerSecond: 1000, Queue: 100}
	r := newRig(t, s, e.addr)
	r.dial(t)
	until(t, "the place is taken", func() bool { return r.places.Load() == 1 })
	if err := tls.Client(r.dial(t), clientTLS(t)).Handshake(); err == nil {
		t.Error("a full handshake was made only to say that there is no place")
	}
	until(t, "it is counted", func() bool { return r.Stats().Refused["max_connections"] == 1 })
}

func TestMaxHalfOpenCountsThoseThatAreNotServedYet(t *testing.T) {
	const limit = 3
	e := newEndpoint(t, echo)
	s := settings(MQTT)
	s.MaxHalfOpen = limit
	r := newRig(t, s, e.addr)
	for range 2 * limit { // served ones do not count
		c := r.dial(t)
		send(t, c, connect("a", 0))
		receive(t, c, len(connect("a", 0)))
	}
	until(t, "none is half open", func() bool { return r.Stats().HalfOpen == 0 })
	var silent []*net.TCPConn
	for range limit {
		silent = append(silent, r.dial(t))
	}
	until(t, "all places are taken", func() bool { return r.Stats().HalfOpen == limit })
	if got := receiveEnd(t, r.dial(t)); len(got) != 0 {
		t.Errorf("told % x", got)
	}
	until(t, "it is counted", func() bool { return r.Stats().Refused["max_half_open"] == 1 })
	silent[0].Close()
	until(t, "its place is free", func() bool { return r.Stats().HalfOpen == limit-1 })
	c := r.dial(t)
	send(t, c, connect("a", 0))
	if got, err := c.Read(make([]byte, 1)); got != 1 || err == io.EOF {
		t.Errorf("%d, %v", got, err)
	}
}
