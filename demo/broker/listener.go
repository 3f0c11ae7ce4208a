package broker

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
)

// acceptPause is how long the accept loop rests when the process has no file descriptor left.
const acceptPause = 100 * time.Millisecond

// listener is the door of the broker, in the form mochi asks for. It owns every connection it accepted: mochi's own
// Close waits for neither the accept loop nor connections without a CONNECT, and says goodbye to the others.
type listener struct {
	opts   Options
	tcp    net.Listener
	killed atomic.Bool
	done   chan struct{}
	wg     sync.WaitGroup // the accept loop and one per connection

	mu       sync.Mutex
	conns    map[*conn]struct{}
	sessions map[string]*conn // by client id; the latest connection of each
}

// newListener expects Serve to be called exactly once.
func newListener(opts Options, tcp net.Listener) *listener {
	l := &listener{
		opts:     opts,
		tcp:      tcp,
		done:     make(chan struct{}),
		conns:    make(map[*conn]struct{}),
		sessions: make(map[string]*conn),
	}
	l.wg.Add(1)
	return l
}

func (l *listener) ID() string              { return l.opts.Name }
func (l *listener) Address() string         { return l.tcp.Addr().String() }
func (l *listener) Protocol() string        { return "tcp" }
func (l *listener) Init(*slog.Logger) error { return nil }

// Serve accepts until the listener is closed.
func (l *listener) Serve(establish listeners.EstablishFn) {
	defer l.wg.Done()
	for {
		tcp, err := l.tcp.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.opts.Logger.Warn("accept failed", "broker", l.opts.Name, "error", err)
			select {
			case <-l.done:
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		c := newConn(tcp, &l.killed)
		if !l.admit(c) {
			_ = tcp.Close()
			return
		}
		go l.serve(c, establish)
	}
}

// serve is the life of a connection.
func (l *listener) serve(c *conn, establish listeners.EstablishFn) {
	defer l.wg.Done()
	err := l.establish(c, establish)
	_ = c.Close()
	l.dismiss(c, err)
}

func (l *listener) establish(c *conn, establish listeners.EstablishFn) error {
	if l.opts.ProxyProtocol {
		if err := c.learn(l.opts.ProxyTimeout); err != nil {
			return err
		}
	}
	if err := c.SetDeadline(time.Now().Add(connectTimeout)); err != nil {
		return err
	}
	if l.opts.TLS != nil {
		return establish(l.ID(), tls.Server(c, l.opts.TLS))
	}
	return establish(l.ID(), c)
}

// admit reports false when the listener is already closed.
func (l *listener) admit(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.killed.Load() {
		return false
	}
	l.conns[c] = struct{}{}
	l.wg.Add(1)
	return true
}

// connected records a client whose CONNECT was accepted.
func (l *listener) connected(c *conn, client Client) {
	l.mu.Lock()
	c.client = client
	l.sessions[client.ID] = c
	l.mu.Unlock()
	l.tell(Event{Kind: Connected, Client: client})
}

func (l *listener) dismiss(c *conn, err error) {
	l.mu.Lock()
	delete(l.conns, c)
	client := c.client
	if l.sessions[client.ID] == c {
		delete(l.sessions, client.ID)
	}
	l.mu.Unlock()

	if client.ID == "" {
		l.tell(Event{Kind: Refused, Client: c.identity(), Err: err})
		return
	}
	l.tell(Event{Kind: Disconnected, Client: client, Err: err})
}

func (l *listener) tell(e Event) {
	l.opts.Logger.Debug("client "+e.Kind.String(), "broker", l.opts.Name, "client", e.Client.ID, "addr", e.Client.Addr, "error", e.Err)
	if l.opts.OnEvent != nil {
		l.opts.OnEvent(e)
	}
}

// Close ends everything as the death of the process would, and returns when all of it has ended. The function by which
// mochi would send each client a DISCONNECT is not called.
func (l *listener) Close(listeners.CloseFn) {
	l.mu.Lock()
	l.killed.Store(true)
	close(l.done)
	_ = l.tcp.Close()
	for c := range l.conns {
		_ = c.Conn.Close()
	}
	l.mu.Unlock()
	l.wg.Wait()
}
