package proxy

import (
	"net"
	"time"

	"github.com/mqedge/mqedge/proxy/relay"
)

// handshake terminates TLS where the listener has it.
func (c *conn) handshake(stream *relay.Conn) (net.Conn, error) {
	s := c.early.settings
	if s.TLS == nil {
		return stream, nil
	}
	start := time.Now()
	t := turnstile{conn: c, stream: stream, expires: start.Add(s.HandshakeTimeout)}
	stream.SetDeadline(t.expires)
	var full func() error
	if s.FullHandshakes.PerSecond > 0 {
		full = t.pass
	}
	secure, state, err := c.listener.relay.Handshake(stream, s.TLS, full)
	if t.refused != nil {
		return nil, t.refused
	}
	took := time.Since(start) - t.waited
	if err != nil {
		c.listener.countHandshake(handshakeFailed, took)
		reason := reasonTLSFailed
		switch {
		case isTimeout(err):
			reason = reasonTLSTimeout
		case isGone(err):
			reason = reasonClientGone
		}
		return nil, &refusal{reason: reason, status: 400, err: explainHandshake(err)}
	}
	result := handshakeFull
	if state.DidResume {
		result = handshakeResumed
	}
	c.listener.countHandshake(result, took)
	info := tlsInfo{version: state.Version, cipher: state.CipherSuite, serverName: state.ServerName, alpn: state.NegotiatedProtocol}
	if len(state.VerifiedChains) > 0 {
		info.verified = true
		info.clientCN = state.PeerCertificates[0].Subject.CommonName
	}
	c.more().tls = info
	return secure, nil
}
