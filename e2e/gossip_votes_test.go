package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestAnEdgeThatHasSeenNothingTakesOutWhatTheOthersAgreeIsDown(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	dead := deadAddress(t)
	passive := "endpoints: " + endpoints(a.address(), b.address(), dead) +
		", balance: round_robin, connect_timeout: 1s, health: {passive: {max_fails: 1, fail_timeout: 5s}%s}"
	all := c.edges(3, fmt.Sprintf(passive, ""), "")
	checks := c.prepare(c.edgeConfig(fmt.Sprintf(passive, ", active: {type: tcp, interval: 1h}"), ""))
	checks.launch()
	checks.awaitReady()
	out := func(e *edge) bool { return !e.endpoint("emqx", dead).Up }

	crowd(t, all[0], 6)
	if !out(all[0]) {
		t.Fatal("the dead endpoint is in use after six connections")
	}
	all[2].awaitMetric(`mqedge_gossip_facts{kind="vote"}`, 1)
	if out(all[2]) {
		t.Error("taken out on the word of one")
	}
	crowd(t, all[1], 6)
	for _, e := range []*edge{all[2], checks} {
		eventually(t, func() string {
			if ep := e.endpoint("emqx", dead); ep.Up || !strings.Contains(ep.Reason, "and on other edges, too") {
				return fmt.Sprintf("%+v", ep)
			}
			return ""
		})
	}
	if !checks.endpoint("emqx", a.address()).Up || checks.endpoint("emqx", dead).Ejected {
		t.Errorf("with a check: %+v", checks.upstream("emqx"))
	}
	if n := all[2].metrics()[`mqedge_gossip_probes_total{result="failed"}`]; n == 0 {
		t.Error("taken out without a look")
	}
}
