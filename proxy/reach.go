package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/accesslog"
	"github.com/mqedge/mqedge/proxy/relay"
)

// upstreamKeepAlive finds endpoints that vanished without a word, in two
// minutes. Probes cost nothing worth saving between servers.
var upstreamKeepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// staleAfter is how long an MQTT client may have waited before it is looked
// whether it still does. One that gave up may be connected again already, and
// its old CONNECT would throw the new connection out (MQTT-3.1.4-3).
const staleAfter = 100 * time.Millisecond

var errClientLeft = errors.New("the client left while its endpoint was dialled")

// reach picks endpoints until one takes the connection, the PROXY header and
// the client's first bytes.
func (c *conn) reach(first []byte) (net.Conn, error) {
	r := &c.settings.Route
	began := time.Now()
	ctx, giveUp := context.WithCancel(context.Background())
	c.whileDialling(giveUp)
	defer func() {
		c.whileDialling(nil)
		giveUp()
	}()
	var avoid []balancer.NodeID
	var last error
	for {
		lease, err := r.Upstream.Pick(balancer.PickInfo{Avoid: avoid})
		if err != nil {
			if last != nil {
				return nil, unreachable(last)
			}
			return nil, &refusal{reason: reasonNoEndpoint, status: 502, err: err}
		}
		start := time.Now()
		upstream, err := c.connectTo(ctx, lease.Addr(), first, began)
		took := time.Since(start)
		c.attempts = append(c.attempts, accesslog.Attempt{Addr: lease.Addr(), ConnectTime: took, Failed: err != nil})
		if err == nil {
			lease.Established(took)
			c.mu.Lock()
			c.lease, c.endpoint = lease, lease.Addr()
			c.mu.Unlock()
			return upstream, nil
		}
		if err == errClientLeft {
			lease.Done(balancer.Served) // it did take the connection
			return nil, &refusal{reason: reasonClientGone, status: 400, err: err}
		}
		last = fmt.Errorf("%s: %w", lease.Addr(), err)
		avoid = append(avoid, lease.ID())
		if isLocal(err) {
			lease.Done(balancer.Broken)
		} else {
			lease.DoneError(balancer.ConnectFailed, err)
		}
		if len(avoid) == r.Tries || isExhausted(err) || c.isClosing() {
			return nil, unreachable(last)
		}
	}
}

// whileDialling names what ends the dial under way when the connection is to
// end; nil when there is none any more.
func (c *conn) whileDialling(giveUp func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.giveUp = giveUp
	if giveUp != nil && c.closing != "" {
		giveUp()
	}
}

// connectTo dials addr and sends what the endpoint is to see first: the PROXY
// header and the client's first bytes, in one write where there is no TLS
// between them. EMQX asks for the header to be first and whole.
func (c *conn) connectTo(ctx context.Context, addr string, first []byte, began time.Time) (net.Conn, error) {
	r := &c.settings.Route
	deadline := time.Now().Add(r.ConnectTimeout)
	dialer := net.Dialer{Deadline: deadline, KeepAliveConfig: upstreamKeepAlive}
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	if time.Since(began) > staleAfter && c.settings.Protocol == MQTT && hasLeft(c.tcp) {
		raw.Close()
		return nil, errClientLeft
	}
	opening := make([]byte, 0, len(first)+256)
	if r.SendProxy != 0 {
		if opening, err = c.appendProxyHeader(opening, r.SendProxy); err != nil {
			raw.Close()
			return nil, err
		}
	}
	stream, err := relay.NewConn(raw.(*net.TCPConn), nil)
	if err != nil {
		raw.Close()
		return nil, err
	}
	upstream, err := c.open(stream, addr, deadline, opening, first)
	if err != nil {
		raw.Close()
		return nil, err
	}
	c.sent = uint64(len(opening) + len(first))
	return upstream, nil
}

func (c *conn) open(stream *relay.Conn, addr string, deadline time.Time, header, first []byte) (net.Conn, error) {
	stream.SetDeadline(deadline)
	r := &c.settings.Route
	if r.TLS == nil {
		if opening := append(header, first...); len(opening) > 0 {
			_, err := stream.Write(opening)
			return stream, err
		}
		return stream, nil
	}
	if len(header) > 0 {
		if _, err := stream.Write(header); err != nil {
			return nil, err
		}
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	t := tls.Client(stream, r.TLS(host))
	if err := t.Handshake(); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	if len(first) > 0 {
		if _, err := t.Write(first); err != nil {
			return nil, err
		}
	}
	return t, nil
}
