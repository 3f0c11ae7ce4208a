package relay

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// errNoData answers a read inside a relay when the bytes at hand are used up.
// crypto/tls treats errors that are Temporary as resumable: the next Read
// continues in the middle of the record.
var errNoData net.Error = noDataError{}

type noDataError struct{}

func (noDataError) Error() string   { return "relay: no data yet" }
func (noDataError) Timeout() bool   { return true }
func (noDataError) Temporary() bool { return true }

// Conn is a TCP connection that a [Relay] can carry, alone or under a
// *tls.Conn. Until it is handed to [Relay.Add] it is an ordinary blocking
// [net.Conn]; afterwards only the relay may use it.
type Conn struct {
	tcp    *net.TCPConn
	raw    syscall.RawConn
	unread []byte // received but not yet consumed

	// From Add on:
	relayed  bool
	end      error     // what reads return when unread is used up, instead of errNoData
	portable *receiver // of the portable implementation
	staged   *[]byte   // of a loop: where writes of crypto/tls go
}

// NewConn wraps tcp. The bytes of unread, if any, were received from it
// already and are read first; the slice belongs to the Conn from then on.
func NewConn(tcp *net.TCPConn, unread []byte) (*Conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &Conn{tcp: tcp, raw: raw, unread: unread}, nil
}

func (c *Conn) Read(p []byte) (int, error) {
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	c.unread = nil
	switch {
	case !c.relayed:
		return c.tcp.Read(p)
	case c.end != nil:
		return 0, c.end
	}
	return 0, errNoData
}

func (c *Conn) Write(p []byte) (int, error) {
	if c.staged != nil {
		*c.staged = append(*c.staged, p...)
		return len(p), nil
	}
	return c.tcp.Write(p)
}

func (c *Conn) Close() error         { return c.tcp.Close() }
func (c *Conn) CloseWrite() error    { return c.tcp.CloseWrite() }
func (c *Conn) LocalAddr() net.Addr  { return c.tcp.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr { return c.tcp.RemoteAddr() }

func (c *Conn) SetDeadline(t time.Time) error     { return c.tcp.SetDeadline(t) }
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tcp.SetReadDeadline(t) }

func (c *Conn) SetWriteDeadline(t time.Time) error {
	if c.staged != nil {
		return nil // crypto/tls sets one around its close_notify; staging never waits
	}
	return c.tcp.SetWriteDeadline(t)
}

// end is one side of a pair: a Conn, alone or under TLS.
type end struct {
	conn *Conn
	tls  *tls.Conn // nil for plain TCP
}

func newEnd(c net.Conn) (end, bool) {
	switch c := c.(type) {
	case *Conn:
		return end{conn: c}, true
	case *tls.Conn:
		if inner, ok := c.NetConn().(*Conn); ok {
			return end{conn: inner, tls: c}, true
		}
	}
	return end{}, false
}
