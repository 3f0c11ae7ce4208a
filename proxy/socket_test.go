package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mqedge/mqedge/proxy/relay"
)

func TestOneListenerServesTwoSockets(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newRig(t, settings(TCP), e.addr)
	second, err := Bind("[::1]:0", carrier, relay.TCP{}, quiet)
	must(t, err)
	second.Assign(r.Listener)
	served := make(chan struct{})
	go func() { defer close(served); second.Serve() }()
	for _, addr := range []string{r.addr, second.Addr().String()} {
		c, err := net.Dial("tcp", addr)
		must(t, err)
		send(t, c, []byte("hello"))
		receiveText(t, c, "hello")
		c.Close()
	}
	second.Close()
	<-served
	if n := r.Stats().Accepted; n != 2 {
		t.Errorf("%d were accepted", n)
	}
}

func TestASocketChangesHandsWithoutLosingAConnection(t *testing.T) {
	const clients, each = 8, 40
	e := newEndpoint(t, echo)
	a := newRig(t, settings(TCP), e.addr)
	b := newRig(t, settings(TCP), e.addr)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				c, err := net.Dial("tcp", a.addr)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprint(c, "hello")
				got := make([]byte, 5)
				if _, err := io.ReadFull(c, got); err != nil {
					t.Error(err)
				}
				c.Close()
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); all.Wait() }()
	for busy := true; busy; {
		for _, r := range []*rig{b, a} {
			a.socket.Assign(r.Listener)
			seen := r.Stats().Accepted
			until(t, "a connection to its new owner", func() bool {
				select {
				case <-done:
					busy = false
				default:
				}
				return !busy || r.Stats().Accepted > seen
			})
		}
	}
	if na, nb := a.Stats().Accepted, b.Stats().Accepted; na+nb != clients*each || na == 0 || nb == 0 {
		t.Errorf("%d and %d were accepted, want %d in all", na, nb, clients*each)
	}
}

func TestAClosedSocketTakesNobodyAndItsPortIsFree(t *testing.T) {
	s, err := Bind("127.0.0.1:0", carrier, relay.TCP{}, quiet)
	must(t, err)
	served := make(chan struct{})
	go func() { defer close(served); s.Serve() }()
	s.Close()
	<-served
	addr := s.Addr().String()
	if c, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a connection came about: %v, %v", c, err)
	}
	again, err := Bind(addr, carrier, relay.TCP{}, quiet)
	must(t, err)
	again.Close()
}

func TestConnectionsOfAClosedSocketLiveOn(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newRig(t, settings(TCP), e.addr)
	second, err := Bind("127.0.0.1:0", carrier, relay.TCP{}, quiet)
	must(t, err)
	second.Assign(r.Listener)
	served := make(chan struct{})
	go func() { defer close(served); second.Serve() }()
	c, err := net.Dial("tcp", second.Addr().String())
	must(t, err)
	defer c.Close()
	send(t, c, []byte("before"))
	receiveText(t, c, "before")
	second.Close()
	<-served
	send(t, c, []byte("after"))
	receiveText(t, c, "after")
}

func TestABindErrorNamesThePlaceAndTheRemedy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	privileged := &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	for _, c := range []struct {
		addr  string
		err   error
		is    error
		wants []string
	}{
		{taken.Addr().String(), nil, syscall.EADDRINUSE, []string{"address already in use", "ss -ltnp"}},
		{"192.0.2.1:0", nil, syscall.EADDRNOTAVAIL, []string{"cannot assign requested address", "no such address", "ip address"}},
		{"0.0.0.0:883", privileged, syscall.EACCES, []string{"permission denied", "CAP_NET_BIND_SERVICE"}},
		{"127.0.0.1:70000", nil, nil, []string{"invalid port"}},
	} {
		err := c.err
		if err == nil {
			var s *Socket
			if s, err = Bind(c.addr, carrier, relay.TCP{}, quiet); err == nil {
				s.Close()
				t.Errorf("%s was bound", c.addr)
				continue
			}
		} else {
			err = bindError(c.addr, err)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%v is not %v", err, c.is)
		}
		for _, want := range append(c.wants, "cannot listen on "+c.addr) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not say %q", err, want)
			}
		}
	}
}

func TestASocketThatWasHandedOverServesAfterItsFirstOwnerHasClosed(t *testing.T) {
	e := newEndpoint(t, echo)
	r := newRig(t, settings(TCP), e.addr)
	first, err := Bind("127.0.0.1:0", carrier, relay.TCP{}, quiet)
	must(t, err)
	file, err := first.File()
	must(t, err)
	early, err := net.Dial("tcp", first.Addr().String()) // waits in the queue that both share
	must(t, err)
	defer early.Close()
	first.Close()
	if _, err := first.File(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("File after Close: %v", err)
	}
	ln, err := net.FileListener(file)
	must(t, err)
	file.Close()
	second, err := Adopt(ln.(*net.TCPListener), carrier, relay.TCP{}, quiet)
	must(t, err)
	if second.Addr().String() != first.Addr().String() {
		t.Errorf("it listens on %v, not on %v", second.Addr(), first.Addr())
	}
	second.Assign(r.Listener)
	served := make(chan struct{})
	go func() { defer close(served); second.Serve() }()
	send(t, early, []byte("hello"))
	receiveText(t, early, "hello")
	second.Close()
	<-served
}
