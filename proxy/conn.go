package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/accesslog"
	"github.com/mqedge/mqedge/proxy/mqtt"
	"github.com/mqedge/mqedge/proxy/relay"
)

// mqttLinger is how long one direction of an MQTT connection may outlive the
// other. MQTT has no use for half-close; the time is for bytes under way.
const mqttLinger = 5 * time.Second

// conn is one client connection from accept to the line in the access log.
type conn struct {
	listener *Listener
	settings *Settings
	id       uint64
	accepted time.Time
	tcp      *net.TCPConn

	peer   netip.AddrPort // of the TCP connection
	client netip.AddrPort // the real client: the peer, or whom its PROXY header names
	dialed netip.AddrPort // the address the client dialled

	placed     bool // counted in listener.places
	placedByIP bool // counted in listener.perIP

	tls     *tlsInfo // nil on plain TCP
	connect mqtt.Connect
	connack mqtt.Connack

	attempts []accesslog.Attempt
	lease    balancer.Lease
	sent     uint64 // to the endpoint before the relay began
	received uint64 // from the client before the relay began

	next, prev *conn // of the listener's table

	mu       sync.Mutex
	endpoint string     // "" until there is one
	pair     relay.Pair // nil until the relay begins
	closing  string     // why the connection is to end, if told to
	giveUp   func()     // ends a dial; nil when none is under way
}

// tlsInfo is what is kept of a handshake.
type tlsInfo struct {
	version, cipher uint16
	serverName      string
	alpn            string
	clientCN        string // of a verified certificate
	verified        bool   // the client sent a certificate, and it was verified
}

