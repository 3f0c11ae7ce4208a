package broker

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// connectTimeout bounds the time from the PROXY header to a whole CONNECT; it is EMQX's mqtt.idle_timeout.
const connectTimeout = 15 * time.Second

// conn is an accepted connection. Its header is read by the goroutine that serves it, never by the accept loop.
type conn struct {
	net.Conn
	r      *bufio.Reader
	killed *atomic.Bool // the broker's; once set nothing is sent any more
	header header
	client Client // set when CONNECT was accepted; guarded by listener.mu
}

func newConn(c net.Conn, killed *atomic.Bool) *conn {
	return &conn{Conn: c, r: bufio.NewReader(c), killed: killed}
}

// learn reads the PROXY header. A connection that has none is held until the timeout or a line feed, as EMQX does.
func (c *conn) learn(timeout time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	h, err := readHeader(c.r)
	switch {
	case errors.Is(err, errNoHeader):
		c.skipLine()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w (waited %s)", errNoHeader, timeout)
	}
	if err != nil {
		return err
	}
	c.header = h
	return nil
}

func (c *conn) skipLine() {
	for {
		if b, err := c.r.ReadByte(); err != nil || b == '\n' {
			return
		}
	}
}

func (c *conn) Read(b []byte) (int, error) { return c.r.Read(b) }

// Write fails once the broker is being killed: no will, no DISCONNECT and no close_notify leaves a dead process.
func (c *conn) Write(b []byte) (int, error) {
	if c.killed.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// RemoteAddr is the client's address as the PROXY header gave it.
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.clientAddr()) }

func (c *conn) clientAddr() netip.AddrPort {
	if c.header.source.IsValid() {
		return c.header.source
	}
	return addrPort(c.Conn.RemoteAddr())
}

// identity is what is known of the client before its CONNECT.
func (c *conn) identity() Client {
	return Client{
		Addr:             c.clientAddr(),
		ProxyVersion:     c.header.version,
		ProxySource:      c.header.source,
		ProxyDestination: c.header.destination,
		TLVs:             c.header.tlvs,
	}
}
