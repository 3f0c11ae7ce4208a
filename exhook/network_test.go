package exhook

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc/test/bufconn"
)

// network is where listeners are.
type network interface {
	listen(addr string) (net.Listener, error)
	dial(ctx context.Context, addr string) (net.Conn, error)
}

// tcp is the real one.
type tcp struct{}

func (tcp) listen(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }

func (tcp) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// loopback is an address of its own for what listens, goes away and listens again: between the two nobody else gets its port, as
// happens at 127.0.0.1, where each connection that is made takes one. Where there is only that one it has to do.
func loopback(t testing.TB) string {
	for range 10 {
		addr := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(250), rand.IntN(256), 1+rand.IntN(250))
		if l, err := net.Listen("tcp", addr+":0"); err == nil {
			l.Close()
			return addr
		}
	}
	return "127.0.0.1"
}

// pipes are a network in memory, for tests in a bubble, where time is not the world's.
type pipes struct {
	mu sync.Mutex
	at map[string]*pipeListener
}

type pipeListener struct {
	*bufconn.Listener
	in   *pipes
	addr string
}

func newPipes() *pipes { return &pipes{at: map[string]*pipeListener{}} }

func (n *pipes) listen(addr string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at[addr] != nil {
		return nil, errors.New("address already in use")
	}
	n.at[addr] = &pipeListener{bufconn.Listen(1 << 16), n, addr}
	return n.at[addr], nil
}

func (n *pipes) dial(ctx context.Context, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.at[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	return l.DialContext(ctx)
}

func (l *pipeListener) Close() error {
	l.in.mu.Lock()
	delete(l.in.at, l.addr)
	l.in.mu.Unlock()
	return l.Listener.Close()
}
