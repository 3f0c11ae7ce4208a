package balancer_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mqedge/mqedge/balancer"
)

func TestTheMetricsAreThoseOfTheContract(t *testing.T) {
	set := endpoints(1, 1)
	set[1].Backup = true
	p := newPool(balancer.Options{MaxFails: 1}, set)
	a := pick(t, p)
	b := pick(t, p, a.ID())
	b.Established(time.Millisecond)
	a.Done(balancer.ConnectFailed)

	c := balancer.NewCollector(func() []*balancer.Pool { return []*balancer.Pool{p, balancer.New("empty", balancer.Options{})} })
	want := `
# HELP mqedge_upstream_connect_failures_total Connections to the endpoint that failed to be set up or were refused.
# TYPE mqedge_upstream_connect_failures_total counter
mqedge_upstream_connect_failures_total{endpoint="A",upstream="emqx"} 1
mqedge_upstream_connect_failures_total{endpoint="B",upstream="emqx"} 0
# HELP mqedge_upstream_connections_active Connections to the endpoint, those being set up included.
# TYPE mqedge_upstream_connections_active gauge
mqedge_upstream_connections_active{endpoint="A",upstream="emqx"} 0
mqedge_upstream_connections_active{endpoint="B",upstream="emqx"} 1
# HELP mqedge_upstream_connects_total Connections to the endpoint that were attempted.
# TYPE mqedge_upstream_connects_total counter
mqedge_upstream_connects_total{endpoint="A",upstream="emqx"} 1
mqedge_upstream_connects_total{endpoint="B",upstream="emqx"} 1
# HELP mqedge_upstream_endpoint_up 1 unless the endpoint is ejected for its failures or fails its check. Draining does not change it.
# TYPE mqedge_upstream_endpoint_up gauge
mqedge_upstream_endpoint_up{endpoint="A",upstream="emqx"} 0
mqedge_upstream_endpoint_up{endpoint="B",upstream="emqx"} 1
# HELP mqedge_upstream_retries_total Connections attempted at the endpoint after another endpoint had failed.
# TYPE mqedge_upstream_retries_total counter
mqedge_upstream_retries_total{endpoint="A",upstream="emqx"} 0
mqedge_upstream_retries_total{endpoint="B",upstream="emqx"} 1
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	p.Update(set[:1])
	if n := testutil.CollectAndCount(c); n != 5 {
		t.Errorf("%d series after B left, want the 5 of A", n)
	}
}

func TestTheMetricFollowsTheCheckButNotDraining(t *testing.T) {
	checked(t, balancer.Options{}, 2, func(p *balancer.Pool, asked *prober, _ func()) {
		asked.answer("A", errRefused)
		asked.answer("B", balancer.Draining{Reason: "evacuation"})
		probes(asked, "A", 3)
		c := balancer.NewCollector(func() []*balancer.Pool { return []*balancer.Pool{p} })
		const want = `
# HELP mqedge_upstream_endpoint_up 1 unless the endpoint is ejected for its failures or fails its check. Draining does not change it.
# TYPE mqedge_upstream_endpoint_up gauge
mqedge_upstream_endpoint_up{endpoint="A",upstream="emqx"} 0
mqedge_upstream_endpoint_up{endpoint="B",upstream="emqx"} 1
`
		if err := testutil.CollectAndCompare(c, strings.NewReader(want), "mqedge_upstream_endpoint_up"); err != nil {
			t.Error(err)
		}
	})
}

func TestTheStatusHasTheNamesOfTheContract(t *testing.T) {
	p := newPool(balancer.Options{}, endpoints(2))
	text, err := json.Marshal(p.Status())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"emqx","policy":"least_conn","endpoints":[{"address":"A","weight":2,"source":"static","backup":false,` +
		`"up":true,"draining":false,"ejected":false,"reason":"","connections":0,"max_connections":0,"connects_total":0,` +
		`"failures_total":0,"retries_total":0,"connect_seconds":0,"answer_seconds":0}]}`
	if string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	empty, _ := json.Marshal(balancer.New("x", balancer.Options{}).Status())
	if !strings.Contains(string(empty), `"endpoints":[]`) {
		t.Errorf("an empty pool reads %s", empty)
	}
}
