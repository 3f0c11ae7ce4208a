package proxy

import (
	"bytes"
	"net"
	"testing"
	"time"
)

func TestAConnectIsPassedOnByteForByteWithWhatFollows(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		for version, packet := range connects("device-7") {
			e := newEndpoint(t, nil)
			s := settings(MQTT)
			secure(s)
			r := newRig(t, s, e.addr)
			client := enter(r.dial(t))
			sent := append(bytes.Clone(packet), "\xc0\x00 bytes behind it"...)
			send(t, client, sent)
			server := e.next(t)
			if got := receive(t, server, len(sent)); !bytes.Equal(got, sent) {
				t.Errorf("%s: the endpoint got %q, want %q", version, got, sent)
			}
			send(t, server, connack)
			receiveText(t, client, string(connack))
			send(t, client, []byte("more"))
			receiveText(t, server, "more")
			client.Close()
			receiveEnd(t, server)
			server.Close()

			got := r.wantClosed(t, "client_closed")
			if got.ClientID != "device-7" || got.Username != "ann" || got.Version != version || got.KeepAlive != 60 {
				t.Errorf("access log: %+v", got)
			}
			if got.Connack == nil || *got.Connack != 0 {
				t.Errorf("access log: connack_code %v", got.Connack)
			}
			total := len(sent) + len("more")
			if got.BytesReceived != total || got.UpstreamSent != total || got.BytesSent != 4 || got.UpstreamReceived != 4 {
				t.Errorf("access log: %+v, want %d bytes up and 4 down", got, total)
			}
			if s := r.Stats(); s.BytesIn != uint64(total) || s.BytesOut != 4 {
				t.Errorf("counted %d in, %d out; want %d, 4", s.BytesIn, s.BytesOut, total)
			}
		}
	})
}

func TestAConnectInSingleBytesArrivesWhole(t *testing.T) {
	e := newEndpoint(t, nil)
	r := newRig(t, settings(MQTT), e.addr)
	client := r.dial(t)
	packet := connects("slow-but-in-time")["5"]
	sendEach(client, packet)
	if got := receive(t, e.next(t), len(packet)); !bytes.Equal(got, packet) {
		t.Errorf("the endpoint got %q, want %q", got, packet)
	}
}

func TestGarbageNeverReachesAnEndpoint(t *testing.T) {
	tooLarge := []byte{0x10, 0xff, 0xff, 0x7f} // announces 2 MiB and sends nothing of it
	malformed := connect("x", 0)
	malformed[9] |= 1 // the reserved flag
	cases := []struct {
		name   string
		bytes  []byte
		reason string
	}{
		{"noise", []byte("\xde\xad\xbe\xef"), "not_mqtt"},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "not_mqtt"},
		{"TLS on a plain listener", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "not_mqtt"},
		{"another packet", []byte("\xc0\x00"), "not_mqtt"},
		{"another protocol name", packet(body("HTTP", 4, 2, 0, nil), text("x")), "not_mqtt"},
		{"too large by its announcement", tooLarge, "connect_too_large"},
		{"a reserved flag", malformed, "malformed_connect"},
		{"an endless length", []byte("\x10\xff\xff\xff\xff\x01"), "malformed_connect"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			r := newRig(t, settings(MQTT), e.addr)
			client := r.dial(t)
			send(t, client, c.bytes)
			receiveEnd(t, client)
			r.wantRefused(t, c.reason, 400)
			e.wantNoDials(t)
			if s := r.Stats(); s.LastRefusal == "" || s.BytesIn != uint64(len(c.bytes)) {
				t.Errorf("last refusal %q, %d bytes in", s.LastRefusal, s.BytesIn)
			}
		})
	}
}

