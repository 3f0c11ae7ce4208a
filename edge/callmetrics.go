package edge

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// callCollector exports what the upstreams of gRPC calls count.
type callCollector struct{ edge *Edge }

var (
	callsDesc = prometheus.NewDesc("mqedge_grpc_calls_total",
		"Calls of clients by their status.", []string{"upstream", "method", "code"}, nil)
	callSecondsDesc = prometheus.NewDesc("mqedge_grpc_call_seconds",
		"How long calls took until their answer was sent.", []string{"upstream", "method", "code"}, nil)
	loadedDesc = prometheus.NewDesc("mqedge_exhook_provider_loaded",
		"1 while a provider is connected and has answered OnProviderLoaded of every EMQX node.", []string{"upstream", "endpoint"}, nil)
	fallbacksDesc = prometheus.NewDesc("mqedge_exhook_fallbacks_total",
		"Calls that no provider answered in time, so that on_failure did.", []string{"upstream", "hook"}, nil)
	earlyQueuedDesc = prometheus.NewDesc("mqedge_exhook_early_ack_queued_total",
		"Notifications that were answered before their delivery.", []string{"upstream", "hook"}, nil)
	earlyDroppedDesc = prometheus.NewDesc("mqedge_exhook_early_ack_dropped_total",
		"Notifications that were answered early and never delivered.", []string{"upstream", "hook"}, nil)
	driftDesc = prometheus.NewDesc("mqedge_exhook_drift",
		"EMQX nodes that know of other hooks than providers register now.", []string{"upstream"}, nil)
	waitingCallsDesc = prometheus.NewDesc("mqedge_grpc_calls_waiting",
		"Calls that wait for a provider with room for them.", []string{"upstream"}, nil)
	badCallsDesc = prometheus.NewDesc("mqedge_grpc_refused_total",
		"Calls over a limit or not of gRPC, streams against the rules of HTTP/2, and connections closed for such errors.", []string{"upstream", "reason"}, nil)
	nodeCallsDesc = prometheus.NewDesc("mqedge_exhook_node_calls_total",
		"Calls by the EMQX node that made them; the nodes beyond 64 are one.", []string{"upstream", "node"}, nil)
)

// mostNodes bounds a label that EMQX fills in.
const mostNodes = 64

// Describe implements [prometheus.Collector].
func (c callCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		callsDesc, callSecondsDesc, loadedDesc, fallbacksDesc, earlyQueuedDesc, earlyDroppedDesc, driftDesc, waitingCallsDesc, badCallsDesc, nodeCallsDesc,
	} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c callCollector) Collect(out chan<- prometheus.Metric) {
	for name, up := range c.edge.current.Load().upstreams {
		if up.calls != nil {
			up.calls.collect(name, out)
		}
	}
}

func (c *calls) collect(upstream string, out chan<- prometheus.Metric) {
	s := c.carrier.Stats()
	for _, m := range s.Calls {
		code := m.Code.String()
		out <- prometheus.MustNewConstMetric(callsDesc, prometheus.CounterValue, float64(m.Count), upstream, m.Method, code)
		out <- prometheus.MustNewConstHistogram(callSecondsDesc, m.Count, m.Seconds, m.Buckets, upstream, m.Method, code)
	}
	status := c.carrier.Status()
	for reason, n := range map[string]uint64{"call": status.Relay.Refused, "stream": status.Relay.Malformed, "connection": status.Relay.Faults} {
		out <- prometheus.MustNewConstMetric(badCallsDesc, prometheus.CounterValue, float64(n), upstream, reason)
	}
	if !c.aware {
		return
	}
	for d, counts := range map[*prometheus.Desc]map[string]uint64{
		fallbacksDesc: s.Fallbacks, earlyQueuedDesc: s.EarlyQueued, earlyDroppedDesc: s.EarlyDropped,
	} {
		for hook, n := range counts {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), upstream, hook)
		}
	}
	for _, p := range status.Providers {
		loaded := 0.0
		if p.Loaded {
			loaded = 1
		}
		out <- prometheus.MustNewConstMetric(loadedDesc, prometheus.GaugeValue, loaded, upstream, p.Address)
	}
	out <- prometheus.MustNewConstMetric(driftDesc, prometheus.GaugeValue, float64(len(status.Drift)), upstream)
	out <- prometheus.MustNewConstMetric(waitingCallsDesc, prometheus.GaugeValue, float64(status.Waiting), upstream)
	byNode := make(map[string]uint64) // a node may be in several clusters under one name
	for _, n := range status.Nodes {
		name := strings.ToValidUTF8(n.Node, "\uFFFD")
		if _, known := byNode[name]; !known && len(byNode) >= mostNodes {
			name = "other"
		}
		byNode[name] += n.Calls
	}
	for node, n := range byNode {
		out <- prometheus.MustNewConstMetric(nodeCallsDesc, prometheus.CounterValue, float64(n), upstream, node)
	}
}
