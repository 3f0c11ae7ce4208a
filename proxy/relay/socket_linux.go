package relay

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// socket is the TCP socket of a Conn that a strand works with: reads and writes
// try at once, and wait in the loop only if they must.
type socket struct {
	fd     int // -1 when closed or given to a pair
	loop   *loop
	strand *strand // nil before and after
	slot   int32   // in loop.sockets, from the first wait on; else -1
	ready  uint32  // of the events that waits are for: those that came since
	waits  uint32  // the events that the strand waits for; 0 while it does not
	room   bool    // the loop hears of room for writes, too
	failed bool    // the kernel spoke of an error
	doomed bool    // Conn.Abort was called
	batch  int     // connections accepted in a row

	readBy, writeBy int64 // ticks; 0 is for ever
	peer            netip.AddrPort
}

const (
	toRead  = unix.EPOLLIN
	toWrite = unix.EPOLLOUT
)

// wait gives way until the socket has what the caller wants to do.
func (s *socket) wait(want uint32, by int64) error {
	if s.fd < 0 {
		return net.ErrClosed
	}
	if s.slot < 0 || want == toWrite && !s.room {
		if err := s.loop.register(s, want == toWrite); err != nil {
			return err
		}
	}
	s.waits = want
	defer func() { s.waits = 0 }()
	for s.ready&want == 0 {
		err := s.strand.wait(by)
		if err != nil && (s.strand.aborted || s.ready&want == 0) { // what came in time counts, however late its turn
			return err
		}
	}
	s.ready &^= want
	return nil
}

// park gives way until the strand is continued, be it by an event of the socket.
func (s *socket) park() error {
	if s.fd >= 0 && s.slot < 0 {
		if err := s.loop.register(s, false); err != nil {
			return err
		}
	}
	s.waits = toRead | toWrite
	err := s.strand.wait(0)
	s.waits = 0
	return err
}