func newConn(l *Listener, tcp *net.TCPConn) *conn {
	c := &conn{listener: l, settings: l.settings.Load(), id: l.lastID.Add(1), accepted: time.Now(), tcp: tcp}
	c.peer, c.dialed = addrPort(tcp.RemoteAddr()), addrPort(tcp.LocalAddr())
	c.client = c.peer
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// serve is the life of a connection. It ends when the relay has taken over or
// the connection was refused.
func (c *conn) serve() {
	stream, err := c.identify()
	if err != nil {
		c.refuse(c.tcp, err)
		return
	}
	client, err := c.handshake(stream)
	if err != nil {
		c.refuse(c.tcp, err)
		return
	}
	first, err := c.learn(client)
	if err != nil {
		c.refuse(client, err)
		return
	}
	upstream, err := c.reach(first)
	if err != nil {
		c.refuse(client, err)
		return
	}
	if err := c.relay(client, upstream); err != nil {
		upstream.Close()
		c.lease.Done(balancer.Broken)
		c.refuse(client, err)
	}
}

// identify finds out who the client is, from the PROXY header where the peer
// is trusted to send one, and whether it may come in.
func (c *conn) identify() (*relay.Conn, error) {
	s := c.settings
	if c.placed = c.listener.takePlace(s.MaxConnections); !c.placed {
		return nil, &refusal{reason: reasonMaxConnections, status: 503}
	}
	trusted := contains(s.Trust, c.peer.Addr())
	var unread []byte
	var err error
	if trusted {
		if unread, err = c.readProxyHeader(); err != nil {
			return nil, err
		}
	}
	from := c.client.Addr()
	if contains(s.Deny, from) || len(s.Allow) > 0 && !contains(s.Allow, from) {
		return nil, &refusal{reason: reasonDenied, status: 403}
	}
	if s.MaxConnectionsPerIP > 0 {
		if c.placedByIP = c.listener.takePlaceOf(from, s.MaxConnectionsPerIP); !c.placedByIP {
			return nil, &refusal{reason: reasonMaxPerIP, status: 503}
		}
	}
	if s.Trust != nil && !trusted {
		if unread, err = c.refuseProxyHeader(); err != nil {
			return nil, err
		}
	}
	stream, err := relay.NewConn(c.tcp, unread)
	if err != nil {
		return nil, &refusal{reason: reasonClientGone, status: 400, err: err}
	}
	return stream, nil
}

// handshake terminates TLS where the listener has it.
func (c *conn) handshake(stream *relay.Conn) (net.Conn, error) {
	s := c.settings
	if s.TLS == nil {
		return stream, nil
	}
	start := time.Now()
	stream.SetDeadline(start.Add(s.HandshakeTimeout))
	t := tls.Server(stream, s.TLS)
	if err := t.Handshake(); err != nil {
		c.listener.countHandshake(handshakeFailed, time.Since(start))
		reason := reasonTLSFailed
		switch {
		case isTimeout(err):
			reason = reasonTLSTimeout
		case isGone(err):
			reason = reasonClientGone
		}
		return nil, &refusal{reason: reason, status: 400, err: explainHandshake(err)}
	}
	state := t.ConnectionState()
	result := handshakeFull
	if state.DidResume {
		result = handshakeResumed
	}
	c.listener.countHandshake(result, time.Since(start))
	c.tls = &tlsInfo{version: state.Version, cipher: state.CipherSuite, serverName: state.ServerName, alpn: state.NegotiatedProtocol}
	if len(state.VerifiedChains) > 0 {
		c.tls.verified = true
		c.tls.clientCN = state.PeerCertificates[0].Subject.CommonName
	}
	return t, nil
}

// learn reads the CONNECT packet of an MQTT client. It returns all bytes that
// came, to be passed on as they are.
func (c *conn) learn(client net.Conn) ([]byte, error) {
	s := c.settings
	if s.Protocol != MQTT {
		return nil, nil
	}
	client.SetReadDeadline(time.Now().Add(s.ConnectTimeout))
	connect, first, err := mqtt.ReadConnect(client, s.MaxConnectSize)
	c.received = uint64(len(first))
	c.listener.bytes.FromClient.Add(c.received)
	if err == nil {
		c.mu.Lock() // others may list it from now on
		c.connect = connect
		c.mu.Unlock()
		return first, nil
	}
	reason := reasonClientGone
	switch {
	case errors.Is(err, mqtt.ErrTooLarge):
		reason = reasonConnectTooLarge
	case errors.Is(err, mqtt.ErrNotConnect):
		reason = reasonNotMQTT
	case errors.Is(err, mqtt.ErrMalformed):
		reason = reasonMalformedConnect
	case isTimeout(err):
		reason = reasonConnectTimeout
	}
	if err == io.EOF {
		err = nil // a port scan or a check of a load balancer
	}
	return nil, &refusal{reason: reason, status: 400, err: err}
}

// relay hands both connections over. On error it took neither.
func (c *conn) relay(client, upstream net.Conn) error {
	s := c.settings
	o := relay.Options{Idle: s.IdleTimeout, Counters: &c.listener.bytes}
	if s.Protocol == MQTT {
		o.Linger = mqttLinger
		o.Observe = c.observe
		if k := c.connect.KeepAlive; k > 0 {
			o.Idle, o.IdleClient = time.Duration(k)*time.Second*3/2, true // MQTT-3.1.2-22
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != "" {
		return &refusal{reason: c.closing, status: 503}
	}
	client.SetDeadline(time.Time{})
	upstream.SetDeadline(time.Time{})
	pair, err := c.listener.relay.Add(client, upstream, o, c.done)
	if isLocal(err) {
		return &refusal{reason: reasonLocalLimit, status: 500, err: err}
	}
	if err != nil {
		return &refusal{reason: reasonClientGone, status: 500, err: err}
	}
	c.pair, c.tcp = pair, nil // the relay has the socket
	return nil
}

func (c *conn) observe(p []byte) bool {
	if !c.connack.Observe(p) {
		return false
	}
	if code := c.connack.Code(); code >= 0 {
		c.listener.connacks[code].Add(1)
	}
	return true
}

// done is called by the relay when both ends are closed.
func (c *conn) done(res relay.Result) {
	outcome := balancer.Served
	if res.Reason == relay.UpstreamReset {
		outcome = balancer.Broken
	}
	c.lease.Done(outcome)
	reason := string(res.Reason)
	if c.settings.Protocol == MQTT && c.connect.KeepAlive > 0 && res.Reason == relay.IdleTimeout {
		reason = reasonKeepAlive
	}
	c.listener.closed.add(reason)
	c.finish(&accesslog.Record{
		Status: 200, Reason: reason,
		BytesReceived: c.received + res.FromClient, BytesSent: res.ToClient,
		UpstreamBytesSent: c.sent + res.ToUpstream, UpstreamBytesReceived: res.FromUpstream,
	})
}

// refuse closes a connection that is not served.
func (c *conn) refuse(client net.Conn, err error) {
	if t, ok := client.(*tls.Conn); ok {
		t.CloseWrite()
	}
	c.tcp.Close()
	r := &refusal{reason: reasonClientGone, status: 400, err: err}
	errors.As(err, &r)
	c.mu.Lock()
	if c.closing != "" { // the error is only how it came about
		r = &refusal{reason: c.closing, status: 503}
	}
	c.mu.Unlock()
	l := c.listener
	l.refused.add(r.reason)
	text := r.Error()
	if r.reason != reasonClientGone {
		l.lastRefusal.Store(&text)
	}
	l.log.Debug("refused", "client", c.client, "peer", c.peer, "reason", r.reason, "error", r.err)
	c.finish(&accesslog.Record{Status: r.status, Reason: r.reason, BytesReceived: c.received})
}

// finish ends what refuse and done have in common.
func (c *conn) finish(rec *accesslog.Record) {
	l := c.listener
	l.conns.remove(c)
	if c.placed {
		l.places.Add(-1)
	}
	if c.placedByIP {
		l.releasePlaceOf(c.client.Addr())
	}
	c.describe(rec)
	l.accessLog.Load().Log(rec)
	l.serving.Done()
}

// close ends the connection wherever it is in its life.
func (c *conn) close(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != "" {
		return
	}
	c.closing = why
	if c.pair != nil {
		c.pair.Close(relay.Reason(why))
		return
	}
	if c.giveUp != nil {
		c.giveUp()
	}
	c.tcp.Close()
}

// isClosing reports whether the connection was told to end.
func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != ""
}
