package proxy

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/mqtt"
)

// answers reads a CONNECT and sends each of its clients the bytes; nil closes.
func answers(answer []byte) func(*net.TCPConn) {
	return func(c *net.TCPConn) {
		mqtt.ReadConnect(c, nil, 1<<16)
		c.Write(answer)
		if answer != nil {
			io.Copy(io.Discard, c)
		}
	}
}

func connackOf(level, code byte) []byte {
	if level == mqtt.Level5 {
		return []byte{0x20, 3, 0, code, 0}
	}
	return []byte{0x20, 2, 0, code}
}

// inOrder has the second endpoint tried after the first.
func inOrder(s *Settings, first, second string) *Settings {
	p := balancer.New("test", balancer.Options{Policy: balancer.RoundRobin, MaxFails: 10})
	p.Update([]balancer.Endpoint{{Addr: first}, {Addr: second, Backup: true}})
	s.Route.Upstream = p
	return s
}

func TestAnotherEndpointAnswersUnseenWhenOneCannot(t *testing.T) {
	versions := map[byte]string{mqtt.Level311: "3.1.1", mqtt.Level5: "5"}
	for name, c := range map[string]struct {
		level  byte
		first  []byte
		blamed bool
	}{
		"closes before any byte":  {mqtt.Level5, nil, true},
		"half a CONNACK":          {mqtt.Level5, []byte{0x20}, true},
		"server unavailable":      {mqtt.Level5, connackOf(5, 0x88), true},
		"server busy":             {mqtt.Level5, connackOf(5, 0x89), false},
		"quota exceeded":          {mqtt.Level5, connackOf(5, 0x97), true},
		"use another server":      {mqtt.Level5, connackOf(5, 0x9c), false},
		"server moved":            {mqtt.Level5, connackOf(5, 0x9d), false},
		"connection rate":         {mqtt.Level5, connackOf(5, 0x9f), false},
		"unavailable before 5.0":  {mqtt.Level311, connackOf(4, 3), true},
		"closes before any, v311": {mqtt.Level311, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handle := answers(c.first)
			if len(c.first) == 1 {
				handle = func(conn *net.TCPConn) { mqtt.ReadConnect(conn, nil, 1<<16); conn.Write(c.first) }
			}
			bad, good := newEndpoint(t, handle), newEndpoint(t, answers(connackOf(c.level, 0)))
			r := newRig(t, inOrder(settings(MQTT), bad.addr, good.addr))
			client := r.dial(t)
			send(t, client, connects("device")[versions[c.level]])
			if got := receive(t, client, len(connackOf(c.level, 0))); !bytes.Equal(got, connackOf(c.level, 0)) {
				t.Errorf("the client got %x", got)
			}
			if bad.dials.Load() != 1 || good.dials.Load() != 1 {
				t.Errorf("dialled %d and %d times", bad.dials.Load(), good.dials.Load())
			}
			if n := r.settings.Load().Route.Upstream.(*balancer.Pool).Status().Endpoints[0].FailuresTotal; (n == 1) != c.blamed {
				t.Errorf("the endpoint has %d failures", n)
			}
			client.Close()
			line := r.wantClosed(t, "client_closed")
			if line.UpstreamAddr != bad.addr+", "+good.addr || line.Connack == nil || *line.Connack != 0 {
				t.Errorf("access log: %+v", line)
			}
		})
	}
}

func TestARefusalThatIsTheClientsFaultIsPassedOn(t *testing.T) {
	for _, c := range []struct {
		version     string
		level, code byte
	}{{"5", 5, 0x87}, {"5", 5, 0x86}, {"3.1.1", 4, 5}, {"3.1.1", 4, 2}} {
		a, b := newEndpoint(t, answers(connackOf(c.level, c.code))), newEndpoint(t, answers(connackOf(c.level, 0)))
		r := newRig(t, inOrder(settings(MQTT), a.addr, b.addr))
		client := r.dial(t)
		send(t, client, connects("device")[c.version])
		if got := receive(t, client, len(connackOf(c.level, 0))); !bytes.Equal(got, connackOf(c.level, c.code)) {
			t.Errorf("code %#x: the client got %x", c.code, got)
		}
		b.wantNoDials(t)
		if n := r.settings.Load().Route.Upstream.(*balancer.Pool).Status().Endpoints[0].FailuresTotal; n != 0 {
			t.Errorf("code %#x: the endpoint has %d failures", c.code, n)
		}
		client.Close()
		if line := r.wantClosed(t, "client_closed"); line.Connack == nil || *line.Connack != int(c.code) {
			t.Errorf("access log: %+v", line)
		}
	}
}

func TestTheLastEndpointsOwnRefusalIsWhatTheClientGets(t *testing.T) {
	a, b := newEndpoint(t, answers(connackOf(5, 0x88))), newEndpoint(t, answers(connackOf(5, 0x97)))
	r := newRig(t, inOrder(settings(MQTT), a.addr, b.addr))
	client := r.dial(t)
	send(t, client, connects("device")["5"])
	if got := receiveEnd(t, client); !bytes.Equal(got, connackOf(5, 0x97)) {
		t.Errorf("the client got %x", got)
	}
	r.wantRefused(t, "upstream_declined", 502)
	if line := r.lines(t, 1)[0]; *line.Connack != 0x97 || line.BytesSent != 5 {
		t.Errorf("access log: %+v", line)
	}
}

