package proxy

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func TestTCPHalfClosesBothWays(t *testing.T) {
	for _, clientFirst := range []bool{true, false} {
		eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
			e := newEndpoint(t, nil)
			s := settings(TCP)
			secure(s)
			r := newRig(t, s, e.addr)
			client := enter(r.dial(t))
			server := e.next(t)

			var first, second stream = client, server
			reason := "client_closed"
			if !clientFirst {
				first, second, reason = server, client, "upstream_closed"
			}
			send(t, first, []byte("question"))
			must(t, first.CloseWrite())
			question, err := io.ReadAll(second)
			if string(question) != "question" || err != nil {
				t.Errorf("got %q, %v", question, err)
			}
			// The other direction still works, for as much as anybody likes.
			answer := bytes.Repeat([]byte("answer"), 100_000)
			go func() {
				second.Write(answer)
				second.CloseWrite()
			}()
			if got, err := io.ReadAll(first); !bytes.Equal(got, answer) || err != nil {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			r.wantClosed(t, reason)
		})
	}
}

func TestAnEndpointMaySpeakFirst(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		e := newEndpoint(t, func(c *net.TCPConn) { c.Write([]byte("220 welcome")) })
		s := settings(TCP)
		secure(s)
		r := newRig(t, s, e.addr)
		client := enter(r.dial(t))
		receiveText(t, client, "220 welcome")
	})
}

func TestMQTTOverWebSocketIsPassedThrough(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		e := newEndpoint(t, nil)
		s := settings(MQTTOverWebSocket)
		s.Route.SendProxy = 2
		secure(s)
		r := newRig(t, s, e.addr)
		client := enter(r.dial(t))
		server := e.next(t)
		h, rest := receiveHeader(t, server)
		wantAddresses(t, h, 2, client.LocalAddr().String(), r.addr)
		upgrade := "GET /mqtt HTTP/1.1\r\nHost: edge.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
		send(t, client, []byte(upgrade))
		receiveText(t, rest, upgrade)
		send(t, server, []byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
		receiveText(t, client, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		frame := append([]byte{0x82, 0x7e}, connect("in-a-frame", 0)...)
		send(t, client, frame)
		receiveText(t, rest, string(frame))
		client.Close()
		receiveEnd(t, server)
		server.Close()
		if l := r.wantClosed(t, "client_closed"); l.ClientID != "" || l.Connack != nil {
			t.Errorf("access log: %+v", l)
		}
	})
}

func TestAResetOfTheEndpointIsAnOutcomeOfItsOwn(t *testing.T) {
	e := newEndpoint(t, nil)
	r := newRig(t, settings(TCP), e.addr)
	client := r.dial(t)
	server := e.next(t)
	send(t, client, []byte("hello"))
	receiveText(t, server, "hello") // nothing is under way when the reset comes
	must(t, server.SetLinger(0))
	server.Close()
	receiveEnd(t, client)
	client.Close()
	r.wantClosed(t, "upstream_reset")
}
