package probe_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer/probe"
	"github.com/mqedge/mqedge/demo/broker"
)

var accepted5 = []byte{0x20, 3, 0, 0, 0}

func TestAProbeIsAWholeCleanConnectionThatEndsInOrder(t *testing.T) {
	for level, c := range map[byte]struct{ afterKeepAlive, connack string }{
		4: {"", "\x20\x02\x00\x00"},
		5: {"\x00", "\x20\x03\x00\x00\x00"},
	} {
		heard, end := make(chan []byte, 3), make(chan error, 1)
		addr := listen(t, func(conn net.Conn) {
			heard <- readPacket(conn)
			io.WriteString(conn, c.connack)
			heard <- readPacket(conn)
			conn.Write([]byte{0xd0, 0})
			heard <- readPacket(conn)
			_, err := conn.Read(make([]byte, 1))
			end <- err
		})
		mustBeAlive(t, probe.MQTT{Level: level, ClientID: "edge-a"}.Probe(within(t, patience), addr))

		_, port, _ := net.SplitHostPort(addr)
		id := "edge-a-127.0.0.1-" + port
		connect := "\x00\x04MQTT" + string([]byte{level, 0x02, 0, 10}) + c.afterKeepAlive + "\x00" + string([]byte{byte(len(id))}) + id
		connect = string([]byte{0x10, byte(len(connect))}) + connect
		for _, want := range []string{connect, "\xc0\x00", "\xe0\x00"} {
			if got := <-heard; string(got) != want {
				t.Errorf("level %d: heard %q, want %q", level, got, want)
			}
		}
		if err := <-end; err != io.EOF {
			t.Errorf("level %d: the connection ended with %v, want a FIN", level, err)
		}
	}
}

func TestTheClientIDIsFixedButOfOneProcessAndEndpoint(t *testing.T) {
	ids := make(chan string, 4)
	talk := func(c net.Conn) {
		p := readPacket(c)
		ids <- string(p[15:])
		c.Write([]byte{0x20, 3, 0, 0x87, 0})
	}
	a, b := listen(t, talk), listen(t, talk)
	for _, addr := range []string{a, a, b} {
		mustBeAlive(t, probe.MQTT{}.Probe(within(t, patience), addr))
	}
	first, again, other := <-ids, <-ids, <-ids
	if first != again || first == other || !strings.HasPrefix(first, "mqedge-probe-") {
		t.Errorf("client ids %q, %q and at another endpoint %q", first, again, other)
	}
}

func TestCredentialsAreSent(t *testing.T) {
	for _, c := range []struct {
		user, password string
		flags          byte
		tail           string
	}{
		{"u", "pw", 0xc2, "\x00\x01u\x00\x02pw"},
		{"u", "", 0x82, "\x00\x01u"},
		{"", "pw", 0xc2, "\x00\x00\x00\x02pw"}, // 3.1.1 allows no password without a user name
	} {
		heard := make(chan []byte, 1)
		addr := listen(t, func(conn net.Conn) {
			heard <- readPacket(conn)
			conn.Write([]byte{0x20, 2, 0, 5})
		})
		mustBeAlive(t, probe.MQTT{Level: 4, Username: c.user, Password: c.password}.Probe(within(t, patience), addr))
		if got := <-heard; got[9] != c.flags || !bytes.HasSuffix(got, []byte(c.tail)) {
			t.Errorf("%+v: CONNECT %q", c, got)
		}
	}
	err := probe.MQTT{Password: strings.Repeat("x", 1<<16)}.Probe(within(t, patience), "127.0.0.1:1")
	mustFail(t, err, "more than 65535 bytes")
}

func TestABrokerIsAliveWithAndWithoutProxyAndTLS(t *testing.T) {
	server, client := certificate(t)
	for _, proxy := range []byte{0, 1, 2} {
		for _, secure := range []bool{false, true} {
			o := broker.Options{ProxyProtocol: proxy != 0}
			p := probe.MQTT{Proxy: proxy}
			if secure {
				o.TLS, p.TLS = server, client
			}
			b := start(t, o)
			for _, p.Level = range []byte{4, 5} {
				if err := p.Probe(within(t, patience), b.Addr()); err != nil {
					t.Errorf("proxy %d, TLS %v, level %d: %v", proxy, secure, p.Level, err)
				}
			}
		}
	}
}