// register makes the loop hear of s, of room for writes only if someone waits for
// it: a socket has room from the beginning, and to say so would cost the loop a turn.
func (l *loop) register(s *socket, room bool) error {
	op := unix.EPOLL_CTL_ADD
	switch n := len(l.freeSockets); {
	case s.slot >= 0:
		op = unix.EPOLL_CTL_MOD
	case n > 0:
		s.slot = l.freeSockets[n-1]
		l.freeSockets = l.freeSockets[:n-1]
		l.sockets[s.slot] = s
	default:
		s.slot = int32(len(l.sockets))
		l.sockets = append(l.sockets, s)
	}
	s.room = s.room || room
	if err := l.listen(op, s.fd, s.room, s.slot, socketEvent); err != nil {
		s.forget()
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// forget takes s off the loop's table. It reports whether its events still go
// to the loop.
func (s *socket) forget() (heard bool) {
	if s.slot < 0 {
		return false
	}
	l := s.loop
	l.sockets[s.slot] = nil
	l.freeSockets = append(l.freeSockets, s.slot)
	s.slot = -1
	return true
}

// heard notes events of s.
func (s *socket) heard(events uint32) {
	s.failed = s.failed || events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		events |= toRead | toWrite
	}
	s.ready |= events & (toRead | toWrite)
	if events&s.waits != 0 {
		s.strand.ready()
	}
}

func (s *socket) read(p []byte) (int, error) {
	for {
		if s.fd < 0 || s.strand.aborted {
			return 0, net.ErrClosed
		}
		n, err := rawRead(s.fd, p)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := s.wait(toRead, s.readBy); err != nil {
				return 0, err
			}
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// ahead returns what comes next in a slice of the loop's buffer, which is valid
// until the strand gives way.
func (s *socket) ahead() ([]byte, error) {
	n, err := s.read(s.loop.in[:readLeast])
	return s.loop.in[:n], err
}

func (s *socket) write(p []byte) (n int, err error) {
	for n < len(p) {
		if s.fd < 0 || s.strand.aborted {
			return n, net.ErrClosed
		}
		m, err := rawWrite(s.fd, p[n:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := s.wait(toWrite, s.writeBy); err != nil {
				return n, err
			}
		case err != nil:
			return n, os.NewSyscallError("write", err)
		default:
			n += m
		}
	}
	return n, nil
}

func (s *socket) close() error {
	if s.fd < 0 {
		return net.ErrClosed
	}
	s.forget()
	rawClose(s.fd)
	s.fd = -1
	return nil
}

func (s *socket) closeWrite() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(s.fd, unix.SHUT_WR))
}

// deadline is t in ticks.
func (s *socket) deadline(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(int64((t.Sub(s.loop.relay.began)+tick-1)/tick), 1)
}

// local is the address that the peer dialled.
func (s *socket) local() netip.AddrPort { return rawLocal(s.fd) }

// left reports whether the peer has closed or reset the connection, also when
// there are bytes before the end that nobody has read.
func left(fd int) bool {
	const established = 1 // TCP_ESTABLISHED, see tcp_states.h
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State != established
}

// dial connects to addr. An IP address is dialled in the loop; looking up a
// name would hold it up.
func (s *socket) dial(addr string, o DialOptions) (*Conn, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err == nil && ap.Addr().Zone() == "" {
		return s.dialIP(ap, o)
	}
	var tcp net.Conn
	s.strand.help(s.deadline(o.Deadline), func(ctx context.Context) {
		dialer := o.dialer()
		tcp, err = dialer.DialContext(ctx, "tcp", addr)
	})
	if err != nil {
		return nil, err
	}
	defer tcp.Close() // the descriptor that Go's netpoller knows
	raw, err := tcp.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, err := duplicate(raw)
	if err != nil {
		return nil, err
	}
	peer := tcp.RemoteAddr().(*net.TCPAddr).AddrPort()
	return &Conn{socket: socket{fd: fd, slot: -1, loop: s.loop, strand: s.strand, peer: peer}}, nil
}

func (s *socket) dialIP(to netip.AddrPort, o DialOptions) (*Conn, error) {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, dialError(to, o, os.NewSyscallError("socket", err))
	}
	c := &Conn{socket: socket{fd: fd, slot: -1, loop: s.loop, strand: s.strand, peer: to, writeBy: s.deadline(o.Deadline)}}
	if err := c.socket.connect(o); err != nil {
		c.Close()
		return nil, dialError(to, o, err)
	}
	return c, nil
}

func dialError(to netip.AddrPort, o DialOptions, err error) error {
	failed := &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	if o.Source.IsValid() {
		failed.Source = net.TCPAddrFromAddrPort(netip.AddrPortFrom(o.Source, 0))
	}
	return failed
}

// connect makes the connection to s.peer.
func (s *socket) connect(o DialOptions) error {
	o.prepare(s.fd)
	if o.Source.IsValid() {
		if err := rawBind(s.fd, o.Source); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	err := rawConnect(s.fd, s.peer)
	if err == unix.EINPROGRESS && s.peer.Addr().IsLoopback() {
		// The kernel was at both ends, and has put the answer aside until that
		// call was over. So a second one says what it was: no need to wait.
		if err = rawConnect(s.fd, s.peer); err == unix.EALREADY {
			err = unix.EINPROGRESS
		}
	}
	if err == nil || err != unix.EINPROGRESS && err != unix.EINTR {
		return os.NewSyscallError("connect", err)
	}
	if err := s.wait(toWrite, s.writeBy); err != nil {
		return err
	}
	if !s.failed {
		return nil
	}
	code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return os.NewSyscallError("connect", err)
}

// lookup asks the resolver outside the loop, which it would hold up.
func (s *socket) lookup(addr string, deadline time.Time) (all []netip.AddrPort, err error) {
	s.strand.help(s.deadline(deadline), func(ctx context.Context) { all, err = lookup(ctx, addr) })
	return all, err
}
