package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/pires/go-proxyproto"
)

const (
	longestProbe   = 10 * time.Second       // without a deadline
	longestGoodbye = 250 * time.Millisecond // for the endpoint to close its side
	lastWords      = 4 << 10                // bytes read meanwhile
)

// aLongTimeAgo is a deadline that ends every operation under way.
var aLongTimeAgo = time.Unix(1, 0)

// conn is a connection whose operations end when the context of the probe does.
type conn struct {
	net.Conn // tcp, or TLS over it
	tcp      *net.TCPConn
	ctx      context.Context
	release  func() bool
}

// withDeadline gives ctx a deadline if it has none.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, longestProbe)
}

// dial needs a ctx with a deadline.
func dial(ctx context.Context, addr string) (*conn, error) {
	dialer := net.Dialer{KeepAlive: -1}
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{
		Conn:    raw,
		tcp:     raw.(*net.TCPConn),
		ctx:     ctx,
		release: context.AfterFunc(ctx, func() { raw.SetDeadline(aLongTimeAgo) }),
	}, nil
}

// startTLS does nothing without a config.
func (c *conn) startTLS(config func(serverName string) *tls.Config, addr string) error {
	if config == nil {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	secure := tls.Client(c.tcp, config(host))
	if err := secure.Handshake(); err != nil {
		return missing("TLS handshake", err)
	}
	c.Conn = secure
	return nil
}

// staysOpen reports an endpoint that closes the connection within the time given, unless it sent something before.
func (c *conn) staysOpen(within time.Duration) error {
	if !c.allow(within) {
		return c.ctx.Err()
	}
	if _, err := c.Read(make([]byte, 1)); err != nil && !os.IsTimeout(err) {
		return err
	}
	return c.ctx.Err()
}

// hangUp closes the connection without a reset: after the endpoint closed its side too, or has had time to.
func (c *conn) hangUp() {
	defer c.release()
	defer c.tcp.Close()
	if !c.allow(longestGoodbye) {
		return
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	io.CopyN(io.Discard, c, lastWords)
}

// allow gives what follows that long, but not beyond the end of the probe. It is false when that has come.
func (c *conn) allow(d time.Duration) bool {
	deadline, _ := c.ctx.Deadline()
	if t := time.Now().Add(d); t.Before(deadline) {
		deadline = t
	}
	c.SetDeadline(deadline)
	return c.ctx.Err() == nil // looked at last, or the end could come in between and be overruled
}

// proxyHeader is what an endpoint behind PROXY protocol expects first: in version 2 LOCAL, for the edge itself is the
// client. LOCAL has an address block, without which EMQX swallows the bytes that follow the header. Version 1 has no LOCAL.
// It is empty for version 0.
func (c *conn) proxyHeader(version byte) ([]byte, error) {
	if version == 0 {
		return nil, nil
	}
	h := proxyproto.HeaderProxyFromAddrs(version, c.tcp.LocalAddr(), c.tcp.RemoteAddr())
	if h.Version == 2 {
		h.Command = proxyproto.LOCAL
	}
	b, err := h.Format()
	if err != nil {
		return nil, fmt.Errorf("PROXY header of version %d: %w", version, err)
	}
	return b, nil
}
