package endpoints

import (
	"fmt"
	"net"
	"sync"
)

// Set is a set of listening endpoints.
type Set struct {
	serve     func(endpoint int, c net.Conn)
	listeners []net.Listener
	wg        sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// Listen opens the addresses and serves them until Close: it calls serve, in a goroutine of its own, for each connection with
// the index of the address it came to. A connection is closed when serve returns.
func Listen(serve func(endpoint int, c net.Conn), addrs ...string) (*Set, error) {
	s := &Set{serve: serve, conns: make(map[net.Conn]struct{})}
	for i, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("listen: %w", err)
		}
		s.listeners = append(s.listeners, l)
		s.wg.Go(func() { s.accept(i, l) })
	}
	return s, nil
}

// Addrs are the addresses in the order of Listen, with the ports they got.
func (s *Set) Addrs() []string {
	var addrs []string
	for _, l := range s.listeners {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// Open is how many connections there are now.
func (s *Set) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close ends all connections and returns when nothing runs any more.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	for _, l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Set) accept(endpoint int, l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if !s.admit(c) {
			_ = c.Close()
			return
		}
		s.wg.Go(func() {
			s.serve(endpoint, c)
			_ = c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

func (s *Set) admit(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}
