package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/accesslog"
	"github.com/mqedge/mqedge/proxy/mqtt"
	"github.com/mqedge/mqedge/proxy/relay"
	"github.com/mqedge/mqedge/proxy/ws"
)

const (
	// staleAfter is how long an MQTT client may have waited before it is looked
	// whether it still does. One that gave up may be connected again already, and
	// its old CONNECT would throw the new connection out (MQTT-3.1.4-3).
	staleAfter = 100 * time.Millisecond
	// connackTimeout is how long one endpoint may take to answer CONNECT. EMQX asks
	// databases and hook servers before it does.
	connackTimeout = 15 * time.Second
	// reachTimeout is for how long another endpoint is tried: clients wait no longer.
	reachTimeout = 20 * time.Second
)

var (
	errClientLeft = errors.New("the client left while its endpoint was dialled")
	errNoAnswer   = errors.New("no CONNACK")
)

// reach picks endpoints until one takes the connection, the PROXY header and
// the client's first bytes, and, where they are CONNECT, has answered. The
// answer is for the client.
func (c *conn) reach(first []byte) (upstream net.Conn, answer []byte, err error) {
	r := &c.early.settings.Route
	began := time.Now()
	info := balancer.PickInfo{Key: c.key(r.HashKey)}
	var last error
	for {
		if c.isClosing() {
			return nil, nil, unreachable(last)
		}
		lease, err := r.Upstream.Pick(info)
		if err != nil {
			if last != nil {
				return nil, nil, unreachable(last)
			}
			return nil, nil, &refusal{reason: reasonNoEndpoint, status: 502, err: err}
		}
		start := time.Now()
		upstream, err := c.connectTo(lease.Addr(), first, began)
		took := time.Since(start)
		if err == nil {
			lease.Established(took)
			answer, err = c.await(upstream)
			if err == nil {
				if c.protocol().isMQTT() {
					lease.Answered(time.Since(start) - took)
				}
				c.mu.Lock()
				c.lease, c.connectTime = lease, microsOf(took)
				c.mu.Unlock()
				return upstream, answer, nil
			}
			upstream.Close()
		}
		c.releaseSource()
		x := c.more()
		x.failed = append(x.failed, accesslog.Attempt{Addr: lease.Addr(), ConnectTime: took, Failed: true})
		if err == errClientLeft {
			lease.Done(balancer.Served) // it did take the connection
			return nil, nil, &refusal{reason: reasonClientGone, status: 400, err: err}
		}
		last = fmt.Errorf("%s: %w", lease.Addr(), err)
		info.Avoid = append(info.Avoid, lease.ID())
		blame(&lease, err)
		final := c.early.settings.OneEndpoint && c.sent > 0 // it may have seen CONNECT
		if final || len(info.Avoid) == r.Tries || time.Since(began) > reachTimeout || !mayRetry(err) {
			return nil, nil, unreachable(last)
		}
	}
}

// key is what the pool is to keep together, by what [Route].HashKey says.
func (c *conn) key(by string) balancer.Key {
	var key string
	switch by {
	case "":
		return 0
	case "client_id":
		key = c.greeting.connect().ClientID
	case "username":
		key = c.greeting.connect().Username
	case "sni":
		if t := c.tls(); t != nil {
			key = t.serverName
		}
	}
	if key == "" {
		key = c.from().Addr().String()
	}
	return balancer.KeyOf(key)
}

// connectTo dials addr and sends what the endpoint is to see first: the PROXY
// header and the client's first bytes, in one write where there is no TLS
// between them. EMQX asks for the header to be first and whole.
func (c *conn) connectTo(addr string, first []byte, began time.Time) (net.Conn, error) {
	s := c.early.settings
	c.sent = 0
	deadline := time.Now().Add(s.Route.ConnectTimeout)
	stream, err := c.dial(addr, deadline)
	if err != nil {
		return nil, err
	}
	if time.Since(began) > staleAfter && c.protocol().isMQTT() && c.early.stream.Left() {
		stream.Close()
		return nil, errClientLeft
	}
	opening := c.early.room.opening[:0]
	if version := s.Route.SendProxy; version != 0 {
		if opening, err = c.appendProxyHeader(opening, version); err != nil {
			stream.Close()
			return nil, err
		}
	}
	upstream, err := c.open(stream, addr, deadline, opening, first)
	if err != nil {
		stream.Close()
		return nil, err
	}
	return upstream, nil
}