func TestTheVersion2HeaderIsLOCALWithAnAddressBlock(t *testing.T) {
	heard := make(chan []byte, 1)
	addr := listen(t, func(c net.Conn) {
		header := make([]byte, 28)
		io.ReadFull(c, header)
		heard <- header
		answer(accepted5...)(c)
	})
	mustBeAlive(t, probe.MQTT{Proxy: 2}.Probe(within(t, patience), addr))
	if got := <-heard; string(got[:16]) != "\r\n\r\n\x00\r\nQUIT\n\x20\x11\x00\x0c" || string(got[20:24]) != "\x7f\x00\x00\x01" {
		t.Errorf("header %q, want LOCAL with the addresses of the connection", got)
	}
}

func TestAMissingHeaderIsNamedBeforeTheEndpointGivesUp(t *testing.T) {
	server, client := certificate(t)
	for _, p := range []probe.MQTT{{}, {Level: 4}, {TLS: client}} {
		addr := listen(t, withProxy(func(c net.Conn) {
			if p.TLS != nil {
				c = tls.Server(c, server)
			}
			answer(0x20, 2, 0, 5)(c)
		}))
		mustMismatch(t, p.Probe(within(t, time.Second), addr), true, "expects a PROXY header")
	}
}

func TestAMissingHeaderIsNamedWhenTheEndpointClosesForIt(t *testing.T) {
	b := start(t, broker.Options{ProxyProtocol: true})
	mustMismatch(t, probe.MQTT{}.Probe(within(t, patience), b.Addr()), true, "expects a PROXY header")
}

func TestANeedlessHeaderIsNamed(t *testing.T) {
	server, client := certificate(t)
	rejects := func(connack ...byte) func(net.Conn) {
		return func(c net.Conn) {
			if p := readPacket(c); p != nil && p[0] == 0x10 {
				c.Write([]byte{0x20, connack[1], 0, 0, 0}[:2+connack[1]])
				silent(c)
				return
			}
			c.Write(connack)
		}
	}
	for name, c := range map[string]struct {
		talk func(net.Conn)
		p    probe.MQTT
	}{
		"version 1 is waited out":      {withoutProxy(answer(accepted5...)), probe.MQTT{Proxy: 1}},
		"version 2 is closed for":      {withoutProxy(answer(accepted5...)), probe.MQTT{Proxy: 2}},
		"a protocol error":             {rejects(0x20, 3, 0, 0x82, 0), probe.MQTT{Proxy: 2}},
		"a protocol error in 3.1.1":    {rejects(0x20, 2, 0, 1), probe.MQTT{Proxy: 2, Level: 4}},
		"garbage":                      {rejects([]byte("h\x03h?")...), probe.MQTT{Proxy: 2}},
		"TLS":                          {func(c net.Conn) { answer(accepted5...)(tls.Server(c, server)) }, probe.MQTT{Proxy: 2, TLS: client}},
		"it refuses for other reasons": {withoutProxy(answer(0x20, 3, 0, 0x97, 0)), probe.MQTT{Proxy: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			mustMismatch(t, c.p.Probe(within(t, time.Second), listen(t, c.talk)), false, "does not expect a PROXY header")
		})
	}
}

