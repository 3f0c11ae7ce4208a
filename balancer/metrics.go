package balancer

import "github.com/prometheus/client_golang/prometheus"

// NewCollector returns a collector over the pools as they are at each scrape. Pools must differ in name. Endpoints that
// have left a pool have no series.
func NewCollector(pools func() []*Pool) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("mqedge_upstream_"+name, help, []string{"upstream", "endpoint"}, nil)
	}
	return &collector{
		pools:    pools,
		active:   desc("connections_active", "Connections to the endpoint, those being set up included."),
		connects: desc("connects_total", "Connections to the endpoint that were attempted."),
		failures: desc("connect_failures_total", "Connections to the endpoint that failed to be set up or were refused."),
		retries:  desc("retries_total", "Connections attempted at the endpoint after another endpoint had failed."),
		up:       desc("endpoint_up", "1 unless the endpoint is ejected for its failures or fails its check. Draining does not change it."),
	}
}

type collector struct {
	pools                                   func() []*Pool
	active, connects, failures, retries, up *prometheus.Desc
}

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.active, c.connects, c.failures, c.retries, c.up} {
		descs <- d
	}
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	for _, p := range c.pools() {
		for _, m := range p.current.Load().members {
			n := m.node
			send := func(d *prometheus.Desc, t prometheus.ValueType, value float64) {
				metrics <- prometheus.MustNewConstMetric(d, t, value, p.name, m.Addr)
			}
			up := 0.0
			if n.up() {
				up = 1
			}
			send(c.active, prometheus.GaugeValue, float64(n.active.Load()))
			send(c.connects, prometheus.CounterValue, float64(n.connects.Load()))
			send(c.failures, prometheus.CounterValue, float64(n.failures.Load()))
			send(c.retries, prometheus.CounterValue, float64(n.retries.Load()))
			send(c.up, prometheus.GaugeValue, up)
		}
	}
}