func (c *conn) open(stream *relay.Conn, addr string, deadline time.Time, header, first []byte) (net.Conn, error) {
	stream.SetDeadline(deadline)
	r := &c.early.settings.Route
	upstream := net.Conn(stream)
	if r.TLS != nil {
		if err := c.tell(stream, header); err != nil {
			return nil, err
		}
		header = nil
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		t := tls.Client(stream, r.TLS(host))
		if err := t.Handshake(); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
		upstream = t
	}
	if u := c.early.upgrade; u != nil {
		return upstream, c.upgrade(upstream, u, header, first)
	}
	return upstream, c.tell(upstream, append(header, first...))
}

func (c *conn) tell(upstream net.Conn, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	n, err := upstream.Write(b)
	c.sent += uint32(n)
	return err
}

// upgrade asks the endpoint to speak WebSocket and passes the client's frames on.
func (c *conn) upgrade(upstream net.Conn, u *ws.Upgrade, header, first []byte) error {
	key := ws.NewKey()
	if err := c.tell(upstream, u.AppendRequest(header, key, c.from())); err != nil {
		return err
	}
	rest, err := ws.ReadAccepted(upstream, key)
	if err != nil {
		return err
	}
	c.early.rest = rest
	return c.tell(upstream, first)
}

// declined is the error of an endpoint that answered CONNECT with a CONNACK after
// which another one may accept it.
type declined struct {
	level, code byte
	answer      []byte // as it came
}

func (d *declined) Error() string {
	return "answered CONNECT with " + mqtt.CodeName(d.level, d.code)
}

// await reads the endpoint's answer to CONNECT, which is not shown to the client
// while another endpoint may give a better one.
func (c *conn) await(upstream net.Conn) ([]byte, error) {
	if !c.protocol().isMQTT() {
		return nil, nil
	}
	s := c.early.settings
	c.keepAlive = c.greeting.keepAlive
	upstream.SetReadDeadline(time.Now().Add(connackTimeout))
	var connack mqtt.Connack
	var answer []byte
	var err error
	if c.early.upgrade != nil {
		connack, answer, err = ws.ReadConnack(upstream, c.early.rest, c.greeting.level, s.MaxConnectSize)
	} else {
		connack, answer, err = mqtt.ReadConnack(upstream, c.early.room.answer[:], c.greeting.level, s.MaxConnectSize)
	}
	switch {
	case errors.Is(err, mqtt.ErrAuthFirst), errors.Is(err, mqtt.ErrTooLarge), errors.Is(err, mqtt.ErrNotConnack) && len(answer) > 0:
		return answer, nil // client and endpoint may understand each other
	case isTimeout(err):
		return nil, fmt.Errorf("%w within %v", errNoAnswer, connackTimeout)
	case err != nil:
		return nil, fmt.Errorf("%w, it closed the connection: %w", errNoAnswer, err)
	case !s.OneEndpoint && mqtt.Retryable(c.greeting.level, connack.ReasonCode):
		return nil, &declined{c.greeting.level, connack.ReasonCode, answer}
	}
	c.connackCode = int16(connack.ReasonCode)
	if connack.HasServerKeepAlive { // MQTT-3.2.2-21
		c.keepAlive = connack.ServerKeepAlive
	}
	return answer, nil
}

// mayRetry reports whether another endpoint could do better than the one that
// failed with err.
func mayRetry(err error) bool {
	var refused *ws.StatusError
	return !isExhausted(err) && !errors.As(err, &refused)
}

// blame tells the pool what became of the endpoint.
func blame(lease *balancer.Lease, err error) {
	var d *declined
	var status *ws.StatusError
	switch {
	case errors.As(err, &d):
		// EMQX says 0x89 to a client that comes back faster than it can clean up, and the others speak of other nodes.
		if d.code == mqtt.ServerUnavailable || d.code == mqtt.QuotaExceeded || d.level != mqtt.Level5 {
			lease.DoneError(balancer.Refused, err)
			return
		}
		lease.Done(balancer.Broken)
	case isLocal(err), errors.As(err, &status):
		lease.Done(balancer.Broken)
	case errors.Is(err, errNoAnswer):
		lease.DoneError(balancer.Refused, err)
	default:
		lease.DoneError(balancer.ConnectFailed, err)
	}
}
