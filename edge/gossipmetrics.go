package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqedge/mqedge/admin"
)

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
	engineUpDesc = prometheus.NewDesc("mqedge_docker_up",
		"1 while the Docker Engine answers.", nil, nil)
	containersDesc = prometheus.NewDesc("mqedge_docker_containers",
		"Containers with labels mqedge.*: announced, waiting for their check or to run, or wrong.", []string{"state"}, nil)
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
	out <- engineUpDesc
	out <- containersDesc
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
	c.collectContainers(m.offers.announced().Engine, out)
}

func (c gossipCollector) collectContainers(engine *admin.Engine, out chan<- prometheus.Metric) {
	if engine == nil {
		return
	}
	up := 0.0
	if engine.Connected {
		up = 1
	}
	out <- prometheus.MustNewConstMetric(engineUpDesc, prometheus.GaugeValue, up)
	count := map[string]int{"announced": 0, "waiting": 0, "wrong": 0}
	for _, one := range engine.Containers {
		count[stateOf(one)]++
	}
	for state, n := range count {
		out <- prometheus.MustNewConstMetric(containersDesc, prometheus.GaugeValue, float64(n), state)
	}
}

func stateOf(c admin.Container) string {
	switch {
	case c.Offers > 0:
		return "announced"
	case c.Wrong:
		return "wrong"
	}
	return "waiting"
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
