package edge

import (
	"strings"
	"testing"
)

func TestNobodyIsRebalancedWhoCouldNotComeBack(t *testing.T) {
	text := strings.NewReplacer(
		"over: 0s, deadline: 5s", "over: 1m, deadline: 2m", "  back: {", "  back: {rebalance: {disconnects_per_second: 1}, ",
	).Replace(oneListener)
	h := startEdge(t, text, Options{})
	h.talk("front")
	if n := len(h.open()); n != 1 {
		t.Errorf("%d listeners are open, want 1", n)
	}
	h.memory.Store(&memory{short: true})
	if n := len(h.open()); n != 0 {
		t.Errorf("%d listeners are open while memory is short", n)
	}
	h.memory.Store(&memory{})
	r := h.current.Load().upstreams["back"].rebalance
	h.drain()
	eventually(t, r.run.hasEnded)
	if n := len(h.open()); n != 0 {
		t.Errorf("%d listeners are open during a drain", n)
	}
}
