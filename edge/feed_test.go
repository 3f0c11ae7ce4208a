package edge

import (
	"context"
	"slices"
	"testing"

	"github.com/mqedge/mqedge/balancer"
)

func addresses(p *balancer.Pool) []string {
	var out []string
	for _, m := range p.Members() {
		out = append(out, m.Addr)
	}
	return out
}

func TestASourceThatAReloadReplacesCountsUntilItsSuccessorSpeaks(t *testing.T) {
	f := &feed{pool: balancer.New("back", balancer.Options{})}
	defer func() { f.stop() }()
	want := func(when string, all ...string) {
		t.Helper()
		if got := addresses(f.pool); !slices.Equal(got, all) {
			t.Errorf("%s: %v, want %v", when, got, all)
		}
	}
	idle := func(ctx context.Context) { <-ctx.Done() }
	f.begin(set{{Addr: "a:1", Source: "static"}}, true, true)
	f.gossip = learn("one", idle)
	f.say(fromGossip, set{{Addr: "g:1"}, {Addr: "a:1", Source: "gossip"}})
	f.say(fromDNS, set{{Addr: "d:1"}})
	want("all have spoken", "a:1", "d:1", "g:1")
	if source := f.pool.Status().Endpoints[0].Source; source != "static" {
		t.Errorf("the endpoint that the file has too is of %s", source)
	}
	if f.gossip.replace("one") {
		t.Error("a source is replaced by the same")
	}
	if !f.gossip.replace("two") || !f.gossip.run.hasEnded() {
		t.Error("the source before goes on beside its successor")
	}
	f.begin(nil, true, true)
	want("the file has none any more", "d:1", "g:1", "a:1")
	f.say(fromGossip, set{{Addr: "g:2"}})
	want("the successor has spoken", "d:1", "g:2")
	f.begin(nil, true, false)
	want("gossip is not asked any more", "d:1")
}
