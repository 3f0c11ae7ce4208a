package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mqedge/mqedge/demo/broker"
)

// recorder is a broker that remembers everybody who ever came.
type recorder struct {
	*broker.Broker
	mu      sync.Mutex
	clients map[string]broker.Client // by id, the latest
	refused []broker.Event
	came    int // connections with a CONNECT
}

// startBroker runs a broker that wants a PROXY header.
func startBroker(t testing.TB) *recorder {
	t.Helper()
	return startBrokerWith(t, broker.Options{ProxyProtocol: true})
}

func startBrokerWith(t testing.TB, o broker.Options) *recorder {
	t.Helper()
	r := &recorder{clients: make(map[string]broker.Client)}
	o.OnEvent = r.note
	b, err := broker.Start(o)
	must(t, err)
	r.Broker = b
	t.Cleanup(b.Close)
	return r
}

func (r *recorder) note(ev broker.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch ev.Kind {
	case broker.Connected:
		r.clients[ev.Client.ID] = ev.Client
		r.came++
	case broker.Refused:
		r.refused = append(r.refused, ev)
	}
}

// client is what the broker saw of a client that has its CONNACK.
func (r *recorder) client(t testing.TB, id string) broker.Client {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.clients[id]
	if !ok {
		t.Fatalf("the broker never saw %s", id)
	}
	return c
}

// total is how many clients ever came.
func (r *recorder) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.came
}

// endpoints are addresses as the value of upstreams.NAME.endpoints.
func endpoints(addresses ...string) string {
	var items []string
	for _, a := range addresses {
		items = append(items, fmt.Sprintf("{address: %q}", a))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// fake is an endpoint that does with a connection what the test says.
type fake struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn // all that ever came
	wg    sync.WaitGroup
}

// startFake serves each connection in a goroutine of its own, closes it afterwards, and with the test closes all.
func startFake(t testing.TB, serve func(net.Conn)) *fake {
	t.Helper()
	return startFakeAt(t, "127.0.0.1:0", serve)
}

func startFakeAt(t testing.TB, address string, serve func(net.Conn)) *fake {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	f := &fake{Listener: l}
	f.wg.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, c)
			f.mu.Unlock()
			f.wg.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(f.stop)
	return f
}

func (f *fake) stop() {
	f.Close()
	f.mu.Lock()
	for _, c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *fake) address() string { return f.Addr().String() }

// came is how many connections there ever were.
func (f *fake) came() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

// acknowledge is a broker that takes every CONNECT, answers pings, and never has enough of a client.
func acknowledge(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		kind, _, err := readPacket(r)
		if err != nil {
			return
		}
		switch kind {
		case packetConnect:
			_, err = c.Write([]byte{packetConnack, 2, 0, 0})
		case packetPingreq:
			_, err = c.Write([]byte{packetPingresp, 0})
		}
		if err != nil {
			return
		}
	}
}

// swallow takes whatever comes and answers nothing.
func swallow(c net.Conn) { io.Copy(io.Discard, c) }

// deadAddress is one at which nobody listens. It is not of 127.0.0.1, so that no other test gets its port.
func deadAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.9:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}
