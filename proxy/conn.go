package proxy

import (
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
	"github.com/mqedge/mqedge/proxy/ws"
)

// mqttLinger is how long one direction of an MQTT connection may outlive the
// other. MQTT has no use for half-close; the time is for bytes under way.
const mqttLinger = 5 * time.Second

// conn is one client connection from accept to the line in the access log.
// There is one for each, for days: what is needed only until the relay has it is
// in early.
type conn struct {
	listener   *Listener
	next, prev *conn // of the listener's table
	id         uint64
	accepted   time.Duration // since listener.began
	greeting   greeting
	lease      balancer.Lease
	extra      *extra // nil for most; see has and more

	mu    sync.Mutex
	pair  relay.Pair // nil until the relay begins
	early *early     // nil from then on

	peerIP      [16]byte
	peerPort    uint16
	keepAlive   uint16 // seconds that are in force; 0 for none
	connackCode int16  // that the client got; -1 for none
	spoken      byte   // the protocol
	places      places
	connectTime micros // of the endpoint that took it
	sent        uint32 // to the endpoint before the relay began
	received    uint32 // from the client before the relay began
	answered    uint32 // by the endpoint before the relay began
}

// early is what a connection has until the relay begins.
type early struct {
	settings   *Settings
	stream     *relay.Conn
	dialled    netip.AddrPort // whom its PROXY header says that the client called; else zero
	closing    string         // why the connection is to end, if told to
	leaving    farewell       // likewise, as soon as it can be told
	aborted    bool           // or at once
	greeted    bool           // it has the endpoint's CONNACK
	header     bool           // its PROXY header was read, if it begins with one
	halfOpen   bool           // counted in listener.halfOpen
	turnedAway bool           // it is heard out only to be told that it is one too many

	room    *room
	upgrade *ws.Upgrade // of MQTT over WebSocket
	rest    []byte      // what came from the endpoint behind its answer to that
}

// tlsInfo is what is kept of a handshake.
type tlsInfo struct {
	version, cipher uint16
	serverName      string
	alpn            string
	clientCN        string // of a verified certificate
	verified        bool   // the client sent a certificate, and it was verified
}

