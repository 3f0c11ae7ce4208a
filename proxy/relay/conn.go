package relay

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
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

// Conn is a TCP connection that a [Relay] can carry, alone or under TLS. Until
// it is handed to [Relay.Add] it is an ordinary blocking [net.Conn], for use in
// the function given to [Relay.Go]; afterwards only the relay may use it.
type Conn struct {
	unread []byte  // received but not yet consumed
	cut    *cutter // during a handshake

	socket socket // with loops

	// Of a connection that Go's netpoller looks after, which loops can take over.
	tcp    *net.TCPConn // nil with socket
	raw    syscall.RawConn
	ctx    context.Context // of what is dialled by it
	cancel context.CancelFunc
	woken  chan struct{} // holds one call of Wake

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
	c := &Conn{tcp: tcp, raw: raw, unread: unread, woken: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Dial connects to addr, host:port, while the function given to [Relay.Go] for
// c waits. [Conn.Abort] of c ends it.
func (c *Conn) Dial(addr string, o DialOptions) (*Conn, error) {
	if c.tcp == nil {
		return c.socket.dial(addr, o)
	}
	dialer := o.dialer()
	tcp, err := dialer.DialContext(c.ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	d, err := NewConn(tcp.(*net.TCPConn), nil)
	if err != nil {
		tcp.Close()
		return nil, err
	}
	context.AfterFunc(c.ctx, func() { tcp.Close() })
	return d, nil
}

// Lookup returns the addresses of addr, host:port, in the order in which they are
// to be tried. It waits as Dial does; a host that is an IP address costs nothing.
func (c *Conn) Lookup(addr string, deadline time.Time) ([]netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())}, nil
	}
	if c.tcp == nil {
		return c.socket.lookup(addr, deadline)
	}
	ctx := c.ctx
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	return lookup(ctx, addr)
}

// lookup asks the system's resolver.
func lookup(ctx context.Context, addr string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return nil, err
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	all := make([]netip.AddrPort, len(found))
	for i, a := range found {
		all[i] = netip.AddrPortFrom(a.Unmap(), uint16(port))
	}
	return all, nil
}

// Abort makes all that waits for c, and for what is dialled by it, return an
// error, now and from now on. It may be called from anywhere, but not when c has
// been handed to [Relay.Add].
func (c *Conn) Abort() {
	if c.tcp == nil {
		c.socket.loop.post(message{conn: c, abort: true})
		return
	}
	c.cancel()
	c.tcp.Close()
}

// Unread makes b what is read next.
func (c *Conn) Unread(b []byte) { c.unread = b }

// Left reports whether the peer has closed or reset the connection, also when
// there are bytes before the end that nobody has read. It is always false where
// that cannot be told without reading.
func (c *Conn) Left() bool {
	if c.tcp == nil {
		return left(c.socket.fd)
	}
	gone := false
	err := c.raw.Control(func(fd uintptr) { gone = left(int(fd)) })
	return gone || err != nil
}

// Peer is the address at the other end.
func (c *Conn) Peer() netip.AddrPort {
	if c.tcp == nil {
		return c.socket.peer
	}
	return c.tcp.RemoteAddr().(*net.TCPAddr).AddrPort()
}

// Local is the address at this end, which the peer dialled if it did.
func (c *Conn) Local() netip.AddrPort {
	if c.tcp == nil {
		return c.socket.local()
	}
	return c.tcp.LocalAddr().(*net.TCPAddr).AddrPort()
}

func (c *Conn) Read(p []byte) (int, error) {
	if c.cut != nil {
		return c.readCut(p)
	}
	if len(c.unread) > 0 {
		n := copy(p, c.unread)
		c.unread = c.unread[n:]
		return n, nil
	}
	c.unread = nil
	switch {
	case !c.relayed:
		return c.receive(p)
	case c.end != nil:
		return 0, c.end
	}
	return 0, errNoData
}

// ahead returns what comes next, valid until c is used again. Nothing is held
// while it waits.
func (c *Conn) ahead() ([]byte, error) {
	if c.tcp == nil {
		return c.socket.ahead()
	}
	buf := make([]byte, 4<<10)
	n, err := c.tcp.Read(buf)
	return buf[:n], err
}

func (c *Conn) receive(p []byte) (int, error) {
	if c.tcp == nil {
		return c.socket.read(p)
	}
	return c.tcp.Read(p)
}

func (c *Conn) Write(p []byte) (int, error) {
	if c.cut != nil {
		c.cut.written = append(c.cut.written[:0], p...)
	}
	switch {
	case c.staged != nil:
		*c.staged = append(*c.staged, p...)
		return len(p), nil
	case c.tcp == nil:
		return c.socket.write(p)
	}
	return c.tcp.Write(p)
}

func (c *Conn) Close() error {
	if c.tcp == nil {
		return c.socket.close()
	}
	return c.tcp.Close()
}

func (c *Conn) CloseWrite() error {
	if c.tcp == nil {
		return c.socket.closeWrite()
	}
	return c.tcp.CloseWrite()
}

func (c *Conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.Local()) }
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.Peer()) }

// SetDeadline, as the other two, has a grain of 100 ms in a relay with loops.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	if c.tcp == nil {
		c.socket.readBy = c.socket.deadline(t)
		return nil
	}
	return c.tcp.SetReadDeadline(t)
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	switch {
	case c.staged != nil:
		return nil // crypto/tls sets one around its close_notify; staging never waits
	case c.tcp == nil:
		c.socket.writeBy = c.socket.deadline(t)
		return nil
	}
	return c.tcp.SetWriteDeadline(t)
}

// end is one side of a pair: a Conn, alone or under TLS.
type end struct {
	conn *Conn
	tls  *tls.Conn // nil for plain TCP, and where ours is not
	ours *TLS      // only with loops
}

func newEnd(c net.Conn) (end, bool) {
	switch c := c.(type) {
	case *Conn:
		return end{conn: c}, true
	case *TLS:
		return end{conn: c.Conn, ours: c}, true
	case *tls.Conn:
		if inner, ok := c.NetConn().(*Conn); ok {
			return end{conn: inner, tls: c}, true
		}
	}
	return end{}, false
}
