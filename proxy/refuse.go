package proxy

import (
	"errors"
	"net"
	"time"

	"github.com/mqedge/mqedge/proxy/accesslog"
	"github.com/mqedge/mqedge/proxy/mqtt"
	"github.com/mqedge/mqedge/proxy/relay"
	"github.com/mqedge/mqedge/proxy/ws"
)

const (
	// farewellTime is how long a client may take to receive what is said to it
	// before the relay begins.
	farewellTime = 2 * time.Second
	// mostTurnedAway is how many connections beyond a limit may be at a time on
	// their way to being told so in MQTT, in turnAwayTime. The others are closed.
	mostTurnedAway = 64
	turnAwayTime   = 3 * time.Second
)

// turnAway refuses a connection before anything of it was read. A client that is
// one too many is heard out, so that it can be told in words of MQTT, unless that
// would be one too many again.
func (c *conn) turnAway(stream *relay.Conn, err error) {
	client := net.Conn(stream)
	var r *refusal
	if errors.As(err, &r) && r.limit && c.protocol().isMQTT() {
		defer c.listener.turnedAway.Add(-1)
		if c.listener.turnedAway.Add(1) <= mostTurnedAway {
			client = c.hearOut(stream)
		}
	}
	c.refuse(client, err)
}

// hearOut reads as far as CONNECT, if that comes soon, and returns what the
// client can be answered by.
func (c *conn) hearOut(stream *relay.Conn) net.Conn {
	s := *c.early.settings
	s.HandshakeTimeout, s.ConnectTimeout = min(s.HandshakeTimeout, turnAwayTime), min(s.ConnectTimeout, turnAwayTime)
	s.ProxyTimeout = min(s.ProxyTimeout, turnAwayTime)
	c.early.settings, c.early.turnedAway = &s, true
	if !c.early.header && contains(s.Trust, c.peer().Addr()) && c.readProxyHeader(stream) != nil {
		return stream
	}
	client, err := c.handshake(stream)
	if err != nil {
		return stream
	}
	c.learn(client)
	return client
}

// refuse closes a connection that is not served, with a CONNACK that says why
// where the client has sent a CONNECT (MQTT 5.0 section 3.2.2.2).
func (c *conn) refuse(client net.Conn, err error) {
	c.mu.Lock()
	why, aborted := c.early.closing, c.early.aborted
	c.mu.Unlock()
	r := &refusal{reason: reasonClientGone, status: 400, err: err}
	errors.As(err, &r)
	if why != "" { // the error is only how it came about
		r = &refusal{reason: why, status: 503}
	}
	if words := c.words(r); words != nil && !aborted {
		c.farewell(client, words)
		c.countConnack()
	}
	if t, ok := client.(interface{ CloseWrite() error }); ok {
		t.CloseWrite() // close_notify, where there is TLS
	}
	c.early.stream.Close()
	l := c.listener
	c.leaveHalfOpen()
	l.refused.add(r.reason)
	text := r.Error()
	if r.reason != reasonClientGone {
		l.lastRefusal.Store(&text)
	}
	l.log.Debug("refused", "client", c.from(), "peer", c.peer(), "reason", r.reason, "error", r.err)
	c.finish(accesslog.Record{
		Status: r.status, Reason: r.reason,
		BytesReceived: uint64(c.received), BytesSent: uint64(c.answered),
	})
}

// words are the CONNACK that refuses the client, the endpoint's own if there is
// one; nil if it is to hear none.
func (c *conn) words(r *refusal) []byte {
	if c.greeting.level == 0 || c.early.greeted {
		return nil
	}
	var d *declined
	if errors.As(r.err, &d) {
		c.connackCode = int16(d.code)
		return d.answer
	}
	code, ok := connackFor(r.reason)
	if !ok {
		return nil
	}
	packet := mqtt.AppendConnack(nil, c.greeting.level, code)
	c.connackCode = int16(packet[3]) // in every version
	if c.early.upgrade == nil {
		return packet
	}
	return ws.AppendClose(ws.AppendFrame(nil, packet), ws.CloseTryAgainLater)
}

// farewell is the last that the client is told. The client is given the time to
// read it: closing while bytes of its own are unread would make the kernel throw
// it away (RFC 2525 section 2.17).
func (c *conn) farewell(client net.Conn, words []byte) {
	until := time.Now().Add(farewellTime)
	client.SetDeadline(until)
	n, err := client.Write(words)
	c.answered += uint32(n)
	c.listener.bytes.ToClient.Add(uint64(n))
	if err != nil {
		return
	}
	if t, ok := client.(interface{ CloseWrite() error }); ok {
		t.CloseWrite()
	}
	c.early.stream.CloseWrite()
	c.early.stream.SetReadDeadline(time.Now().Add(farewellTime / 4))
	buf := make([]byte, 512)
	for range 64 {
		if _, err := c.early.stream.Read(buf); err != nil {
			return
		}
	}
}
