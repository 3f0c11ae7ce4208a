package proxy

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
)

func TestAllowAndDenyDecideByTheClientsAddress(t *testing.T) {
	cases := []struct {
		name        string
		allow, deny []string
		in          bool
	}{
		{"no rules", nil, nil, true},
		{"allowed", []string{"127.0.0.0/8"}, nil, true},
		{"not among the allowed", []string{"10.0.0.0/8", "::1/128"}, nil, false},
		{"denied", nil, []string{"127.0.0.1/32"}, false},
		{"denied and allowed", []string{"127.0.0.0/8"}, []string{"127.0.0.1/32"}, false},
		{"another is denied", nil, []string{"127.0.0.2/32"}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := newEndpoint(t, echo)
			s := settings(TCP)
			s.Allow, s.Deny = prefixes(c.allow...), prefixes(c.deny...)
			r := newRig(t, s, e.addr)
			client := r.dial(t)
			if c.in {
				send(t, client, []byte("hello"))
				receiveText(t, client, "hello")
				return
			}
			receiveEnd(t, client)
			r.wantRefused(t, "denied", 403)
			e.wantNoDials(t)
		})
	}
}

func TestAllowAndDenyGoByTheAddressInTheHeader(t *testing.T) {
	v1 := func(source string) []byte {
		return fmt.Appendf(nil, "PROXY TCP4 %s 198.51.100.1 4000 8883\r\n", source)
	}
	mapped := []byte("PROXY TCP6 ::ffff:192.0.2.66 2001:db8::1 4000 8883\r\n")
	for _, c := range []struct {
		name   string
		header []byte
		in     bool
	}{
		{"allowed", v1("192.0.2.7"), true},
		{"denied", v1("192.0.2.66"), false},
		{"denied, mapped into IPv6", mapped, false},
		{"not among the allowed", v1("203.0.113.1"), false},
		{"the balancer itself", []byte("PROXY UNKNOWN\r\n"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEndpoint(t, nil)
			s := trusting(TCP)
			s.Allow, s.Deny = prefixes("192.0.2.0/24"), prefixes("192.0.2.66/32")
			r := newRig(t, s, e.addr)
			client := r.dial(t)
			send(t, client, c.header)
			if c.in {
				e.next(t)
				return
			}
			receiveEnd(t, client)
			r.wantRefused(t, "denied", 403)
			e.wantNoDials(t)
		})
	}
}

// burst opens n connections at once and returns those that are served.
func burst(t *testing.T, n int, open func() *net.TCPConn) []*net.TCPConn {
	t.Helper()
	conns := make([]*net.TCPConn, n)
	for i := range conns {
		conns[i] = open()
	}
	served := make([]bool, n)
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			if _, err := c.Write([]byte("hello")); err == nil {
				got := make([]byte, 5)
				n, _ := c.Read(got)
				served[i] = string(got[:n]) == "hello"
			}
		})
	}
	all.Wait()
	var out []*net.TCPConn
	for i, c := range conns {
		if served[i] {
			out = append(out, c)
		} else {
			c.Close()
		}
	}
	return out
}

func TestMaxConnectionsHoldsInABurstAndPlacesAreGivenBack(t *testing.T) {
	const limit, clients = 7, 50
	e := newEndpoint(t, echo)
	s := settings(TCP)
	s.MaxConnections = limit
	r := newRig(t, s, e.addr)
	for round := range 3 {
		served := burst(t, clients, func() *net.TCPConn { return r.dial(t) })
		if len(served) != limit {
			t.Fatalf("round %d: %d were served, want %d", round, len(served), limit)
		}
		r.lines(t, round*clients+clients-limit) // a refusal is counted after the client saw it
		if n := r.Stats().Refused["max_connections"]; n != uint64((round+1)*(clients-limit)) {
			t.Fatalf("round %d: %d were refused", round, n)
		}
		for _, c := range served {
			c.Close()
		}
		until(t, "all places free", func() bool { return r.places.Load() == 0 })
		r.lines(t, (round+1)*clients)
	}
	for _, l := range r.lines(t, 3*clients) {
		if l.Reason == "max_connections" && l.Status != 503 {
			t.Errorf("access log: %+v", l)
		}
	}
}

func TestMaxConnectionsPerIPGoesByTheAddressInTheHeader(t *testing.T) {
	const limit = 3
	e := newEndpoint(t, func(c *net.TCPConn) {
		_, rest := receiveHeader(t, c)
		rest.WriteTo(c)
	})
	s := trusting(TCP)
	s.MaxConnectionsPerIP = limit
	r := newRig(t, s, e.addr)
	from := func(address string) func() *net.TCPConn {
		return func() *net.TCPConn {
			c := r.dial(t)
			send(t, c, fmt.Appendf(nil, "PROXY TCP4 %s 198.51.100.1 4000 8883\r\n", address))
			return c
		}
	}
	for round := range 2 {
		var all []*net.TCPConn
		for _, address := range []string{"192.0.2.1", "192.0.2.2"} {
			served := burst(t, 10, from(address))
			if len(served) != limit {
				t.Fatalf("round %d: %d from %s were served, want %d", round, len(served), address, limit)
			}
			all = append(all, served...)
		}
		for _, c := range all {
			c.Close()
		}
		until(t, "all places free", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.perIP) == 0
		})
	}
	for _, l := range r.lines(t, 40) {
		if l.Reason == "max_connections_per_ip" && (l.Status != 503 || !strings.HasPrefix(l.ProxyProtocolAddr, "192.0.2.")) {
			t.Errorf("access log: %+v", l)
		}
	}
	if s := r.Stats(); s.Refused["max_connections_per_ip"] != 28 || len(s.Refused) != 1 {
		t.Errorf("refused %v", s.Refused)
	}
}

func TestALimitThatComesWithAReloadHoldsForNewConnections(t *testing.T) {
	e := newEndpoint(t, echo)
	before := settings(TCP)
	r := newRig(t, before, e.addr)
	if n := len(burst(t, 4, func() *net.TCPConn { return r.dial(t) })); n != 4 {
		t.Fatalf("%d were served without a limit", n)
	}
	after := *before
	after.MaxConnections, after.MaxConnectionsPerIP = 5, 1
	r.Configure(&after)
	served := burst(t, 3, func() *net.TCPConn { return r.dial(t) })
	if len(served) != 1 {
		t.Fatalf("%d were served above four under a limit of five", len(served))
	}
	r.Configure(before) // the places taken under the limits are still given back
	served[0].Close()
	until(t, "its place is given back", func() bool { return r.places.Load() == 4 })
}
