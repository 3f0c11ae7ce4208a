package proxy

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Results of a TLS handshake with a client.
const (
	handshakeFull = iota
	handshakeResumed
	handshakeFailed
	handshakeResults
)

var handshakeNames = [handshakeResults]string{"full", "resumed", "failed"}

// Metrics exports the counters of the listeners to Prometheus.
type Metrics struct {
	listeners func() []*Listener
	seconds   *prometheus.HistogramVec

	accepted, active, halfOpen, waiting, refused, closed, bytes, acceptErrors, handshakes, connacks, messages *prometheus.Desc
}

// NewMetrics returns a collector over the listeners that the function returns
// at the time of each scrape.
func NewMetrics(listeners func() []*Listener) *Metrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, append([]string{"listener"}, labels...), nil)
	}
	return &Metrics{
		listeners: listeners,
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mqedge_tls_handshake_seconds", Help: "Time a TLS handshake with a client took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"listener", "result"}),
		accepted:     desc("mqedge_connections_accepted_total", "Connections accepted from clients."),
		active:       desc("mqedge_connections_active", "Connections of clients that are open."),
		halfOpen:     desc("mqedge_connections_half_open", "Open connections that no endpoint serves yet."),
		waiting:      desc("mqedge_connections_waiting", "Open connections that wait in a queue for their turn.", "queue"),
		refused:      desc("mqedge_connections_refused_total", "Connections that ended before they were served.", "reason"),
		closed:       desc("mqedge_connections_closed_total", "Served connections that ended.", "reason"),
		bytes:        desc("mqedge_bytes_total", "Payload bytes: in from clients, out to clients.", "direction"),
		acceptErrors: desc("mqedge_accept_errors_total", "Times that connections had to wait because none could be accepted."),
		handshakes:   desc("mqedge_tls_handshakes_total", "TLS handshakes with clients.", "result"),
		connacks:     desc("mqedge_mqtt_connacks_total", "CONNACK packets that clients got, from endpoints or in refusal, by decimal reason code.", "code"),
		messages:     desc("mqedge_mqtt_messages_total", "PUBLISH packets: in from clients, out to clients.", "direction"),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	m.seconds.Describe(out)
	for _, d := range []*prometheus.Desc{m.accepted, m.active, m.halfOpen, m.waiting, m.refused, m.closed, m.bytes, m.acceptErrors, m.handshakes, m.connacks, m.messages} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.seconds.Collect(out)
	for _, l := range m.listeners() {
		counter := func(d *prometheus.Desc, v uint64, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{l.name}, labels...)...)
		}
		gauge := func(d *prometheus.Desc, v int, labels ...string) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), append([]string{l.name}, labels...)...)
		}
		s := l.Stats()
		gauge(m.active, s.Active)
		gauge(m.halfOpen, s.HalfOpen)
		gauge(m.waiting, s.Waiting, "connect_rate")
		gauge(m.waiting, s.WaitingFull, "full_handshakes")
		counter(m.accepted, s.Accepted)
		counter(m.acceptErrors, s.AcceptErrors)
		counter(m.bytes, s.BytesIn, "in")
		counter(m.bytes, s.BytesOut, "out")
		for reason, n := range s.Refused {
			counter(m.refused, n, reason)
		}
		for reason, n := range s.Closed {
			counter(m.closed, n, reason)
		}
		if l.settings.Load().TLS != nil {
			for i, name := range handshakeNames {
				counter(m.handshakes, l.handshakes[i].Load(), name)
			}
		}
		if l.settings.Load().Protocol.isMQTT() {
			counter(m.messages, s.MessagesIn, "in")
			counter(m.messages, s.MessagesOut, "out")
		}
		for code := range l.connacks {
			if n := l.connacks[code].Load(); n > 0 {
				counter(m.connacks, n, strconv.Itoa(code))
			}
		}
	}
}

// Forget drops the series of a listener that is gone.
func (m *Metrics) Forget(listener string) {
	m.seconds.DeletePartialMatch(prometheus.Labels{"listener": listener})
}

func (l *Listener) countHandshake(result int, took time.Duration) {
	l.handshakes[result].Add(1)
	l.metrics.seconds.WithLabelValues(l.name, handshakeNames[result]).Observe(took.Seconds())
}
