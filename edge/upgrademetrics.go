package edge

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// upgrades are counted over all processes since the first.
type upgrades struct {
	OK     uint64 `json:"ok"`
	Failed uint64 `json:"failed"`
}

type upgradeCounters struct{ ok, failed atomic.Uint64 }

func (c *upgradeCounters) copy() upgrades { return upgrades{c.ok.Load(), c.failed.Load()} }

func (c *upgradeCounters) restore(u upgrades) {
	c.ok.Store(u.OK)
	c.failed.Store(u.Failed)
}

// collectors are one for each result.
func (c *upgradeCounters) collectors() []prometheus.Collector {
	counter := func(result string, n *atomic.Uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "mqedge_upgrades_total", Help: "Upgrades of the binary while it runs, since the first process of the line began.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(n.Load()) })
	}
	return []prometheus.Collector{counter("ok", &c.ok), counter("failed", &c.failed)}
}
