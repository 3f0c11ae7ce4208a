package proxy

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/admit"
	"github.com/mqedge/mqedge/proxy/ports"
)

// All of 127.0.0.0/8 is Linux's own.
const here, alsoHere, nowhere = "127.0.0.11", "127.0.0.12", "192.0.2.1"

func sourcesOf(n int, addresses ...string) *ports.Set {
	set := ports.New()
	var all []netip.Addr
	for _, a := range addresses {
		all = append(all, netip.MustParseAddr(a))
	}
	set.Configure(all, n)
	return set
}

func fromSources(p Protocol, set *ports.Set) *Settings {
	s := settings(p)
	s.Route.Sources = set
	return s
}

// inUse are the ports held, by source, of all endpoints.
func inUse(set *ports.Set) map[string]int {
	out := make(map[string]int)
	for _, p := range set.Pairs() {
		if p.Used > 0 {
			out[p.Source.String()] += p.Used
		}
	}
	return out
}

func wantInUse(t testing.TB, set *ports.Set, want map[string]int) {
	t.Helper()
	if got := inUse(set); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("in use %v, want %v", got, want)
	}
}

// served is the endpoint's end of a new connection whose bytes reach it, and
// where it comes from.
func served(t testing.TB, r *rig, e *endpoint) (conn *net.TCPConn, source string) {
	t.Helper()
	client := r.dial(t)
	conn = e.next(t)
	send(t, client, []byte("hello"))
	receiveText(t, conn, "hello")
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	must(t, err)
	return conn, host
}

func TestConnectionsAreSpreadOverTheSourceAddresses(t *testing.T) {
	e := newEndpoint(t, nil)
	_, port, err := net.SplitHostPort(e.addr)
	must(t, err)
	for _, addr := range []string{e.addr, "localhost:" + port} {
		set := sourcesOf(100, here, alsoHere)
		r := newRig(t, fromSources(TCP, set), addr)
		came := make(map[string]int)
		var conns []*net.TCPConn
		for range 6 {
			conn, source := served(t, r, e)
			conns = append(conns, conn)
			came[source]++
		}
		if came[here] != 3 || came[alsoHere] != 3 {
			t.Errorf("%s: they came from %v", addr, came)
		}
		wantInUse(t, set, map[string]int{here: 3, alsoHere: 3})
		for _, c := range conns {
			c.SetLinger(0)
			c.Close()
		}
		until(t, "all ports given back", func() bool { return len(inUse(set)) == 0 })
	}
}

func TestWhenASourceIsFullTheNextServesAndThenTheNextEndpoint(t *testing.T) {
	a, b := newEndpoint(t, nil), newEndpoint(t, nil)
	set := sourcesOf(1, here, alsoHere)
	s := fromSources(TCP, set)
	r := newRig(t, inOrder(s, a.addr, b.addr))
	first, source := served(t, r, a)
	if source != here {
		t.Errorf("the first came from %s", source)
	}
	if _, source = served(t, r, a); source != alsoHere {
		t.Errorf("the second came from %s", source)
	}
	served(t, r, b)
	served(t, r, b)
	receiveEnd(t, r.dial(t))
	line := r.lines(t, 1)[0]
	if line.Reason != "local_limit" || line.Status != 500 {
		t.Errorf("one too many: %+v", line)
	}
	last := r.Stats().LastRefusal
	for _, want := range []string{b.addr, "no source address has a port left", "ip_local_port_range", "source_addresses"} {
		if !strings.Contains(last, want) {
			t.Errorf("the refusal %q does not say %q", last, want)
		}
	}
	for _, ep := range s.Route.Upstream.(*balancer.Pool).Status().Endpoints {
		if ep.FailuresTotal != 0 || ep.Connections != 2 {
			t.Errorf("%+v", ep)
		}
	}
	first.SetLinger(0)
	first.Close()
	until(t, "a port of the first endpoint", func() bool { return inUse(set)[here] == 1 }) // the other is that of the second endpoint
	served(t, r, a)
}

func TestASourceThatTheKernelRefusesIsPassedOver(t *testing.T) {
	e := newEndpoint(t, nil)
	set := sourcesOf(100, nowhere, here)
	r := newRig(t, fromSources(TCP, set), e.addr)
	for range 3 {
		if _, source := served(t, r, e); source != here {
			t.Errorf("came from %s", source)
		}
	}
	wantInUse(t, set, map[string]int{here: 3})
}