func TestAFailureOfAnotherKindIsNoMismatch(t *testing.T) {
	for name, c := range map[string]struct {
		talk func(net.Conn)
		want string
	}{
		"closes":          {func(net.Conn) {}, "no CONNACK: "}, // with or without a reset
		"resets":          {reset, "reset by peer"},
		"answers nothing": {silent, "no CONNACK: i/o timeout"},
		"garbage":         {func(c net.Conn) { readPacket(c); io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n"); silent(c) }, "begins with 0x48"},
		"TLS":             {func(c net.Conn) { readPacket(c); c.Write([]byte{0x15, 3, 3, 0, 2, 2, 70}); silent(c) }, "speaks TLS"},
		"a long packet":   {answer(0x20, 0xff, 0xff, 0x7f), "a packet of 2097151 bytes"},
		"a wrong length":  {answer(0x20, 0xff, 0xff, 0xff, 0xff, 1), "more than four bytes"},
		"cut short":       {func(c net.Conn) { readPacket(c); c.Write([]byte{0x20, 3, 0}) }, "no CONNACK: the endpoint closed the connection"},
		"empty":           {answer(0x20, 0), "makes no sense"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := listen(t, c.talk)
			err := probe.MQTT{}.Probe(within(t, time.Second), addr)
			var mismatch *probe.ProxyMismatch
			if errors.As(err, &mismatch) {
				t.Fatal(err)
			}
			mustFail(t, err, c.want)
		})
	}
}

func TestACertificateThatIsNotTrustedIsNoMismatch(t *testing.T) {
	server, _ := certificate(t)
	_, stranger := certificate(t)
	var connections atomic.Int32
	addr := listen(t, func(c net.Conn) {
		connections.Add(1)
		answer(accepted5...)(tls.Server(c, server))
	})
	mustFail(t, probe.MQTT{TLS: stranger}.Probe(within(t, patience), addr), "no TLS handshake", "unknown authority")
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestThereIsOneSecondTryAFailureAndNoneOtherwise(t *testing.T) {
	for name, c := range map[string]struct {
		talk   func(net.Conn)
		want   int32
		within time.Duration
	}{
		"alive":         {answer(accepted5...), 1, patience},
		"refused":       {answer(0x20, 3, 0, 0x97, 0), 1, patience},
		"mute later":    {func(c net.Conn) { readPacket(c); c.Write(accepted5); silent(c) }, 1, time.Second},
		"closes":        {func(c net.Conn) { readPacket(c) }, 2, patience},
		"answers never": {silent, 2, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var connections atomic.Int32
			addr := listen(t, func(conn net.Conn) {
				connections.Add(1)
				c.talk(conn)
			})
			err := probe.MQTT{}.Probe(within(t, c.within), addr)
			if alive := name == "alive"; alive != (err == nil) {
				t.Error(err)
			}
			if n := connections.Load(); n != c.want {
				t.Errorf("%d connections, want %d", n, c.want)
			}
		})
	}
}

func TestASlowAnswerIsNoMismatch(t *testing.T) {
	second := make(chan struct{})
	var connections atomic.Int32
	talk := withoutProxy(func(c net.Conn) {
		<-second // which is made only because this takes so long
		answer(accepted5...)(c)
	})
	addr := listen(t, func(c net.Conn) {
		if connections.Add(1) == 2 {
			defer close(second)
		}
		talk(c)
	})
	mustBeAlive(t, probe.MQTT{}.Probe(within(t, 2*time.Second), addr))
}

func TestWhatAConnackMeans(t *testing.T) {
	for _, c := range []struct {
		level    byte
		connack  []byte
		want     string // "" = alive
		draining bool
	}{
		{5, []byte{0x20, 3, 0, 0x84, 0}, "", false},
		{5, []byte{0x20, 3, 0, 0x85, 0}, "", false},
		{5, []byte{0x20, 3, 0, 0x86, 0}, "", false},
		{5, []byte{0x20, 3, 0, 0x87, 0}, "", false},
		{5, []byte{0x20, 3, 0, 0x8a, 0}, "", false},
		{5, []byte{0x20, 3, 0, 0x8c, 0}, "", false},
		{5, []byte{0x20, 3, 0, 0x80, 0}, "answers CONNECT with 0x80 unspecified error", false},
		{5, []byte{0x20, 3, 0, 0x88, 0}, "answers CONNECT with 0x88 server unavailable", false},
		{5, []byte{0x20, 3, 0, 0x89, 0}, "answers CONNECT with 0x89 server busy", false},
		{5, []byte{0x20, 3, 0, 0x97, 0}, "answers CONNECT with 0x97 quota exceeded", false},
		{5, []byte{0x20, 3, 0, 0x9f, 0}, "answers CONNECT with 0x9F connection rate exceeded", false},
		{5, []byte{0x20, 7, 0, 0x9c, 4, 0x1c, 0, 1, 'x'}, "draining: answers CONNECT with 0x9C use another server", true},
		{5, []byte{0x20, 3, 0, 0x9d, 0}, "draining: answers CONNECT with 0x9D server moved", true},
		{5, []byte{0x20, 3, 0, 0xee, 0}, "answers CONNECT with 0xEE of no known name", false},
		{5, []byte{0x20, 2, 0, 1}, "", false}, // a broker of 3.1.1 only
		{5, []byte{0x20, 2, 0, 3}, "answers CONNECT with 3 server unavailable", false},
		{4, []byte{0x20, 2, 0, 1}, "answers CONNECT with 1 unacceptable protocol version", false},
		{4, []byte{0x20, 2, 0, 2}, "", false},
		{4, []byte{0x20, 2, 0, 3}, "answers CONNECT with 3 server unavailable", false},
		{4, []byte{0x20, 2, 0, 4}, "", false},
		{4, []byte{0x20, 2, 0, 5}, "", false},
		{4, []byte{0x20, 3, 0, 0, 0}, "no CONNACK: one of 3 bytes makes no sense", false},
	} {
		err := probe.MQTT{Level: c.level}.Probe(within(t, patience), listen(t, answer(c.connack...)))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != c.want || isDraining(err) != c.draining {
			t.Errorf("level %d, % x: %q, want %q", c.level, c.connack, text, c.want)
		}
	}
}

func TestWhatComesBeforePINGRESPIsPassedOver(t *testing.T) {
	addr := listen(t, func(c net.Conn) {
		readPacket(c)
		c.Write(accepted5)
		readPacket(c)
		c.Write([]byte{0x31, 5, 0, 1, 't', 0, 'x', 0xd0, 0}) // a retained message first
		silent(c)
	})
	mustBeAlive(t, probe.MQTT{}.Probe(within(t, patience), addr))
}

func TestFailuresAfterCONNACK(t *testing.T) {
	flood := append([]byte{0x30, 0xff, 0x7f}, make([]byte, 16383)...)
	for name, c := range map[string]struct {
		write    []byte
		stay     bool
		want     string
		draining bool
	}{
		"evacuated":  {[]byte{0xe0, 2, 0x9c, 0}, true, "draining: ends the connection with DISCONNECT 0x9C use another server", true},
		"taken over": {[]byte{0xe0, 2, 0x8e, 0}, true, "another edge probes with this client id", false},
		"normal":     {[]byte{0xe0, 0}, true, "DISCONNECT 0x00", false},
		"closed":     {nil, false, "no PINGRESP: the endpoint closed the connection", false},
		"mute":       {nil, true, "no PINGRESP: i/o timeout", false},
		"a flood":    {append(bytes.Repeat(flood, 5), 0xd0, 0), true, "no PINGRESP: the endpoint closed the connection", false},
	} {
		t.Run(name, func(t *testing.T) {
			addr := listen(t, func(conn net.Conn) {
				readPacket(conn)
				conn.Write(accepted5)
				readPacket(conn)
				conn.Write(c.write)
				if c.stay {
					silent(conn)
				}
			})
			err := probe.MQTT{}.Probe(within(t, 500*time.Millisecond), addr)
			mustFail(t, err, c.want)
			if isDraining(err) != c.draining {
				t.Errorf("%v is draining: %v, want %v", err, !c.draining, c.draining)
			}
		})
	}
}

func mustMismatch(t *testing.T, err error, expects bool, words string) {
	t.Helper()
	var mismatch *probe.ProxyMismatch
	if !errors.As(err, &mismatch) || mismatch.Expects != expects {
		t.Fatalf("%v, want a mismatch with Expects %v", err, expects)
	}
	mustFail(t, err, words)
}

func start(t *testing.T, o broker.Options) *broker.Broker {
	t.Helper()
	b, err := broker.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}
