package edge

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery/gossip"
)

func TestANewMemberTakesNoEndpointAwayBeforeItHasHeardOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := New(Options{LogOutput: io.Discard})
		defer e.end()
		h := &heard{e: e, feed: &feed{pool: balancer.New("back", balancer.Options{})}}
		h.feed.say(fromGossip, set{{Addr: "a:1"}, {Addr: "b:1"}, {Addr: "c:1"}})
		h.keep(h.feed.known[fromGossip])
		said := func(addr string, state gossip.State) gossip.Endpoint {
			return gossip.Endpoint{Endpoint: balancer.Endpoint{Addr: addr}, State: state}
		}
		want := func(when string, all ...string) {
			t.Helper()
			if got := addresses(h.feed.pool); !slices.Equal(got, all) {
				t.Errorf("%s: %v, want %v", when, got, all)
			}
		}
		h.update(nil)
		want("nothing was heard", "a:1", "b:1", "c:1")
		time.Sleep(relearn / 2)
		h.update([]gossip.Endpoint{said("b:1", gossip.Present)})
		want("one was heard of", "b:1", "a:1", "c:1")
		h.update([]gossip.Endpoint{said("b:1", gossip.Present), said("c:1", gossip.Left)})
		want("one left", "b:1", "a:1")
		h.learnt()
		want("it may still be heard of", "b:1", "a:1")
		time.Sleep(relearn)
		h.learnt()
		want("nobody spoke of the first in time", "b:1")
	})
}
