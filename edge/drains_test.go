package edge

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/gossip"
)

func TestADrainIsHeardAsItWasSaid(t *testing.T) {
	hour, none := time.Hour, time.Duration(0)
	for name, c := range map[string]struct {
		how  admin.Drain
		want handDrain
	}{
		"as each edge does it": {admin.Drain{}, handDrain{}},
		"over an hour":         {admin.Drain{Over: &hour}, handDrain{over: hour, paced: true}},
		"at once":              {admin.Drain{Over: &none}, handDrain{paced: true}},
		"keeping clients":      {admin.Drain{Keep: true}, handDrain{keep: true}},
	} {
		c.want.word, c.want.reason = 7, "drained by hand on edge-2"
		if got := hearDrain(gossip.Fact{Value: sayDrain(c.how), Owner: "edge-2~abc", Stamp: 7}); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func FuzzSharedDrain(f *testing.F) {
	f.Add("emqx 10.0.0.1:1883", []byte(`{"over":"30s","keep":true}`))
	f.Add("two words [::1]:1883", []byte(`{"over":"-1s"}`))
	f.Add("", []byte(`{"over":3}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		if p, ok := placeOf(key); ok && p.key() != key {
			t.Errorf("%q became %q", key, p.key())
		}
		if d := hearDrain(gossip.Fact{Key: key, Value: value, Owner: key}); d.over < 0 || d.over > 0 && !d.paced {
			t.Errorf("%q: %+v", value, d)
		}
	})
}

// cornered is an edge with one upstream that has these endpoints, and a node that others would hear of.
func cornered(t *testing.T, addrs ...string) (*Edge, *gossip.Node) {
	t.Helper()
	node, err := gossip.New(gossip.Options{Name: "edge-1", Bind: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	e := New(Options{LogOutput: io.Discard})
	p := balancer.New("emqx", balancer.Options{})
	var set []balancer.Endpoint
	for _, addr := range addrs {
		set = append(set, balancer.Endpoint{Addr: addr})
	}
	p.Update(set)
	e.current.Store(&generation{config: &configs.Config{}, upstreams: map[string]*upstream{"emqx": {pool: p}}})
	e.drains.follow(&member{config: &configs.Gossip{Share: []string{shareDrains}}, node: node})
	t.Cleanup(e.moves.end)
	return e, node
}

func TestDrainsOfEndpointsThatAreThereLastAndOthersEnd(t *testing.T) {
	e, node := cornered(t, "10.0.0.1:1883")
	for _, key := range []string{"emqx 10.0.0.1:1883", "emqx 10.0.0.2:1883", "other 10.0.0.1:1883", "nonsense"} {
		if err := node.Share(factDrain, key, nil, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	e.prolongDrains(node)
	for _, f := range node.Shared(factDrain) {
		left, lasts := time.Until(f.Expires), f.Key == "emqx 10.0.0.1:1883"
		if lasts != (left > drainFor-time.Minute) || !lasts && left > time.Hour {
			t.Errorf("%q ends in %v", f.Key, left)
		}
	}
}

func TestADrainThatCannotBeSharedChangesNothing(t *testing.T) {
	e, node := cornered(t, "10.0.0.1:1883")
	var full error
	for i := 0; full == nil; i++ {
		full = node.Share(factDrain, fmt.Sprint("emqx ", i), nil, time.Hour)
	}
	err := control{e}.Drain("emqx", "10.0.0.1:1883", admin.Drain{Keep: true})
	if err == nil || !strings.Contains(err.Error(), "--local") {
		t.Errorf("%v", err)
	}
	if e.current.Load().upstreams["emqx"].pool.Status().Endpoints[0].Draining {
		t.Error("it is drained here")
	}
	if err := (control{e}).Drain("emqx", "10.0.0.1:1883", admin.Drain{Keep: true, Local: true}); err != nil {
		t.Error(err)
	}
	if s := e.current.Load().upstreams["emqx"].pool.Status().Endpoints[0]; s.Reason != "drained by hand on this edge alone" {
		t.Errorf("%+v", s)
	}
}

func TestDrainsOnThisEdgeAloneOfEndpointsThatAreGoneDoNotAddUp(t *testing.T) {
	e, _ := cornered(t)
	pool := e.current.Load().upstreams["emqx"].pool
	for i := range mostLocal + 10 {
		addr := fmt.Sprintf("10.%d.%d.1:1883", i/250, i%250)
		pool.Update([]balancer.Endpoint{{Addr: addr}, {Addr: "10.0.0.2:1883"}})
		if i == 0 {
			must(t, control{e}.Drain("emqx", "10.0.0.2:1883", admin.Drain{Keep: true, Local: true}))
		}
		e.drains.local[place{"emqx", addr}] = handDrain{}
	}
	must(t, control{e}.Drain("emqx", "10.0.0.2:1883", admin.Drain{Keep: true, Local: true}))
	if n := len(e.drains.local); n > 2 {
		t.Errorf("%d drains", n)
	}
	if !pool.Status().Endpoints[1].Draining {
		t.Error("one that is there was forgotten")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestADrainByHandGoesOnWhenItsEndpointIsAnnouncedAgain(t *testing.T) {
	e, _ := cornered(t, "10.0.0.1:1883", "10.0.0.2:1883")
	pool := e.current.Load().upstreams["emqx"].pool
	lease, err := pool.Take(pool.Members()[0].ID) // no connection that could be moved, so a move would not end
	must(t, err)
	defer lease.Done(balancer.Served)
	hour := time.Hour
	must(t, control{e}.Drain("emqx", "10.0.0.1:1883", admin.Drain{Over: &hour, Local: true}))
	h := &heard{e: e, feed: &feed{pool: pool}, upstream: "emqx", moving: map[string]bool{}}
	one := balancer.Endpoint{Addr: "10.0.0.1:1883"}
	pool.Update([]balancer.Endpoint{{Addr: "10.0.0.2:1883"}})
	h.part([]gossip.Endpoint{{Endpoint: one, State: gossip.Left}})
	pool.Update([]balancer.Endpoint{one, {Addr: "10.0.0.2:1883"}})
	h.part([]gossip.Endpoint{{Endpoint: one}})
	if e.moves.live() != 1 {
		t.Errorf("%d moves go on", e.moves.live())
	}
	must(t, control{e}.Enable("emqx", "10.0.0.1:1883", false))
	if e.moves.live() != 0 {
		t.Error("a move goes on after the end of the drain")
	}
}

func TestADrainThatStayedWhenGossipWentEndsWithTheNextWordOnIt(t *testing.T) {
	e, node := cornered(t, "10.0.0.1:1883")
	must(t, control{e}.Drain("emqx", "10.0.0.1:1883", admin.Drain{Keep: true}))
	draining := func(want bool) {
		t.Helper()
		e.settleNow()
		if got := e.current.Load().upstreams["emqx"].pool.Status().Endpoints[0].Draining; got != want {
			t.Errorf("draining %v, want %v", got, want)
		}
	}
	follow := func(n *gossip.Node) {
		e.drains.follow(&member{config: &configs.Gossip{Share: []string{shareDrains}}, node: n})
	}
	e.drains.follow(nil)
	draining(true)
	other, err := gossip.New(gossip.Options{Name: "edge-1", Bind: "127.0.0.1:0"})
	must(t, err)
	follow(other)
	draining(true) // nothing was heard yet
	other.Adopt(node)
	draining(true)
	if len(e.drains.local) > 0 {
		t.Errorf("it is still of this edge alone: %+v", e.drains.local)
	}
	e.drains.follow(nil)
	must(t, node.Unshare(factDrain, "emqx 10.0.0.1:1883")) // meanwhile, elsewhere
	follow(other)
	other.Adopt(node)
	draining(false)
}

func TestDrainsGoAlongToTheNextProcess(t *testing.T) {
	e, node := cornered(t, "10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883", "10.0.0.4:1883")
	hour := time.Hour
	must(t, control{e}.Drain("emqx", "10.0.0.1:1883", admin.Drain{Keep: true}))
	must(t, control{e}.Drain("emqx", "10.0.0.2:1883", admin.Drain{Over: &hour, Local: true}))
	must(t, control{e}.Drain("emqx", "10.0.0.3:1883", admin.Drain{Keep: true}))
	must(t, control{e}.Enable("emqx", "10.0.0.3:1883", true))
	handed, err := json.Marshal(handover{Drains: e.drains.handed()})
	must(t, err)
	next, nextNode := cornered(t, "10.0.0.1:1883", "10.0.0.2:1883", "10.0.0.3:1883", "10.0.0.4:1883")
	var h handover
	must(t, json.Unmarshal(handed, &h))
	next.drains.restore(h.Drains)
	draining := func(want string) {
		t.Helper()
		next.settleNow()
		var got string
		for _, s := range next.current.Load().upstreams["emqx"].pool.Status().Endpoints {
			if s.Draining {
				got += s.Address[7:8]
			}
		}
		if got != want {
			t.Errorf("drained are %q, want %q", got, want)
		}
	}
	draining("12") // nothing was heard yet
	if w := next.drains.acted[place{"emqx", "10.0.0.2:1883"}]; w.over != hour || !w.paced {
		t.Errorf("%+v", w)
	}
	nextNode.Adopt(node)
	draining("12")
	must(t, nextNode.Unshare(factDrain, "emqx 10.0.0.1:1883"))
	must(t, nextNode.Share(factDrain, "emqx 10.0.0.3:1883", nil, time.Hour)) // another word on it
	draining("23")
	must(t, control{next}.Drain("emqx", "10.0.0.4:1883", admin.Drain{Keep: true, Local: true}))
	draining("234")
	if next.drains.words < 2 {
		t.Error("two drains are the same word")
	}
}

func TestADrainOfOneEdgeIsNotEndedByWordsOfOthers(t *testing.T) {
	e, node := cornered(t, "10.0.0.1:1883")
	must(t, control{e}.Drain("emqx", "10.0.0.1:1883", admin.Drain{Keep: true, Local: true}))
	e.drains.follow(nil)
	must(t, node.Share(factDrain, "emqx 10.0.0.1:1883", nil, time.Hour))
	must(t, node.Unshare(factDrain, "emqx 10.0.0.1:1883"))
	e.drains.follow(&member{config: &configs.Gossip{Share: []string{shareDrains}}, node: node})
	e.settleNow()
	if !e.current.Load().upstreams["emqx"].pool.Status().Endpoints[0].Draining {
		t.Error("it is in use again")
	}
}

func TestNoDrainBeginsThatTheNextProcessWouldNotKnow(t *testing.T) {
	e, _ := cornered(t, "10.0.0.1:1883")
	e.handing.Store(true)
	for _, local := range []bool{true, false} {
		if err := (control{e}).Drain("emqx", "10.0.0.1:1883", admin.Drain{Keep: true, Local: local}); err == nil {
			t.Error("drained")
		}
		if err := (control{e}).Enable("emqx", "10.0.0.1:1883", local); err == nil {
			t.Error("enabled")
		}
	}
}