func TestWithOneEndpointOnlyWhatItAnswersIsPassedOn(t *testing.T) {
	a, b := newEndpoint(t, answers(connackOf(5, 0x88))), newEndpoint(t, answers(connackOf(5, 0)))
	s := inOrder(settings(MQTT), a.addr, b.addr)
	s.OneEndpoint = true
	r := newRig(t, s)
	client := r.dial(t)
	send(t, client, connects("device")["5"])
	receiveText(t, client, string(connackOf(5, 0x88)))
	b.wantNoDials(t)
}

func TestARefusedClientIsToldSoInItsOwnVersion(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		for version, want := range map[string][]byte{"5": connackOf(5, 0x88), "3.1.1": connackOf(4, 3), "3.1": connackOf(3, 3)} {
			s := settings(MQTT)
			secure(s)
			r := newRig(t, s, closedPort(t))
			client := enter(r.dial(t))
			send(t, client, connects("device")[version])
			send(t, client, []byte("more that nobody reads"))
			if got := receive(t, client, len(want)); !bytes.Equal(got[:2], want[:2]) || got[3] != want[3] {
				t.Errorf("%s: the client got %x, want %x", version, got, want)
			}
			client.Close()
			r.wantRefused(t, "upstream_failed", 502)
		}
	})
}

func TestAClientBeyondTheLimitIsToldSo(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		e := newEndpoint(t, answers(connackOf(5, 0)))
		s := settings(MQTT)
		secure(s)
		s.MaxConnections = 1
		r := newRig(t, s, e.addr)
		first := enter(r.dial(t))
		send(t, first, connects("first")["5"])
		receive(t, first, 5)
		second := enter(r.dial(t))
		send(t, second, connects("second")["5"])
		if got := receive(t, second, 5); got[3] != mqtt.QuotaExceeded {
			t.Errorf("the client got %x", got)
		}
		second.Close()
		if n := e.dials.Load(); n != 1 {
			t.Errorf("the endpoint was dialled %d times", n)
		}
		if got := r.lines(t, 1)[0]; got.Reason != "max_connections" || got.Status != 503 || got.ClientID != "second" {
			t.Errorf("access log: %+v", got)
		}
	})
}

func TestTheServersKeepAliveIsInForce(t *testing.T) {
	t.Parallel()
	answer := []byte{0x20, 6, 0, 0, 3, 0x13, 0, 1} // Server Keep Alive: 1 s
	e := newEndpoint(t, answers(answer))
	r := newRig(t, settings(MQTT), e.addr)
	client := r.dial(t)
	start := time.Now()
	send(t, client, connects("device")["5"]) // which promises a packet a minute
	receive(t, client, len(answer))
	receiveEnd(t, client)
	if took := time.Since(start); took < 1400*time.Millisecond || took > 5*time.Second {
		t.Errorf("it was closed after %v", took)
	}
	r.wantClosed(t, "keepalive_timeout")
}

func TestTheSameClientGoesToTheSameEndpoint(t *testing.T) {
	a, b, c := newEndpoint(t, answers(connack)), newEndpoint(t, answers(connack)), newEndpoint(t, answers(connack))
	s := settings(MQTT)
	s.Route.HashKey = "client_id"
	s.Route.Upstream = newHashPool(a.addr, b.addr, c.addr)
	r := newRig(t, s)
	for _, id := range []string{"one", "two", "three", "four", "five"} {
		before := []int32{a.dials.Load(), b.dials.Load(), c.dials.Load()}
		for range 4 {
			client := r.dial(t)
			send(t, client, connect(id, 0))
			receive(t, client, len(connack))
			client.Close()
		}
		for i, e := range []*endpoint{a, b, c} {
			if n := e.dials.Load() - before[i]; n != 0 && n != 4 {
				t.Errorf("%s: %d of 4 connections to one endpoint", id, n)
			}
		}
	}
}

func TestAClientBeyondTheLimitIsToldSoBehindAProxyHeaderToo(t *testing.T) {
	e := newEndpoint(t, answers(connackOf(5, 0)))
	s := trusting(MQTT)
	s.Route.SendProxy, s.MaxConnections = 0, 1
	r := newRig(t, s, e.addr)
	header := "PROXY TCP4 192.0.2.1 192.0.2.2 1000 1883\r\n"
	first, second := r.dial(t), r.dial(t)
	for _, c := range []net.Conn{first, second} {
		send(t, c, append([]byte(header), connects("device")["5"]...))
	}
	a, b := receive(t, first, 5), receive(t, second, 5)
	if max(a[3], b[3]) != mqtt.QuotaExceeded || min(a[3], b[3]) != 0 {
		t.Errorf("the clients got %x and %x", a, b)
	}
}
