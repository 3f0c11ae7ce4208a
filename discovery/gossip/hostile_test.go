package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

func TestAMemberOutsideOfTheAllowListIsRefused(t *testing.T) {
	edge := start(t, Options{Name: "edge", Allow: prefixes("127.0.0.1/32", "10.0.0.0/8")})
	friend := start(t, Options{Name: "friend", Join: join(edge)})
	start(t, Options{Name: "stranger", Bind: "127.0.0.2:0", Join: join(edge), rejoin: 20 * time.Millisecond})
	announce(t, friend, at("emqx", "10.0.0.1:1883", "11.0.0.1:1883")...)
	refused(t, edge, refusedAddress, 2)
	sees(t, edge, "emqx", "10.0.0.1:1883")
	if got := edge.Stats().Members; got != 2 {
		t.Errorf("%d members, want 2", got)
	}
}

// The friend has no list of its own and tells the edge of the stranger.
func TestAMemberOutsideOfTheAllowListIsRefusedAlsoByHearsay(t *testing.T) {
	friend := start(t, Options{Name: "friend"})
	stranger := start(t, Options{Name: "stranger", Bind: "127.0.0.2:0", Join: join(friend)})
	members(t, 2, friend, stranger)
	edge := start(t, Options{Name: "edge", Allow: prefixes("127.0.0.1/32"), Join: join(friend)})
	members(t, 2, edge)
	refused(t, edge, refusedAddress, 1)
}

func TestGarbageIsCountedAndDoesNoHarm(t *testing.T) {
	edge := start(t, Options{Name: "edge"})
	friend := start(t, Options{Name: "friend", Join: join(edge)})
	members(t, 2, edge, friend)
	udp, err := net.Dial("udp", edge.Addr().String())
	must(t, err)
	defer udp.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		b := make([]byte, 1+random.IntN(1200))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		b[0] = byte(random.IntN(16)) // memberlist's own kinds
		udp.Write(b)
		if random.IntN(10) == 0 {
			if tcp, err := net.Dial("tcp", edge.Addr().String()); err == nil {
				tcp.Write(b)
				tcp.Close()
			}
		}
	}
	n := friend.Node
	n.mu.Lock()
	list := n.list
	n.mu.Unlock()
	for _, m := range list.Members() {
		if m.Name == edge.name {
			must(t, list.SendReliable(m, []byte("\x01\x09what")))
		}
	}
	refused(t, edge, refusedMalformed, 1)
	announce(t, friend, at("emqx", "10.0.0.1:1883")...)
	sees(t, edge, "emqx", "10.0.0.1:1883")
}

func TestStreamsThatSayNothingAreBounded(t *testing.T) {
	edge := start(t, Options{Name: "edge"})
	var open []net.Conn
	for range mostStreams + 50 {
		conn, err := net.Dial("tcp", edge.Addr().String())
		must(t, err)
		defer conn.Close()
		open = append(open, conn)
	}
	refused(t, edge, refusedTooMany, 50)
	for _, conn := range open { // the edge gives up on all of them
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("a stream that says nothing is kept")
		}
	}
	friend := start(t, Options{Name: "friend", Join: join(edge)})
	members(t, 2, edge, friend)
}

func TestAPoolIsTold(t *testing.T) {
	agent := start(t, Options{Name: "agent"})
	other := start(t, Options{Name: "other", Join: join(agent)})
	edge := start(t, Options{Name: "edge", Join: join(agent)})
	pool := balancer.New("emqx", balancer.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- edge.Source("emqx").Run(ctx, pool) }()
	has := func(want ...string) {
		t.Helper()
		eventually(t, func() string {
			var got []string
			for _, e := range pool.Status().Endpoints {
				got = append(got, fmt.Sprintf("%s x%d %s", e.Address, e.Weight, e.Source))
			}
			if strings.Join(got, ",") != strings.Join(want, ",") {
				return fmt.Sprintf("the pool has %q, want %q", got, want)
			}
			return ""
		})
	}
	announce(t, agent, Announcement{Service: "emqx", Addr: ":1883", Weight: 3}, Announcement{Service: "emqx", Addr: "10.0.0.2:1883", Health: Draining})
	has("127.0.0.1:1883 x3 gossip")
	announce(t, other, at("emqx", "10.0.0.3:1883")...)
	has("10.0.0.3:1883 x1 gossip", "127.0.0.1:1883 x3 gossip")
	agent.leave()
	has("10.0.0.3:1883 x1 gossip")
	other.kill()
	eventually(t, func() string {
		if got := edge.Stats(); got.Suspected["emqx"] != 1 || got.Members != 1 || got.Silent == 0 || got.Announcements["emqx"] != 1 || got.BytesIn == 0 || got.BytesOut == 0 {
			return fmt.Sprintf("%+v", got)
		}
		return ""
	})
	has("10.0.0.3:1883 x1 gossip")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnnouncementsThatCannotBeUsedAreNamed(t *testing.T) {
	n, err := New(Options{Bind: "127.0.0.1:0", Allow: prefixes("10.0.0.0/8", "127.0.0.0/8")})
	must(t, err)
	for want, a := range map[string]Announcement{
		`gossip.announce[1]: service ""`:                           {Addr: ":1"},
		`gossip.announce[1]: address "x": want IP:port`:            {Service: "s", Addr: "x"},
		`gossip.announce[1]: address "host:1": want an IP address`: {Service: "s", Addr: "host:1"},
		`gossip.announce[1]: address ":0": want a port`:            {Service: "s", Addr: ":0"},
		`gossip.announce[1]: address "11.0.0.1:1": others would`:   {Service: "s", Addr: "11.0.0.1:1"},
		`gossip.announce[1]: address "[fe80::1%lo]:1": want an IP`: {Service: "s", Addr: "[fe80::1%lo]:1"},
		`gossip.announce[1]: tags: "a\n"="b"`:                      {Service: "s", Addr: ":1", Tags: map[string]string{"a\n": "b"}},
		`gossip.announce[1]: health 3`:                             {Service: "s", Addr: ":1", Health: 3},
	} {
		err := n.Announce([]Announcement{{Service: "s", Addr: ":1"}, a})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want it to begin with %s", err, want)
		}
	}
	if err := n.Announce(make([]Announcement, mostAnnouncements+1)); err == nil {
		t.Error("no bound")
	}
	if n.wanted != nil {
		t.Error("something was taken")
	}
}

func TestLeaveNeedsARunningNode(t *testing.T) {
	n := start(t, Options{})
	eventually(t, func() string {
		if err := n.Leave(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	})
	n.kill()
	if err := n.Leave(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
}
