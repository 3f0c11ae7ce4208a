package edge

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy"
)

// registerMetrics makes the registry. Whatever can is read at the time of a
// scrape from what is in force then, so that nothing lingers after a reload.
func (e *Edge) registerMetrics() {
	e.proxyMetrics = proxy.NewMetrics(e.listeners)
	e.reloads = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mqedge_reloads_total", Help: "Reloads of the configuration.",
	}, []string{"result"})
	e.reloads.WithLabelValues("ok")
	e.reloads.WithLabelValues("failed")
	e.lastReload = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mqedge_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded.",
	})
	e.lastReload.SetToCurrentTime()
	e.stalls = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "mqedge_relay_stalls_total", Help: "Times that an event loop was at one turn for over a second.",
	})
	lostLines := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "mqedge_log_lines_lost_total", Help: "Lines of the log that nobody read in time.",
	}, func() float64 { return float64(e.logWriter.lost.Load()) })
	e.doubts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mqedge_gossip_probes_total", Help: "Probes of endpoints that other edges agree are down.",
	}, []string{"result"})
	e.doubts.WithLabelValues("ok")
	e.doubts.WithLabelValues("failed")
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mqedge_build_info", Help: "Always 1; the version is a label.",
		ConstLabels: prometheus.Labels{"version": e.options.Version},
	})
	info.Set(1)
	e.registry = prometheus.NewRegistry()
	e.registry.MustRegister(e.upgrades.collectors()...)
	e.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		e.proxyMetrics, balancer.NewCollector(e.poolsInUse), e.reloads, e.lastReload, e.stalls, lostLines, info, &collector{edge: e}, callCollector{e}, gossipCollector{e}, e.doubts,
	)
}

func (e *Edge) poolsInUse() []*balancer.Pool {
	var out []*balancer.Pool
	for _, up := range e.current.Load().upstreams {
		out = append(out, up.pool)
	}
	return out
}

// collector exports certificates, the access log, what checks find, and memory.
type collector struct{ edge *Edge }

var (
	expiryDesc = prometheus.NewDesc("mqedge_certificate_expiry_seconds",
		"Time until a certificate in use expires; negative when it has.", []string{"certificate"}, nil)
	staleDesc = prometheus.NewDesc("mqedge_certificate_reload_failed",
		"1 while changed TLS files of a listener or upstream cannot be used, so that the old ones are.", []string{"kind", "name"}, nil)
	linesDesc = prometheus.NewDesc("mqedge_access_log_lines_total",
		"Lines of the access log: written, or lost because the file did not take them fast enough.", []string{"result"}, nil)
	mismatchDesc = prometheus.NewDesc("mqedge_upstream_proxy_mismatch",
		"1 while the mqtt check finds that the endpoint and send_proxy do not agree about PROXY protocol.", []string{"upstream", "endpoint"}, nil)
	portsUsedDesc = prometheus.NewDesc("mqedge_upstream_source_ports_used",
		"Connections to an address of an endpoint from one of source_addresses.", []string{"upstream", "source", "endpoint"}, nil)
	portsDesc = prometheus.NewDesc("mqedge_upstream_source_ports",
		"How many source ports each of source_addresses has for each address of an endpoint.", []string{"upstream"}, nil)
)

var (
	pressureDesc = prometheus.NewDesc("mqedge_memory_pressure",
		"1 while no connections are accepted because memory is short.", nil, nil)
	memoryLimitDesc = prometheus.NewDesc("mqedge_memory_limit_bytes",
		"The limit on memory of which the largest share is in use: GOMEMLIMIT or a control group's.", nil, nil)
	memoryUsedDesc = prometheus.NewDesc("mqedge_memory_used_bytes",
		"What is in use of that limit, without what could be given back.", nil, nil)
)

func (c *collector) Describe(out chan<- *prometheus.Desc) {
	out <- pressureDesc
	out <- memoryLimitDesc
	out <- memoryUsedDesc
	out <- expiryDesc
	out <- staleDesc
	out <- linesDesc
	out <- mismatchDesc
	out <- portsUsedDesc
	out <- portsDesc
}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	seen := make(map[string]bool) // a file may serve several listeners
	now := time.Now()
	for _, s := range c.edge.certificates() {
		failed := 0.0
		if s.status.Error != "" {
			failed = 1
		}
		out <- prometheus.MustNewConstMetric(staleDesc, prometheus.GaugeValue, failed, s.kind, s.name)
		for _, cert := range s.status.Certificates {
			name := certificateName(s.name, cert)
			if !seen[name] {
				seen[name] = true
				out <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, cert.NotAfter.Sub(now).Seconds(), name)
			}
		}
	}
	c.memory(out)
	g := c.edge.current.Load()
	for name, up := range g.upstreams {
		up.collectPorts(name, out)
		if !up.check.knowsMismatch() {
			continue
		}
		for _, ep := range up.pool.Status().Endpoints {
			mismatch := 0.0
			if up.check.mismatches(ep.Address) {
				mismatch = 1
			}
			out <- prometheus.MustNewConstMetric(mismatchDesc, prometheus.GaugeValue, mismatch, name, ep.Address)
		}
	}
	log := g.accessLog
	if log != nil && log.Log != nil {
		out <- prometheus.MustNewConstMetric(linesDesc, prometheus.CounterValue, float64(log.Written()), "written")
		out <- prometheus.MustNewConstMetric(linesDesc, prometheus.CounterValue, float64(log.Lost()), "lost")
	}
}

func (c *collector) memory(out chan<- prometheus.Metric) {
	m := c.edge.memory.Load()
	short := 0.0
	if m.short {
		short = 1
	}
	out <- prometheus.MustNewConstMetric(pressureDesc, prometheus.GaugeValue, short)
	if m.limit > 0 {
		out <- prometheus.MustNewConstMetric(memoryLimitDesc, prometheus.GaugeValue, float64(m.limit))
		out <- prometheus.MustNewConstMetric(memoryUsedDesc, prometheus.GaugeValue, float64(m.needed()))
	}
}

func (up *upstream) collectPorts(name string, out chan<- prometheus.Metric) {
	for _, p := range up.sources.Pairs() {
		out <- prometheus.MustNewConstMetric(portsUsedDesc, prometheus.GaugeValue, float64(p.Used), name, p.Source.String(), p.Endpoint.String())
	}
	if n := up.sources.Ports(); n > 0 {
		out <- prometheus.MustNewConstMetric(portsDesc, prometheus.GaugeValue, float64(n), name)
	}
}
