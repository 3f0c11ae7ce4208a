package proxy

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mqedge/mqedge/proxy/relay"
)

// vanish makes the kernel drop all that comes for c from now on, acknowledgements
// included, as if the host of c had lost its power. Nothing is answered.
func vanish(t testing.TB, c *net.TCPConn) {
	t.Helper()
	drop := [1]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	}))
	must(t, err)
}

func TestAPeerThatVanishesWithoutAWordIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		client, upstream relay.TCP
		reason           string
		happens          func(client, endpoint *net.TCPConn)
	}{
		"a client that is sent to": {
			relay.TCP{UserTimeout: time.Second}, relay.TCP{}, "client_reset",
			func(client, endpoint *net.TCPConn) { vanish(t, client); send(t, endpoint, []byte("hello")) },
		},
		"a client that reads nothing": {
			relay.TCP{UserTimeout: time.Second}, relay.TCP{}, "client_reset",
			func(_, endpoint *net.TCPConn) { flood(endpoint) },
		},
		"a silent client that is probed": {
			relay.TCP{KeepAlive: time.Second, UserTimeout: 3 * time.Second}, relay.TCP{}, "client_reset",
			func(client, _ *net.TCPConn) { vanish(t, client) },
		},
		"an endpoint that is sent to": {
			relay.TCP{}, relay.TCP{UserTimeout: time.Second}, "upstream_reset",
			func(client, endpoint *net.TCPConn) { vanish(t, endpoint); send(t, client, []byte("hello")) },
		},
		"a silent endpoint that is probed": {
			relay.TCP{}, relay.TCP{KeepAlive: time.Second, UserTimeout: 3 * time.Second}, "upstream_reset",
			func(_, endpoint *net.TCPConn) { vanish(t, endpoint) },
		},
		"a silent endpoint that is probed, without a user timeout": {
			relay.TCP{}, relay.TCP{KeepAlive: time.Second}, "upstream_reset",
			func(_, endpoint *net.TCPConn) { vanish(t, endpoint) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t, nil)
			s := settings(TCP)
			s.TCP, s.Route.TCP = c.client, c.upstream
			r := newRig(t, s, e.addr)
			client := r.dial(t)
			endpoint := e.next(t)
			send(t, client, []byte("1"))
			receiveText(t, endpoint, "1")
			c.happens(client, endpoint)
			r.wantClosed(t, c.reason)
		})
	}
}

// flood writes until it is not taken any more.
func flood(c net.Conn) {
	junk := make([]byte, 64<<10)
	for {
		if _, err := c.Write(junk); err != nil {
			return
		}
	}
}

func TestConnectionsThatWaitForTheirListenerHaveItsOptionsToo(t *testing.T) {
	e := newEndpoint(t, nil)
	r := newRig(t, settings(TCP), e.addr)
	second, err := Bind("127.0.0.1:0", carrier, relay.TCP{UserTimeout: time.Second}, quiet)
	must(t, err)
	c, err := net.Dial("tcp", second.Addr().String()) // the kernel queues it
	must(t, err)
	defer c.Close()
	second.Assign(r.Listener)
	served := make(chan struct{})
	go func() { defer close(served); second.Serve() }()
	endpoint := e.next(t)
	vanish(t, c.(*net.TCPConn))
	send(t, endpoint, []byte("hello"))
	r.wantClosed(t, "client_reset")
	second.Close()
	<-served
}

func TestAnotherListenersOptionsReachTheBoundSocket(t *testing.T) {
	e := newEndpoint(t, nil)
	r := newRig(t, settings(TCP), e.addr)
	before := r.dial(t)
	old := e.next(t)
	s := settings(TCP)
	s.Route.Upstream = r.pool
	s.TCP.UserTimeout = time.Second
	r.Configure(s)
	r.socket.Assign(r.Listener)
	after := r.dial(t)
	young := e.next(t)
	for _, c := range []*net.TCPConn{before, after} {
		vanish(t, c)
	}
	send(t, old, []byte("hello"))
	send(t, young, []byte("hello"))
	r.wantClosed(t, "client_reset")
	if n := r.Stats().Active; n != 1 {
		t.Errorf("%d connections are left, want the one that began before", n)
	}
}
