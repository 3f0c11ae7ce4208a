package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// cut is a network in which some addresses cannot be reached.
type cut struct {
	side atomic.Pointer[map[string]int]
}

var errCut = errors.New("cut")

// apart makes the nodes of different groups unable to reach each other; no groups mend the network.
func (c *cut) apart(groups ...[]*running) {
	side := make(map[string]int)
	for i, group := range groups {
		for _, n := range group {
			side[n.Addr().String()] = i + 1
		}
	}
	c.side.Store(&side)
}

// open is Options.open for a node in that network.
func (c *cut) open(bind netip.AddrPort) (sockets, error) {
	s, err := openSockets(bind)
	if err != nil {
		return s, err
	}
	own := s.streams.Addr().String()
	reachable := func(addr string) bool {
		side := c.side.Load()
		return side == nil || (*side)[own] == (*side)[addr]
	}
	s.packets = &cutPackets{s.packets, reachable}
	dial := s.dial
	s.dial = func(ctx context.Context, addr string) (net.Conn, error) {
		if !reachable(addr) {
			return nil, errCut
		}
		return dial(ctx, addr)
	}
	return s, nil
}

type cutPackets struct {
	net.PacketConn
	reachable func(string) bool
}

func (p *cutPackets) WriteTo(b []byte, to net.Addr) (int, error) {
	if !p.reachable(to.String()) {
		return len(b), nil
	}
	return p.PacketConn.WriteTo(b, to)
}

// meet makes the nodes one cluster, though none is told to join another.
func meet(t *testing.T, nodes ...*running) {
	t.Helper()
	for _, n := range nodes[1:] {
		eventually(t, func() string {
			n.mu.Lock()
			list := n.list
			n.mu.Unlock()
			if list == nil {
				return n.name + " does not run"
			}
			if _, err := list.Join(join(nodes[0])); err != nil {
				return err.Error()
			}
			return ""
		})
	}
}

func TestAPartitionHealsThoughNobodyIsConfiguredAcrossIt(t *testing.T) {
	network := &cut{}
	var nodes []*running
	for i := range 4 {
		n := start(t, Options{Name: fmt.Sprintf("n%d", i), open: network.open, tune: func(c *memberlist.Config) {
			fast(c)
			c.GossipToTheDeadTime = time.Millisecond // memberlist forgets the dead at once
		}})
		announce(t, n, at("emqx", fmt.Sprintf("10.0.0.%d:1883", i))...)
		nodes = append(nodes, n)
	}
	meet(t, nodes...)
	all := []string{"10.0.0.0:1883", "10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883"}
	for _, n := range nodes {
		sees(t, n, "emqx", all...)
	}
	left, right := nodes[:2], nodes[2:]
	network.apart(left, right)
	members(t, 2, nodes...)
	sees(t, nodes[0], "emqx", all[0], all[1], all[2]+" suspected", all[3]+" suspected")
	sees(t, nodes[3], "emqx", all[0]+" suspected", all[1]+" suspected", all[2], all[3])
	announce(t, nodes[1], at("emqx", "10.0.1.1:1883")...) // while they are apart

	network.apart()
	members(t, 4, nodes...)
	for _, n := range nodes {
		sees(t, n, "emqx", all[0], all[1]+" left", "10.0.1.1:1883", all[2], all[3])
	}
}

func TestTheStateFileKeepsTheLastKnownSetThroughARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gossip.state")
	agent := start(t, Options{Name: "agent"})
	announce(t, agent, append(at("emqx", "10.0.0.1:1883", "10.0.0.2:1883"), Announcement{Service: "hooks", Addr: "10.0.0.3:9000", Weight: 7, Tags: map[string]string{"zone": "b"}})...)
	edge := start(t, Options{Name: "edge", Join: join(agent), StateFile: file})
	sees(t, edge, "emqx", "10.0.0.1:1883", "10.0.0.2:1883")
	edge.kill()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("state file: %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".gossip-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	agentAddr := agent.Addr().String()
	agent.kill()

	edge = start(t, Options{Name: "edge", StateFile: file}) // nobody to join but those it knew
	sees(t, edge, "emqx", "10.0.0.1:1883 suspected", "10.0.0.2:1883 suspected")
	if e := edge.Endpoints("hooks"); len(e) != 1 || e[0].Weight != 7 || e[0].Tags["zone"] != "b" {
		t.Errorf("hooks: %+v", e)
	}
	agent = start(t, Options{Name: "agent", Bind: agentAddr}) // it joins nobody: the edge remembers where it was
	announce(t, agent, at("emqx", "10.0.0.2:1883")...)
	sees(t, edge, "emqx", "10.0.0.1:1883 left", "10.0.0.2:1883")
}

func TestADamagedStateFileIsReplaced(t *testing.T) {
	for _, content := range []string{"", "{", `{"format":9}`, `{"format":1,"sets":[{"member":"a\u0000","sequence":1},{"member":"x","sequence":1,"endpoints":[{"service":"emqx","address":"169.254.169.254:80"}]}]}`} {
		file := filepath.Join(t.TempDir(), "gossip.state")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		n := start(t, Options{StateFile: file})
		announce(t, n, at("emqx", "10.0.0.1:1883")...)
		sees(t, n, "emqx", "10.0.0.1:1883")
		n.kill()
		if saved, err := readState(file); err != nil || saved.Format != format {
			t.Errorf("%q: %+v, %v", content, saved, err)
		}
	}
}

func TestNamesToJoinAreResolvedAgainAtEveryAttempt(t *testing.T) {
	var target atomic.Pointer[netip.Addr]
	edge := start(t, Options{Name: "edge"})
	port := edge.Addr().Port()
	agent := start(t, Options{Name: "agent", Join: []string{fmt.Sprintf("edges.test:%d", port)}, rejoin: 50 * time.Millisecond,
		resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			if ip := target.Load(); ip != nil && host == "edges.test" {
				return []netip.Addr{*ip}, nil
			}
			return nil, errors.New("no such host")
		}})
	ip := edge.Addr().Addr()
	target.Store(&ip)
	members(t, 2, edge, agent)
	if m := agent.Members(); len(m) != 2 || m[0].Name != agent.name || m[1].Name != edge.name || m[1].Addr != edge.Addr() || m[1].Host() != "edge" || !m[1].Alive {
		t.Errorf("members %+v", m)
	}
	if !slices.ContainsFunc(agent.Members(), func(m Member) bool { return m.Addr.Port() == port }) {
		t.Error("no port")
	}
}
