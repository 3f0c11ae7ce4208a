package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// endpoint is a server that the test plays.
type endpoint struct {
	addr  string
	dials atomic.Int32
	conns chan *net.TCPConn
}

// newEndpoint listens on a free port. A handler, if given, runs for every
// connection, which is closed when it returns; without one the test takes the
// connections with next.
func newEndpoint(t testing.TB, handle func(*net.TCPConn)) *endpoint {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	e := &endpoint{addr: ln.Addr().String(), conns: make(chan *net.TCPConn, 1024)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, syscall.EMFILE) { // Linux says so even while nobody waits
				<-time.After(time.Millisecond)
				continue
			}
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("the endpoint: %v", err)
				}
				return
			}
			e.dials.Add(1)
			c.SetDeadline(time.Now().Add(2 * patience))
			if handle == nil {
				e.conns <- c.(*net.TCPConn)
				continue
			}
			running.Go(func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
		close(e.conns)
		for c := range e.conns {
			c.Close()
		}
	})
	return e
}

func (e *endpoint) next(t testing.TB) *net.TCPConn {
	t.Helper()
	select {
	case c := <-e.conns:
		t.Cleanup(func() { c.Close() })
		return c
	case <-time.After(patience):
		t.Fatal("the endpoint was not dialled")
		return nil
	}
}

// wantNoDials fails the test if anybody came.
func (e *endpoint) wantNoDials(t testing.TB) {
	t.Helper()
	if n := e.dials.Load(); n != 0 {
		t.Errorf("the endpoint was dialled %d times", n)
	}
}

// closedPort is an address that refuses connections, and that nobody else gets
// while the test lasts: it is bound and does not listen.
func closedPort(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := syscall.Getsockname(fd)
	must(t, err)
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// receiveHeader reads a PROXY header and returns a reader of what follows.
func receiveHeader(t testing.TB, c net.Conn) (*proxyproto.Header, *bufio.Reader) {
	t.Helper()
	r := bufio.NewReader(c)
	h, err := proxyproto.Read(r)
	if err != nil {
		t.Fatalf("PROXY header: %v", err)
	}
	return h, r
}
