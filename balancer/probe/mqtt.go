package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
)

// MQTT is a client that connects with a clean session and no will, pings once and disconnects. A refusal that is about
// the client (its id, its credentials, a ban, its version of MQTT) counts as alive.
//
// When the endpoint does not answer CONNECT, or answers that it makes no sense, the probe tries once more the other
// way round, with a PROXY header or without. If that is answered, the result is a [*ProxyMismatch]. An endpoint that says
// nothing at all has half the time for its answer before the second try is made beside the first.
type MQTT struct {
	Proxy byte                                // version of the PROXY header: 1, 2, or 0 for none
	TLS   func(serverName string) *tls.Config // nil = plain TCP
	Level byte                                // 4 is MQTT 3.1.1; 5 or 0 is MQTT 5.0, which alone tells evacuation from failure

	// ClientID is what the client id begins with; the address follows, for a client id is unique in a cluster and its
	// nodes are probed at the same time. Other edges need another one, or they throw each other's probes out.
	// "" is "mqedge-probe", the host's name and the process id.
	ClientID string
	Username string
	Password string
}

// opening is how a connection begins.
type opening struct {
	addr     string
	proxy    byte
	connect  []byte
	answered func() // called when the endpoint made sense of it
}

// Probe implements [balancer.Prober].
func (m MQTT) Probe(ctx context.Context, addr string) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return unlessCanceled(ctx, m.probe(ctx, addr))
}

func (m MQTT) probe(ctx context.Context, addr string) error {
	connect, err := m.connectPacket(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	return bothWays(ctx, cancel, m.Proxy != 0,
		func(_ context.Context, answered func()) error {
			return m.talk(first, opening{addr, m.Proxy, connect, answered})
		},
		func(ctx context.Context, answered func()) error {
			c, err := dial(ctx, addr)
			if err != nil {
				return err
			}
			return m.talk(c, opening{addr, m.otherWay(), connect, answered})
		})
}

// otherWay is the PROXY version that is not configured.
func (m MQTT) otherWay() byte {
	if m.Proxy == 0 {
		return 2
	}
	return 0
}

// talk is the life of a connection.
func (m MQTT) talk(c *conn, o opening) error {
	defer c.hangUp()
	header, err := c.proxyHeader(o.proxy)
	if err != nil {
		return err
	}
	if m.TLS != nil {
		if len(header) > 0 {
			if _, err := c.Write(header); err != nil {
				return missing("TLS handshake", err)
			}
		}
		if err := c.startTLS(m.TLS, o.addr); err != nil {
			var distrust *tls.CertificateVerificationError
			if errors.As(err, &distrust) {
				o.answered()
			}
			return err
		}
		header = nil
	}
	if _, err := c.Write(append(header, o.connect...)); err != nil {
		return missing("CONNACK", err)
	}
	r := bufio.NewReader(io.LimitReader(c, longestAnswer))
	answer, err := readConnack(r, m.level())
	if err != nil {
		return err
	}
	if !answer.senseless() {
		o.answered()
	}
	if !answer.accepted() {
		return answer.refusal()
	}
	return m.ping(c, r)
}

// ping sends PINGREQ and, after PINGRESP, DISCONNECT. What EMQX sends by itself in between, like retained messages of an
// automatic subscription, is passed over.
func (m MQTT) ping(w io.Writer, r *bufio.Reader) error {
	if _, err := w.Write([]byte{packetPingreq, 0}); err != nil {
		return missing("PINGRESP", err)
	}
	for {
		kind, body, err := readPacket(r)
		if err != nil {
			return missing("PINGRESP", err)
		}
		switch kind & 0xf0 {
		case packetPingresp:
			if _, err := w.Write([]byte{packetDisconnect, 0}); err != nil {
				return fmt.Errorf("DISCONNECT: %w", reason(err))
			}
			return nil
		case packetDisconnect:
			return disconnected(body)
		}
	}
}

func (m MQTT) level() byte {
	if m.Level == 4 {
		return 4
	}
	return 5
}

func (m MQTT) clientID(addr string) string {
	id := m.ClientID
	if id == "" {
		name, _ := os.Hostname() // without one the process id has to do
		id = fmt.Sprintf("mqedge-probe-%s-%d", name, os.Getpid())
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return id
	}
	return id + "-" + host + "-" + port
}