func newConn(l *Listener, stream *relay.Conn) *conn {
	s := l.settings.Load()
	c := &conn{
		listener: l, id: l.lastID.Add(1), accepted: time.Since(l.began),
		spoken: numberOf(s.Protocol), connackCode: -1, early: l.earlies.Get().(*early),
	}
	*c.early = early{settings: s, stream: stream}
	c.setPeer(unmap(stream.Peer()))
	return c
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// from is the real client: the peer, or whom its PROXY header names.
func (c *conn) from() netip.AddrPort {
	if client := c.has().client; client.IsValid() {
		return client
	}
	return c.peer()
}

// since is when the connection was accepted.
func (c *conn) since() time.Time { return c.listener.began.Add(c.accepted) }

// room is for the bytes with which a connection begins. The next one has it when
// serve has ended.
type room struct {
	first   [512]byte // of the client
	answer  [512]byte // of the endpoint
	opening [768]byte // to the endpoint
}

// serve is the life of a connection. It ends when the relay has taken over or
// the connection was refused.
func (c *conn) serve() {
	stream := c.early.stream
	room := c.listener.rooms.Get().(*room)
	defer c.listener.rooms.Put(room)
	c.early.room = room
	if err := c.identify(stream); err != nil {
		c.turnAway(stream, err)
		return
	}
	client, err := c.handshake(stream)
	if err != nil {
		c.refuse(stream, err)
		return
	}
	if c.protocol() == GRPC {
		if err := c.serveCalls(client); err != nil {
			c.refuse(client, err)
		}
		return
	}
	first, err := c.learn(client)
	if err != nil {
		c.refuse(client, err)
		return
	}
	upstream, answer, err := c.reach(first)
	if err != nil {
		c.refuse(client, err)
		return
	}
	if err := c.relay(client, upstream, first, answer); err != nil {
		upstream.Close()
		c.releaseSource()
		c.lease.Done(balancer.Broken)
		c.refuse(client, err)
	}
}

// identify finds out who the client is, from the PROXY header where the peer
// is trusted to send one, and whether it may come in.
func (c *conn) identify(stream *relay.Conn) error {
	s := c.early.settings
	if !take(&c.listener.places, s.MaxConnections) {
		return &refusal{reason: reasonMaxConnections, status: 503, limit: true}
	}
	c.places |= placed
	trusted := contains(s.Trust, c.peer().Addr())
	if trusted {
		if err := c.readProxyHeader(stream); err != nil {
			return err
		}
	}
	c.early.header = true
	from := c.from().Addr()
	if contains(s.Deny, from) || len(s.Allow) > 0 && !contains(s.Allow, from) {
		return &refusal{reason: reasonDenied, status: 403}
	}
	if s.MaxConnectionsPerIP > 0 {
		if !c.listener.takePlaceOf(from, s.MaxConnectionsPerIP) {
			return &refusal{reason: reasonMaxPerIP, status: 503, limit: true}
		}
		c.places |= placedByIP
	}
	if c.early.halfOpen = take(&c.listener.halfOpen, s.MaxHalfOpen); !c.early.halfOpen {
		return &refusal{reason: reasonMaxHalfOpen, status: 503}
	}
	if s.Trust != nil && !trusted {
		if err := c.refuseProxyHeader(stream); err != nil {
			return err
		}
	}
	return c.waitTurn(stream)
}

// learn reads the CONNECT packet of an MQTT client. It returns all bytes that
// came, to be passed on as they are.
func (c *conn) learn(client net.Conn) ([]byte, error) {
	s := c.early.settings
	if !c.protocol().isMQTT() {
		return nil, nil
	}
	client.SetReadDeadline(time.Now().Add(s.ConnectTimeout))
	var connect mqtt.Connect
	var first []byte
	var err error
	if c.protocol() == MQTTOverWebSocket {
		connect, first, err = c.learnUpgraded(client)
	} else {
		connect, first, err = mqtt.ReadConnect(client, c.early.room.first[:], s.MaxConnectSize)
	}
	c.received = uint32(len(first))
	c.listener.bytes.FromClient.Add(uint64(len(first)))
	if err == nil {
		c.mu.Lock() // others may list it from now on
		c.greeting = greetingOf(connect)
		c.mu.Unlock()
		return first, nil
	}
	reason, status := reasonClientGone, 400
	var bad *ws.RefusalError
	switch {
	case errors.As(err, &bad):
		reason, status = reasonNotWebSocket, bad.Status
	case errors.Is(err, ws.ErrProtocol), errors.Is(err, ws.ErrText):
		reason = reasonNotWebSocket
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
	return nil, &refusal{reason: reason, status: status, err: err}
}

// learnUpgraded answers the client's upgrade to WebSocket, so that it sends its
// CONNECT, and reads that.
func (c *conn) learnUpgraded(client net.Conn) (mqtt.Connect, []byte, error) {
	u, rest, err := ws.ReadUpgrade(client, ws.MaxUpgrade)
	if err != nil {
		var bad *ws.RefusalError
		if errors.As(err, &bad) {
			c.farewell(client, ws.AppendRefusal(nil, bad.Status, bad.Error()))
		}
		return mqtt.Connect{}, nil, err
	}
	if _, err := client.Write(u.AppendAccept(nil)); err != nil {
		return mqtt.Connect{}, nil, err
	}
	c.early.upgrade = &u
	connect, first, err := ws.ReadConnect(client, rest, c.early.settings.MaxConnectSize)
	if err != nil && !isGone(err) {
		c.farewell(client, ws.AppendClose(nil, ws.CloseCode(err)))
	}
	return connect, first, err
}

// relay passes the endpoint's answer on and hands both connections over. On
// error it took neither.
func (c *conn) relay(client, upstream net.Conn, first, answer []byte) error {
	if c.isClosing() {
		return &refusal{status: 503}
	}
	s := c.early.settings
	if len(answer) > 0 {
		c.mu.Lock()
		c.early.greeted = true
		c.mu.Unlock()
		client.SetWriteDeadline(time.Now().Add(farewellTime))
		if _, err := client.Write(answer); err != nil {
			return &refusal{reason: reasonClientGone, status: 400, err: err}
		}
		c.answered = uint32(len(answer))
		c.listener.bytes.ToClient.Add(uint64(len(answer)))
		c.countConnack()
	}
	o := relay.Options{Idle: s.IdleTimeout, Counters: &c.listener.bytes}
	if c.protocol().isMQTT() {
		o.Linger = mqttLinger
		o.Follow = c.follow(first, answer)
		if c.keepAlive > 0 {
			o.Idle, o.IdleClient = time.Duration(c.keepAlive)*time.Second*3/2, true // MQTT-3.1.2-22
		}
	}
	return c.handOver(func() (relay.Pair, error) {
		client.SetDeadline(time.Time{})
		upstream.SetDeadline(time.Time{})
		return c.listener.relay.Add(client, upstream, o, c.done)
	})
}

// serveCalls gives a connection to what serves its calls. On error it was not taken.
func (c *conn) serveCalls(client net.Conn) error {
	if c.isClosing() {
		return &refusal{status: 503}
	}
	return c.handOver(func() (relay.Pair, error) {
		client.SetDeadline(time.Time{})
		return c.early.settings.Route.Calls.Add(client, &c.listener.bytes, c.done)
	})
}

// handOver makes what add returns the one who has the connection from now on.
func (c *conn) handOver(add func() (relay.Pair, error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.early.aborted {
		return &refusal{status: 503}
	}
	c.leaveHalfOpen()
	pair, err := add()
	if isLocal(err) {
		return &refusal{reason: reasonLocalLimit, status: 500, err: err}
	}
	if err != nil {
		return &refusal{reason: reasonClientGone, status: 500, err: err}
	}
	leaving := c.early.leaving
	// The next connection has it, for otherwise what is gone at once would lie
	// between what stays, and half of that memory be wasted. Of a connection that is
	// refused somebody may still write to it.
	*c.early = early{}
	c.listener.earlies.Put(c.early)
	c.pair, c.early = pair, nil
	if leaving.reason != "" { // too late for a refusal
		c.part(leaving, 0)
	}
	return nil
}

// leaveHalfOpen gives the place among those that are not served yet back.
func (c *conn) leaveHalfOpen() {
	if c.early.halfOpen {
		c.early.halfOpen = false
		c.listener.halfOpen.Add(-1)
	}
}

func (c *conn) countConnack() {
	if c.connackCode >= 0 {
		c.listener.connacks[c.connackCode].Add(1)
	}
}

// done is called by the relay when both ends are closed.
func (c *conn) done(res relay.Result) {
	outcome := balancer.Served
	if res.Reason == relay.UpstreamReset {
		outcome = balancer.Broken
	}
	c.releaseSource()
	c.lease.Done(outcome)
	reason := string(res.Reason)
	if c.keepAlive > 0 && res.Reason == relay.IdleTimeout {
		reason = reasonKeepAlive
	}
	c.listener.closed.add(reason)
	c.finish(accesslog.Record{
		Status: 200, Reason: reason,
		BytesReceived: uint64(c.received) + res.FromClient, BytesSent: uint64(c.answered) + res.ToClient,
		UpstreamBytesSent: uint64(c.sent) + res.ToUpstream, UpstreamBytesReceived: uint64(c.answered) + res.FromUpstream,
	})
}

// finish ends what refuse and done have in common.
func (c *conn) finish(rec accesslog.Record) {
	l := c.listener
	l.conns.remove(c)
	if c.places&placed != 0 {
		l.places.Add(-1)
	}
	if c.places&placedByIP != 0 {
		l.releasePlaceOf(c.from().Addr())
	}
	r := l.lines.Get().(*lastLine)
	*r = lastLine{Record: rec}
	c.describe(r)
	l.accessLog.Load().Log(&r.Record)
	*r = lastLine{} // it is to hold nothing of the connection
	l.lines.Put(r)
	l.serving.Done()
}

// close ends the connection wherever it is in its life.
func (c *conn) close(why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair != nil {
		c.pair.Close(relay.Reason(why))
		return
	}
	if c.early.closing == "" {
		c.early.closing = why
	}
	c.abort()
}

// abort makes all that the connection waits for before the relay end. c.mu is held.
func (c *conn) abort() {
	if !c.early.aborted {
		c.early.aborted = true
		c.early.stream.Abort()
	}
}

// isClosing reports whether the connection, which no relay has yet, was told to end.
func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.early.closing != ""
}
