package gossip

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func TestFiveNodesLearnWhatEachAnnounces(t *testing.T) {
	seed := start(t, Options{Name: "seed"})
	nodes := []*running{seed}
	for i := range 4 {
		nodes = append(nodes, start(t, Options{Name: fmt.Sprintf("n%d", i), Join: join(seed)}))
	}
	var want []string
	for i, n := range nodes {
		addr := fmt.Sprintf("10.0.0.%d:1883", i+1)
		announce(t, n, at("emqx", addr)...)
		want = append(want, addr)
	}
	members(t, 5, nodes...)
	for _, n := range nodes {
		sees(t, n, "emqx", want...)
	}
	nodes[4].leave()
	want[4] += " left"
	for _, n := range nodes[:4] {
		sees(t, n, "emqx", want...)
	}
	members(t, 4, nodes[:4]...)
	for _, n := range nodes[:4] {
		for _, m := range n.Members() {
			if m.Alive == m.Left {
				t.Errorf("to %s this is %+v", n.name, m)
			}
		}
	}
}

func TestWhoseAddressHasAnotherProcessHasLeftAndWhoDiesHasNot(t *testing.T) {
	n, err := New(Options{Name: "self", Bind: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	addr, other := netip.MustParseAddrPort("127.0.0.2:7946"), netip.MustParseAddrPort("127.0.0.3:7946")
	now := time.Now()
	for name, at := range map[string]netip.AddrPort{"a~1": addr, "b~1": other, "a~2": addr} {
		n.catalog.joined(name, at, now)
	}
	for _, m := range n.Members()[1:] {
		if m.Alive != (m.Name != "a~1") || m.Left == m.Alive {
			t.Errorf("before anybody missed it: %+v", m)
		}
	}
	d := delegate{n}
	d.NotifyLeave(&memberlist.Node{Name: "a~1", Addr: addr.Addr().AsSlice(), Port: 7946})
	d.NotifyLeave(&memberlist.Node{Name: "b~1", Addr: other.Addr().AsSlice(), Port: 7946})
	n.catalog.joined("b~2", other, now) // later, and then both leave
	for _, name := range []string{"a~2", "b~2"} {
		n.catalog.put(wireSet{origin: name, seq: 1, left: true}, now)
		n.catalog.died(name, now)
	}
	n.catalog.joined("c~1", netip.MustParseAddrPort("127.0.0.4:7946"), now)
	n.catalog.died("c~1", now)
	var got []string
	for _, m := range n.Members()[1:] {
		got = append(got, fmt.Sprint(m.Name, " ", m.Alive, " ", m.Left))
	}
	if want := []string{"a~1 false true", "a~2 false true", "b~1 false true", "b~2 false true", "c~1 false false"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(n.silent.names, []string{"b~1"}) {
		t.Errorf("silent are %q", n.silent.names)
	}
}

func TestFiveHundredEndpointsOfOneHostArriveAndChange(t *testing.T) {
	agent := start(t, Options{Name: "agent"})
	edges := []*running{
		start(t, Options{Name: "edge1", Join: join(agent)}),
		start(t, Options{Name: "edge2", Join: join(agent)}),
	}
	members(t, 3, agent, edges[0], edges[1])
	set := many(500)
	announce(t, agent, set...)
	for _, e := range edges {
		eventually(t, func() string {
			if got := len(e.Endpoints("emqx")); got != 500 {
				return fmt.Sprintf("%d endpoints, want 500; %+v", got, e.Stats())
			}
			return ""
		})
		got := e.Endpoints("emqx")[7]
		if got.Tags["zone"] != "a" || got.Facts["send_proxy"] != "v2" || got.Source != "gossip" || !slices.Equal(got.Announced, []string{agent.name}) {
			t.Errorf("got %+v", got)
		}
	}
	late := start(t, Options{Name: "late", Join: join(edges[0])})
	eventually(t, func() string {
		if got := len(late.Endpoints("emqx")); got != 500 {
			return fmt.Sprintf("%d endpoints, want 500", got)
		}
		return ""
	})

	set = slices.Clone(set[1:])
	set[0].Health = Down
	announce(t, agent, set...)
	for _, e := range append(edges, late) {
		eventually(t, func() string {
			endpoints := e.Endpoints("emqx")
			if endpoints[0].State != Left || endpoints[0].Addr != "10.1.0.1:1883" {
				return fmt.Sprintf("the first is %+v, want it left", endpoints[0])
			}
			for _, p := range endpoints {
				if p.Addr == set[0].Addr && p.Health != Down {
					return fmt.Sprintf("%+v, want it down", p)
				}
			}
			return ""
		})
	}
}

func TestAKilledAnnouncerIsSuspectedAndKept(t *testing.T) {
	edge := start(t, Options{Name: "edge"})
	agents := []*running{
		start(t, Options{Name: "a", Join: join(edge)}),
		start(t, Options{Name: "b", Join: join(edge)}),
	}
	announce(t, agents[0], at("emqx", "10.0.0.1:1883", "10.0.0.9:1883")...)
	announce(t, agents[1], at("emqx", "10.0.0.2:1883", "10.0.0.9:1883")...)
	sees(t, edge, "emqx", "10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.9:1883")

	agents[0].kill()
	sees(t, edge, "emqx", "10.0.0.1:1883 suspected", "10.0.0.2:1883", "10.0.0.9:1883")
	edge.Works("emqx", "10.0.0.1:1883")
	edge.Failed("emqx", "10.0.0.2:1883") // present: not for this to say
	edge.Failed("emqx", "10.0.0.1:1883")
	sees(t, edge, "emqx", "10.0.0.2:1883", "10.0.0.9:1883")

	agents[1].kill()
	sees(t, edge, "emqx", "10.0.0.2:1883 suspected", "10.0.0.9:1883 suspected")
	edge.Failed("emqx", "10.0.0.2:1883")
	edge.Failed("emqx", "10.0.0.9:1883")
	if got := known(edge, "emqx"); len(got) != 2 {
		t.Errorf("silence emptied the pool: %v", got)
	}
}

func TestARestartedAgentIsAcceptedAtOnceAtANewPort(t *testing.T) {
	edge := start(t, Options{Name: "edge"})
	agent := start(t, Options{Name: "agent", Join: join(edge)})
	announce(t, agent, at("emqx", "10.0.0.1:1883", "10.0.0.2:1883")...)
	sees(t, edge, "emqx", "10.0.0.1:1883", "10.0.0.2:1883")
	agent.kill()

	again := start(t, Options{Name: "agent", Join: join(edge)})
	announce(t, again, at("emqx", "10.0.0.1:1883")...)
	began := time.Now()
	sees(t, edge, "emqx", "10.0.0.1:1883", "10.0.0.2:1883 suspected")
	eventually(t, func() string {
		for _, e := range edge.Endpoints("emqx") {
			if e.Addr == "10.0.0.1:1883" && !slices.Equal(e.Announced, []string{again.name}) {
				return fmt.Sprintf("announced by %v, want %v", e.Announced, again.name)
			}
		}
		return ""
	})
	t.Logf("after %v", time.Since(began))
}

func TestARestartedAgentAtTheSamePortReplacesItsFormerSelf(t *testing.T) {
	edge := start(t, Options{Name: "edge"})
	agent := start(t, Options{Name: "agent", Join: join(edge)})
	announce(t, agent, at("emqx", "10.0.0.1:1883", "10.0.0.2:1883")...)
	sees(t, edge, "emqx", "10.0.0.1:1883", "10.0.0.2:1883")
	addr := agent.Addr().String()
	agent.kill()

	again := start(t, Options{Name: "agent", Bind: addr, Join: join(edge)})
	announce(t, again, at("emqx", "10.0.0.1:1883", "10.0.0.3:1883")...)
	sees(t, edge, "emqx", "10.0.0.1:1883", "10.0.0.2:1883 left", "10.0.0.3:1883")
}

func TestAnEndpointOfTwoAnnouncersGoesWhenBothWithdrawIt(t *testing.T) {
	edge := start(t, Options{Name: "edge"})
	a := start(t, Options{Name: "a", Join: join(edge)})
	b := start(t, Options{Name: "b", Join: join(edge)})
	announce(t, a, at("emqx", "10.0.0.1:1883")...)
	announce(t, b, Announcement{Service: "emqx", Addr: "10.0.0.1:1883", Health: Down})
	eventually(t, func() string {
		if e := edge.Endpoints("emqx"); len(e) != 1 || len(e[0].Announced) != 2 || e[0].Health != Up {
			return fmt.Sprintf("%+v, want one, up, of two announcers", e)
		}
		return ""
	})
	a.leave()
	eventually(t, func() string {
		if e := edge.Endpoints("emqx"); len(e) != 1 || len(e[0].Announced) != 1 || e[0].Health != Down || e[0].State != Present {
			return fmt.Sprintf("%+v, want it down as the other says", e)
		}
		return ""
	})
	announce(t, b)
	sees(t, edge, "emqx", "10.0.0.1:1883 left")
}
