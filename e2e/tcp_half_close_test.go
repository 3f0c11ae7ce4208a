package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"testing"
)

// halfCloser is a TCP or TLS connection.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

const opaque = `
listeners:
  tcp: {bind: 127.0.0.1:0, protocol: tcp, upstream: any, idle_timeout: 30s}
  tls: {bind: 127.0.0.2:0, protocol: tcp, upstream: any, idle_timeout: 30s, tls: {certificates: [%s]}}
upstreams:
  any: {endpoints: %s}
`

func TestAClientThatHasSaidAllStillHearsTheAnswer(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	node := startFake(t, func(c net.Conn) { // answers when all was asked
		asked, _ := io.ReadAll(c)
		fmt.Fprintf(c, "%x", sha256.Sum256(asked))
	})
	e := start(t, fmt.Sprintf(opaque, pki.server().yaml(), endpoints(node.address())))
	for name, c := range map[string]halfCloser{
		"tcp": dial(t, e.addr("tcp")), "tls": dialTLS(t, e.addr("tls"), pki.trusting()),
	} {
		question := make([]byte, 300_000)
		_, err := c.Write(question)
		must(t, err)
		must(t, c.CloseWrite())
		answer, err := io.ReadAll(c)
		if err != nil || string(answer) != fmt.Sprintf("%x", sha256.Sum256(question)) {
			t.Errorf("%s: answer %q, %v", name, answer, err)
		}
	}
	e.awaitMetric(`mqedge_connections_closed_total{listener="tcp",reason="client_closed"}`, 1)
	e.awaitMetric(`mqedge_connections_closed_total{listener="tls",reason="client_closed"}`, 1)
}

func TestAnEndpointThatHasSaidAllStillHearsTheClient(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	heard := make(chan string, 2)
	node := startFake(t, func(c net.Conn) {
		io.WriteString(c, "goodbye")
		c.(*net.TCPConn).CloseWrite()
		text, _ := io.ReadAll(c)
		heard <- string(text)
	})
	e := start(t, fmt.Sprintf(opaque, pki.server().yaml(), endpoints(node.address())))
	for name, c := range map[string]halfCloser{
		"tcp": dial(t, e.addr("tcp")), "tls": dialTLS(t, e.addr("tls"), pki.trusting()),
	} {
		said, err := io.ReadAll(c)
		if err != nil || string(said) != "goodbye" {
			t.Errorf("%s: the endpoint said %q, %v", name, said, err)
		}
		_, err = c.Write([]byte("and to you"))
		must(t, err)
		must(t, c.CloseWrite())
		if got := <-heard; got != "and to you" {
			t.Errorf("%s: the endpoint heard %q", name, got)
		}
	}
	e.awaitMetric(`mqedge_connections_closed_total{listener="tcp",reason="upstream_closed"}`, 1)
	e.awaitMetric(`mqedge_connections_closed_total{listener="tls",reason="upstream_closed"}`, 1)
}
