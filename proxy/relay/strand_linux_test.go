package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// serveStrands has each connection to the address served by f.
func serveStrands(t *testing.T, r *Relay, f func(*Conn)) (addr string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr = ln.Addr().String()
	a, err := r.Acceptor(ln.(*net.TCPListener))
	must(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		a.Run(func() {
			for {
				c, err := a.Accept()
				if err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Error(err)
					}
					return
				}
				r.Go(c, func() { f(c) })
			}
		})
	}()
	return addr, func() { a.Close(); <-ended }
}

func TestAStrandReadsWritesAndDialsAsBlockingCodeDoes(t *testing.T) {
	for _, name := range []string{"127.0.0.1", "localhost"} { // a name is looked up outside the loop
		for _, loops := range []int{0, 1} {
			r := newRelay(t, loops)
			stopped := running(t, r)
			endpoint, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			go func() {
				for {
					c, err := endpoint.Accept()
					if err != nil {
						return
					}
					go func() { io.Copy(c, c); c.Close() }()
				}
			}()
			_, port, _ := net.SplitHostPort(endpoint.Addr().String())
			addr, stop := serveStrands(t, r, func(c *Conn) {
				defer c.Close()
				word := make([]byte, 5)
				if _, err := io.ReadFull(c, word); err != nil {
					t.Error(err)
				}
				u, err := c.Dial(net.JoinHostPort(name, port), DialOptions{Deadline: time.Now().Add(5 * time.Second)})
				if err != nil {
					t.Error(err)
					return
				}
				defer u.Close()
				u.Write(word)
				if _, err := io.ReadFull(u, word); err != nil {
					t.Error(err)
				}
				c.Write(word)
			})
			c := dialled(t, addr)
			for _, piece := range []string{"he", "llo"} {
				c.Write([]byte(piece))
			}
			got := make([]byte, 5)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Errorf("%s, %d loops: %q, %v", name, loops, got, err)
			}
			if n, err := c.Read(got); n > 0 || err != io.EOF {
				t.Errorf("after the end: %d, %v", n, err)
			}
			stop()
			endpoint.Close()
			stopped()
		}
	}
}

func TestADeadlineEndsTheWaitOfAStrand(t *testing.T) {
	r := newRelay(t, 1)
	stopped := running(t, r)
	result := make(chan error, 1)
	addr, stop := serveStrands(t, r, func(c *Conn) {
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		c.Close()
		result <- err
	})
	dialled(t, addr)
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	stop()
	stopped()
}

func TestAbortEndsWhateverAStrandWaitsFor(t *testing.T) {
	// Nobody answers at the addresses of TEST-NET-1 (RFC 5737); where the host has no route the dial fails by itself.
	waits := map[string]func(c *Conn) error{
		"a read":         func(c *Conn) error { _, err := c.Read(make([]byte, 1)); return err },
		"a dial":         func(c *Conn) error { _, err := c.Dial("192.0.2.1:1", DialOptions{}); return err },
		"a dial by name": func(c *Conn) error { _, err := c.Dial("[fe80::1%lo]:1", DialOptions{}); return err },
		"a write": func(c *Conn) error {
			for {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		},
	}
	for what, wait := range waits {
		r := newRelay(t, 1)
		stopped := running(t, r)
		begun := make(chan *Conn, 1)
		result := make(chan error, 1)
		addr, stop := serveStrands(t, r, func(c *Conn) {
			begun <- c
			err := wait(c)
			if again := wait(c); again == nil {
				t.Errorf("%s: after it another wait succeeds", what)
			}
			c.Close()
			result <- err
		})
		dialled(t, addr)
		(<-begun).Abort()
		if err := <-result; err == nil {
			t.Errorf("%s: no error", what)
		}
		stop()
		stopped()
	}
}

func TestStrandsAreReusedAndLeaveNoGoroutinesBehind(t *testing.T) {
	r := newRelay(t, 1) // on two cores a second one would leave the test none while it waits
	stopped := running(t, r)
	before := runtime.NumGoroutine() + 2 // the loops may not have begun
	var served atomic.Int32
	addr, stop := serveStrands(t, r, func(c *Conn) {
		io.Copy(c, c)
		c.Close()
		served.Add(1)
	})
	for range 20 {
		var all []*net.TCPConn
		for range 50 {
			all = append(all, dialled(t, addr))
		}
		for _, c := range all {
			c.Write([]byte("x"))
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
	}
	stop()
	for deadline := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
		<-time.After(20 * time.Millisecond)
	}
	if n := served.Load(); n != 1000 {
		t.Errorf("%d of 1000 were served", n)
	}
	stopped()
}

func TestAConnectionKnowsItsAddresses(t *testing.T) {
	r := newRelay(t, 1)
	stopped := running(t, r)
	type ends struct{ peer, local netip.AddrPort }
	got := make(chan ends, 1)
	addr, stop := serveStrands(t, r, func(c *Conn) {
		got <- ends{c.Peer(), c.Local()}
		c.Close()
	})
	c := dialled(t, addr)
	if e := <-got; e.peer.String() != c.LocalAddr().String() || e.local.String() != addr {
		t.Errorf("peer %s, local %s; dialled %s from %s", e.peer, e.local, addr, c.LocalAddr())
	}
	stop()
	stopped()
}

func TestAHelperThatEndsAtTheMomentOfAnAbortIsNotWaitedForAgain(t *testing.T) {
	r := newRelay(t, 1)
	defer r.Close()
	l := r.loops[0]
	c := &Conn{socket: socket{fd: -1, slot: -1, loop: l}}
	ended := make(chan struct{})
	r.pairs.Add(1)
	l.running.Add(1)
	proceed := make(chan struct{})
	l.start(c, func() {
		c.socket.strand.help(0, func(context.Context) { <-proceed })
		close(ended)
	})
	l.runStrands() // it waits for its helper
	close(proceed)
	for deadline := time.Now().Add(10 * time.Second); ; { // both messages are read before it is continued
		l.mu.Lock()
		n := len(l.inbox)
		l.mu.Unlock()
		if n > 0 || time.Now().After(deadline) {
			break
		}
		<-time.After(time.Millisecond)
	}
	c.Abort()
	l.readInbox()
	l.runStrands()
	select {
	case <-ended:
	default:
		t.Error("the strand waits for ever")
	}
	for len(l.strands) > 0 {
		l.dismiss()
	}
}