func TestASlowConnectEndsAtTheConnectTimeout(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		const timeout = 300 * time.Millisecond
		e := newEndpoint(t, nil)
		s := settings(MQTT)
		s.ConnectTimeout = timeout
		secure(s)
		r := newRig(t, s, e.addr)
		client := enter(r.dial(t))
		start := time.Now()
		ended := make(chan struct{})
		go func() { // a byte now and then, so that only the whole takes too long
			defer close(ended)
			tick := time.NewTicker(timeout / 10)
			defer tick.Stop()
			for _, b := range connect("a client id that is long enough for all of this time", 0) {
				<-tick.C
				if _, err := client.Write([]byte{b}); err != nil {
					return
				}
			}
		}()
		receiveEnd(t, client)
		took := time.Since(start)
		client.Close()
		<-ended
		r.wantRefused(t, "connect_timeout", 400)
		e.wantNoDials(t)
		if took < timeout-50*time.Millisecond || took > timeout+2*time.Second {
			t.Errorf("closed after %v, want %v", took, timeout)
		}
	})
}

func TestAClientThatResetsAtOnceIsGone(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), _ func(*net.TCPConn) stream) {
		e := newEndpoint(t, nil)
		s := settings(MQTT)
		secure(s)
		r := newRig(t, s, e.addr)
		client := r.dial(t)
		must(t, client.SetLinger(0))
		client.Close()
		r.wantRefused(t, "client_gone", 400)
		e.wantNoDials(t)
	})
}

func TestAClientThatClosesAtOnceIsGone(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), _ func(*net.TCPConn) stream) {
		e := newEndpoint(t, nil)
		s := settings(MQTT)
		secure(s)
		r := newRig(t, s, e.addr)
		r.dial(t).Close()
		r.wantRefused(t, "client_gone", 400)
		e.wantNoDials(t)
		if text := r.Stats().LastRefusal; text != "" {
			t.Errorf("last refusal %q; a port scan is none", text)
		}
	})
}

func TestAClientThatClosesWithinItsConnectIsGone(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		e := newEndpoint(t, nil)
		s := settings(MQTT)
		secure(s)
		r := newRig(t, s, e.addr)
		client := enter(r.dial(t))
		send(t, client, connect("half", 0)[:9])
		client.Close()
		r.wantRefused(t, "client_gone", 400)
		e.wantNoDials(t)
	})
}

func TestAStuckHandshakeEndsAtTheHandshakeTimeout(t *testing.T) {
	t.Parallel()
	for name, hello := range map[string]string{"silent": "", "half a ClientHello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const timeout = 200 * time.Millisecond
			e := newEndpoint(t, nil)
			s := settings(MQTT)
			s.TLS, s.HandshakeTimeout = serverTLS(t), timeout
			r := newRig(t, s, e.addr)
			client := r.dial(t)
			start := time.Now()
			send(t, client, []byte(hello))
			receiveEnd(t, client)
			took := time.Since(start)
			r.wantRefused(t, "tls_timeout", 400)
			e.wantNoDials(t)
			if took < timeout-50*time.Millisecond || took > timeout+2*time.Second {
				t.Errorf("closed after %v, want %v", took, timeout)
			}
		})
	}
}

func TestWhatIsNotTLSFailsTheHandshake(t *testing.T) {
	e := newEndpoint(t, nil)
	s := settings(MQTT)
	s.TLS = serverTLS(t)
	r := newRig(t, s, e.addr)
	client := r.dial(t)
	send(t, client, connect("plain", 0))
	receiveEnd(t, client)
	r.wantRefused(t, "tls_failed", 400)
	e.wantNoDials(t)
	if n := r.handshakes[handshakeFailed].Load(); n != 1 {
		t.Errorf("%d failed handshakes were counted", n)
	}
}

func TestNoDeadlineOfTheOpeningOutlivesIt(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		const timeout = 700 * time.Millisecond
		e := newEndpoint(t, echo)
		s := settings(MQTT)
		s.HandshakeTimeout, s.ConnectTimeout, s.ProxyTimeout, s.Route.ConnectTimeout = timeout, timeout, timeout, timeout
		secure(s)
		r := newRig(t, s, e.addr)
		client := enter(r.dial(t))
		packet := connect("long-lived", 0)
		send(t, client, packet)
		receive(t, client, len(packet))
		tick := time.NewTicker(timeout / 5)
		defer tick.Stop()
		for start := time.Now(); time.Since(start) < 2*timeout; {
			<-tick.C
			send(t, client, []byte("still here"))
			receiveText(t, client, "still here")
		}
	})
}