func TestWithoutAUsableSourceTheRefusalSaysWhy(t *testing.T) {
	e := newEndpoint(t, nil)
	for source, words := range map[string]string{
		nowhere: "bind: cannot assign requested address (this host no longer has an address of source_addresses: see `ip address`)",
		"::1":   "no source address is of this endpoint's family (give the upstream such an address in source_addresses)",
	} {
		set := sourcesOf(100, source)
		r := newRig(t, fromSources(TCP, set), e.addr)
		receiveEnd(t, r.dial(t))
		r.wantRefused(t, "local_limit", 500)
		if last := r.Stats().LastRefusal; !strings.Contains(last, words) {
			t.Errorf("%s: %q does not say %q", source, last, words)
		}
		if ep := r.pool.Status().Endpoints[0]; ep.FailuresTotal != 0 {
			t.Errorf("%s: the endpoint is blamed: %+v", source, ep)
		}
		wantInUse(t, set, map[string]int{})
	}
	e.wantNoDials(t)
}

func TestTheRefusalOfANameIsThatOfAnAddressThatFits(t *testing.T) {
	_, port, err := net.SplitHostPort(closedPort(t))
	must(t, err)
	r := newRig(t, fromSources(TCP, sourcesOf(100, here)), "localhost:"+port)
	receiveEnd(t, r.dial(t))
	r.wantRefused(t, "upstream_failed", 502)
	refused, family := error(syscall.ECONNREFUSED), fmt.Errorf("to ::1: %w", ports.ErrFamily)
	for _, c := range []struct{ before, err, want error }{
		{nil, family, family}, {family, refused, refused}, {refused, family, refused}, {nil, refused, refused},
	} {
		if got := moreTelling(c.before, c.err); got != c.want {
			t.Errorf("%v, then %v: %v", c.before, c.err, got)
		}
	}
}

func TestEveryWayToFailGivesThePortBack(t *testing.T) {
	refused := closedPort(t)
	for name, c := range map[string]struct {
		handle func(*net.TCPConn)
		change func(*Settings)
		reason string
	}{
		"the dial is refused":        {nil, nil, "upstream_failed"},
		"CONNECT is declined":        {answers(connackOf(5, 0x88)), nil, "upstream_declined"},
		"it closes before an answer": {answers(nil), nil, "upstream_failed"},
		"TLS cannot be agreed":       {func(c *net.TCPConn) { c.Write([]byte("no TLS here")) }, func(s *Settings) { s.Route.TLS = upstreamTLS(t) }, "upstream_failed"},
		"it is kicked meanwhile":     {func(c *net.TCPConn) { io.Copy(io.Discard, c) }, nil, "kicked"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := refused
			if c.handle != nil {
				addr = newEndpoint(t, c.handle).addr
			}
			set := sourcesOf(100, here, alsoHere)
			s := fromSources(MQTT, set)
			if c.change != nil {
				c.change(s)
			}
			r := newRig(t, s, addr)
			client := r.dial(t)
			send(t, client, connects("device")["5"])
			if c.reason == "kicked" {
				until(t, "a port in use", func() bool { return len(inUse(set)) == 1 })
				until(t, "the client id", func() bool { return r.Kick("device") == 1 })
			}
			if line := r.lines(t, 1)[0]; line.Reason != c.reason {
				t.Errorf("access log: %+v, want %s", line, c.reason)
			}
			wantInUse(t, set, map[string]int{})
		})
	}
}

func TestAConnectionThatWaitedWhileTheSourcesWereTakenAwayIsServed(t *testing.T) {
	e := newEndpoint(t, echo)
	set := sourcesOf(100, here)
	s := fromSources(TCP, set)
	r := newPacedRig(t, s, limit(10, 0), e.addr)
	c := r.dial(t)
	r.awaitWaiting(t, 1)
	set.Configure(nil, 100)
	after := *s
	after.ConnectRate, after.Route.Sources = admit.Limit{}, nil
	r.Configure(&after)
	send(t, c, []byte("hello"))
	receiveText(t, c, "hello")
	wantInUse(t, set, map[string]int{})
}
