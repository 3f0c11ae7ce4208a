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
