package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer answers every question for addresses with those it holds.
type nameServer struct {
	net.PacketConn
	mu        sync.Mutex
	addresses []netip.Addr
}

func startNameServer(t testing.TB) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	s := &nameServer{PacketConn: conn}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.serve()
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return s
}

func (s *nameServer) set(addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses = nil
	for _, a := range addresses {
		s.addresses = append(s.addresses, netip.MustParseAddr(a))
	}
}

func (s *nameServer) serve() {
	packet := make([]byte, 1500)
	for {
		n, from, err := s.ReadFrom(packet)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(packet[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
		q := m.Questions[0]
		s.mu.Lock()
		for _, a := range s.addresses {
			if q.Type == dnsmessage.TypeA {
				answer.Answers = append(answer.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: a.As4()},
				})
			}
		}
		s.mu.Unlock()
		if out, err := answer.Pack(); err == nil {
			s.WriteTo(out, from)
		}
	}
}

func TestEndpointsFollowTheDNSBesideThoseOfTheFile(t *testing.T) {
	t.Parallel()
	names := startNameServer(t)
	first := startFake(t, acknowledge)
	port := portOf(t, first.address())
	written := startFakeAt(t, fmt.Sprintf("127.82.1.2:%d", port), acknowledge)
	second := startFakeAt(t, fmt.Sprintf("127.82.1.3:%d", port), acknowledge)
	names.set("127.0.0.1", "127.82.1.2")
	config := func(tries int) string {
		return fmt.Sprintf(`
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx:
    balance: round_robin
    tries: %d
    endpoints: [{address: '%s', weight: 2}]
    dns: {name: emqx.example.com, port: %d, interval: 1s, resolver: '%s'}
`, tries, written.address(), port, names.LocalAddr())
	}
	e := start(t, config(3))
	e.awaitEndpoints("emqx", written.address(), first.address())
	if ep := e.endpoint("emqx", written.address()); ep.Source != "static" || ep.Weight != 2 {
		t.Errorf("an endpoint of the file that the DNS knows too: %+v", ep)
	}
	if ep := e.endpoint("emqx", first.address()); ep.Source != "dns" {
		t.Errorf("an endpoint of the DNS: %+v", ep)
	}
	clients := []*device{mustConnect(t, e.addr("mqtt"), nil, "1"), mustConnect(t, e.addr("mqtt"), nil, "2"), mustConnect(t, e.addr("mqtt"), nil, "3")}

	names.set() // an answer without addresses changes nothing
	e.awaitLog("emqx.example.com")
	e.reload(config(2))
	e.awaitEndpoints("emqx", written.address(), first.address())
	names.set("127.82.1.3")
	e.awaitEndpoints("emqx", written.address(), second.address())
	for _, d := range clients {
		must(t, d.ping())
	}
}
