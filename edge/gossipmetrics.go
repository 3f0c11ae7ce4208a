package edge

import "github.com/prometheus/client_golang/prometheus"

// gossipCollector exports what this process knows of the cluster, if it is a member.
type gossipCollector struct{ edge *Edge }

var (
	membersDesc = prometheus.NewDesc("mqedge_gossip_members",
		"Members of the cluster that are alive, with this one.", nil, nil)
	announcementsDesc = prometheus.NewDesc("mqedge_gossip_announcements",
		"Endpoints that members announce, each announcer's counted.", []string{"service"}, nil)
	suspectedDesc = prometheus.NewDesc("mqedge_gossip_suspected",
		"Endpoints of the services in use that nobody alive announces.", []string{"service"}, nil)
	factsDesc = prometheus.NewDesc("mqedge_gossip_facts",
		"What members share beside endpoints.", []string{"kind"}, nil)
	gossipRefusedDesc = prometheus.NewDesc("mqedge_gossip_refused_total",
		"What was not accepted from the network.", []string{"reason"}, nil)
	gossipBytesDesc = prometheus.NewDesc("mqedge_gossip_bytes_total",
		"Traffic with other members.", []string{"direction"}, nil)
)

func (c gossipCollector) Describe(out chan<- *prometheus.Desc) {
	out <- membersDesc
	out <- announcementsDesc
	out <- suspectedDesc
	out <- factsDesc
	out <- gossipRefusedDesc
	out <- gossipBytesDesc
}

func (c gossipCollector) Collect(out chan<- prometheus.Metric) {
	m := c.edge.current.Load().gossip
	if m == nil {
		return
	}
	s := m.node.Stats()
	out <- prometheus.MustNewConstMetric(membersDesc, prometheus.GaugeValue, float64(s.Members))
	for service, n := range s.Announcements {
		out <- prometheus.MustNewConstMetric(announcementsDesc, prometheus.GaugeValue, float64(n), service)
	}
	for service, n := range s.Suspected {
		out <- prometheus.MustNewConstMetric(suspectedDesc, prometheus.GaugeValue, float64(n), service)
	}
	for kind, n := range knownFacts(s.Facts) {
		out <- prometheus.MustNewConstMetric(factsDesc, prometheus.GaugeValue, float64(n), kind)
	}
	for reason, n := range s.Refused {
		out <- prometheus.MustNewConstMetric(gossipRefusedDesc, prometheus.CounterValue, float64(n), reason)
	}
	out <- prometheus.MustNewConstMetric(gossipBytesDesc, prometheus.CounterValue, float64(s.BytesIn), "in")
	out <- prometheus.MustNewConstMetric(gossipBytesDesc, prometheus.CounterValue, float64(s.BytesOut), "out")
}

// knownFacts counts facts of kinds that others invented as one kind: labels are few.
func knownFacts(counts map[string]int) map[string]int {
	known := map[string]int{factDrain: 0, factVote: 0, factTickets: 0}
	for kind, n := range counts {
		if _, ok := known[kind]; !ok {
			kind = "other"
		}
		known[kind] += n
	}
	return known
}
