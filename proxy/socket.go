package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mqedge/mqedge/proxy/relay"
)

// Socket is a bound address. It outlives reloads: a new configuration assigns
// it to a listener again without a moment at which connections are refused.
type Socket struct {
	addr     net.Addr
	acceptor *relay.Acceptor
	owner    atomic.Pointer[Listener]
	log      *slog.Logger
	closing  sync.Once
}

// Bind opens addr, host:port, for listening. The kernel queues connections from
// now on, with the options of tcp; they are taken once [Socket.Serve] runs. The
// backlog is what the host allows (net.core.somaxconn). Its listeners must have
// the same relay.
func Bind(addr string, r *relay.Relay, tcp relay.TCP, log *slog.Logger) (*Socket, error) {
	ln, err := Listen(addr)
	if err != nil {
		return nil, err
	}
	return Adopt(ln, r, tcp, log)
}

// Adopt is Bind for a socket that listens already, as a process gets it from the
// one before it or from systemd. The socket is its own from then on.
func Adopt(ln *net.TCPListener, r *relay.Relay, tcp relay.TCP, log *slog.Logger) (*Socket, error) {
	bound := ln.Addr()
	addr := bound.String()
	raw, err := ln.SyscallConn()
	if err == nil {
		err = noDelay("", "", raw)
	}
	if err != nil {
		ln.Close()
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	a, err := r.Acceptor(ln)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	if err := a.Configure(tcp); err != nil {
		a.Close()
		return nil, fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
	return &Socket{addr: bound, acceptor: a, log: log}, nil
}

// Listen opens addr, host:port, with the kernel's options but that TCP keep-alive
// probes are off. Its errors say what the operator can do.
func Listen(addr string) (*net.TCPListener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: noDelay}
	lc.SetMultipathTCP(false) // an MPTCP socket costs more per byte, and clients that speak it are rare
	network := "tcp"
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		network = "tcp4" // with "tcp", 0.0.0.0 would take IPv6 too
	}
	ln, err := lc.Listen(context.Background(), network, addr)
	if err != nil {
		return nil, bindError(addr, err)
	}
	return ln.(*net.TCPListener), nil
}

// noDelay makes all connections of the socket send at once, as Go's do; they
// inherit it.
func noDelay(_, _ string, c syscall.RawConn) (err error) {
	if cerr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}

// bindError says what the operator can do about it.
func bindError(addr string, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = "another process has this port, or this one has it under another address: see `ss -ltnp`"
	case errors.Is(err, syscall.EACCES):
		remedy = "ports below 1024 need CAP_NET_BIND_SERVICE, or net.ipv4.ip_unprivileged_port_start lowered"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = "this host has no such address: see `ip address`"
	}
	var cause error = err
	var op *net.OpError
	if errors.As(err, &op) {
		cause = op.Err
	}
	if remedy == "" {
		return fmt.Errorf("cannot listen on %s: %w", addr, cause)
	}
	return fmt.Errorf("cannot listen on %s: %w (%s)", addr, cause, remedy)
}

// Addr is the address bound, with the port that was chosen for port 0.
func (s *Socket) Addr() net.Addr { return s.addr }

// File returns the socket once more, for another process to listen on too. The
// caller closes it.
func (s *Socket) File() (*os.File, error) { return s.acceptor.File() }

// Assign makes l the listener that gets the connections from now on, and those
// that come after this have the options of its [Settings].TCP. It is called again
// when they change.
func (s *Socket) Assign(l *Listener) {
	s.owner.Store(l)
	if err := s.acceptor.Configure(l.settings.Load().TCP); err != nil {
		s.log.Error("the tcp section of the listener is not in force", "address", s.Addr(), "error", err)
	}
}

// Close stops accepting. Connections that the kernel still queues are reset, at
// the latest when Serve returns.
func (s *Socket) Close() { s.closing.Do(s.acceptor.Close) }

// Serve accepts until [Socket.Close]. A listener must be assigned before, and
// the relay must be running.
func (s *Socket) Serve() { s.acceptor.Run(s.accept) }

// accept is the work of Serve.
//
// When the process is out of files (EMFILE) the connections wait in the
// kernel's queue; it looks again after a pause that grows to a quarter of a
// second.
func (s *Socket) accept() {
	const firstPause, longestPause, logEvery = 5 * time.Millisecond, 250 * time.Millisecond, 10 * time.Second
	pause := firstPause
	var logged time.Time
	for {
		conn, err := s.acceptor.Accept()
		if err == nil {
			pause = firstPause
			s.owner.Load().accept(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if errors.Is(err, syscall.ECONNABORTED) {
			continue // the client gave up while it waited in the queue
		}
		s.owner.Load().acceptErrors.Add(1)
		if time.Since(logged) >= logEvery {
			logged = time.Now()
			remedy := ""
			if isExhausted(err) {
				remedy = "raise the limit of open files (LimitNOFILE, ulimit -n): two for each connection"
			}
			s.log.Error("cannot accept connections; they wait in the kernel's queue", "address", s.Addr(), "error", err, "remedy", remedy)
		}
		s.acceptor.Pause(pause)
		pause = min(2*pause, longestPause)
	}
}
