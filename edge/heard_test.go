package edge

import (
	"io"
	"log/slog"
	"slices"
	"strings"
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

func TestThatTheLastEndpointWasWithdrawnIsLoggedOnce(t *testing.T) {
	e, _ := cornered(t)
	var log strings.Builder
	e.log = slog.New(slog.NewTextHandler(&log, nil))
	h := &heard{e: e, feed: &feed{pool: e.current.Load().upstreams["emqx"].pool}, upstream: "emqx", moving: map[string]bool{}}
	gone := gossip.Endpoint{Endpoint: balancer.Endpoint{Addr: "10.0.0.1:1883"}, State: gossip.Left}
	for range 3 {
		h.part([]gossip.Endpoint{gone})
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
