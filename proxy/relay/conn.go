package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// bufferSize is the most that one read takes. A TLS record holds at most 16 KiB
// of plaintext (RFC 8446 section 5.1), so two records fit.
const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

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
	relayed bool
	buf     *[bufferSize]byte // borrowed, holds unread
	receive func(fd uintptr) bool
	n       int
	err     error
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
	if !c.relayed {
		c.unread = nil
		return c.tcp.Read(p)
	}
	if c.err != nil {
		return 0, c.err
	}
	return 0, errNoData
}

func (c *Conn) Write(p []byte) (int, error)        { return c.tcp.Write(p) }
func (c *Conn) Close() error                       { return c.tcp.Close() }
func (c *Conn) CloseWrite() error                  { return c.tcp.CloseWrite() }
func (c *Conn) LocalAddr() net.Addr                { return c.tcp.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr               { return c.tcp.RemoteAddr() }
func (c *Conn) SetDeadline(t time.Time) error      { return c.tcp.SetDeadline(t) }
func (c *Conn) SetReadDeadline(t time.Time) error  { return c.tcp.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tcp.SetWriteDeadline(t) }

func (c *Conn) startRelaying() {
	c.relayed = true
	c.receive = c.tryReceive
}

// fill waits until bytes have arrived and makes them readable. It borrows a
// buffer for each attempt and gives it back before waiting, so that a waiting
// connection holds none. At the end of the stream it returns io.EOF.
func (c *Conn) fill() error {
	if len(c.unread) > 0 || c.err != nil {
		return c.err
	}
	if err := c.raw.Read(c.receive); err != nil {
		c.err = err
		return err
	}
	if c.err != nil {
		c.release()
		return c.err
	}
	if c.n == 0 {
		c.release()
		c.err = io.EOF
		return c.err
	}
	c.unread = c.buf[:c.n]
	return nil
}

// tryReceive is the body of fill as syscall.RawConn.Read wants it: false means
// that it shall be called again when the socket is readable.
func (c *Conn) tryReceive(fd uintptr) bool {
	if c.buf == nil {
		c.buf = buffers.Get().(*[bufferSize]byte)
	}
	for {
		n, err := syscall.Read(int(fd), c.buf[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.release()
			return false
		case err != nil:
			c.n, c.err = 0, os.NewSyscallError("read", err)
			return true
		}
		c.n = n
		return true
	}
}

// release gives the borrowed buffer back. What is left in unread stays valid
// only if it does not lie in that buffer, so callers consume it first.
func (c *Conn) release() {
	if c.buf != nil {
		buffers.Put(c.buf)
		c.buf = nil
	}
}

// end is one side of a pair: a Conn, alone or under TLS.
type end struct {
	conn *Conn
	tls  *tls.Conn // nil for plain TCP
}

var errNotRelayConn = errors.New("relay: the connection is neither a *relay.Conn nor a *tls.Conn over one")

func newEnd(c net.Conn) (end, error) {
	switch c := c.(type) {
	case *Conn:
		return end{conn: c}, nil
	case *tls.Conn:
		if inner, ok := c.NetConn().(*Conn); ok {
			return end{conn: inner, tls: c}, nil
		}
	}
	return end{}, errNotRelayConn
}

func (e end) Write(p []byte) (int, error) {
	if e.tls != nil {
		return e.tls.Write(p)
	}
	return e.conn.Write(p)
}

// closeWrite passes the end of a stream on: close_notify where there is TLS
// (RFC 8446 section 6.1), then FIN.
func (e end) closeWrite() {
	if e.tls != nil {
		e.tls.CloseWrite()
	}
	e.conn.CloseWrite()
}

// close ends both directions. A peer that still takes bytes gets a
// close_notify first where there is TLS.
func (e end) close(takes bool) {
	if e.tls != nil && takes {
		e.tls.Close()
		return
	}
	e.conn.Close()
}
