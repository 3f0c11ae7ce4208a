package proxy

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsAreThoseOfTheContract(t *testing.T) {
	const id = "must-not-be-a-label"
	e := newEndpoint(t, nil)
	s := settings(MQTT)
	s.TLS = serverTLS(t)
	r := newRig(t, s, e.addr)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r.metrics)

	for _, code := range []byte{0, 0x87} {
		client := tlsClient(t, r.dial(t), clientTLS(t))
		send(t, client, connects(id)["5"])
		server := e.next(t)
		send(t, server, []byte{0x20, 3, 0, code, 0})
		receive(t, client, 5)
		client.Close()
		server.Close()
	}
	refused := r.dial(t)
	send(t, refused, []byte("not TLS"))
	receiveEnd(t, refused)
	r.lines(t, 3)

	families, err := registry.Gather()
	must(t, err)
	got := make(map[string]string)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName())
				if strings.Contains(l.GetValue(), id) || strings.Contains(l.GetValue(), "127.0.0.1") {
					t.Errorf("%s has the label %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
			}
			slices.Sort(labels)
			got[f.GetName()] = strings.Join(labels, " ")
		}
	}
	want := map[string]string{
		"mqedge_connections_accepted_total": "listener",
		"mqedge_connections_active":         "listener",
		"mqedge_connections_half_open":      "listener",
		"mqedge_connections_waiting":        "listener queue",
		"mqedge_connections_refused_total":  "listener reason",
		"mqedge_connections_closed_total":   "listener reason",
		"mqedge_bytes_total":                "direction listener",
		"mqedge_tls_handshakes_total":       "listener result",
		"mqedge_tls_handshake_seconds":      "listener result",
		"mqedge_mqtt_connacks_total":        "code listener",
		"mqedge_mqtt_messages_total":        "direction listener",
		"mqedge_accept_errors_total":        "listener",
	}
	if !maps.Equal(got, want) {
		t.Errorf("metrics %v, want %v", got, want)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}

	size := len(connects(id)["5"])
	values := `
# HELP mqedge_bytes_total Payload bytes: in from clients, out to clients.
# TYPE mqedge_bytes_total counter
mqedge_bytes_total{direction="in",listener="test"} ` + strconv.Itoa(2*size) + `
mqedge_bytes_total{direction="out",listener="test"} 10
# HELP mqedge_connections_accepted_total Connections accepted from clients.
# TYPE mqedge_connections_accepted_total counter
mqedge_connections_accepted_total{listener="test"} 3
# HELP mqedge_connections_active Connections of clients that are open.
# TYPE mqedge_connections_active gauge
mqedge_connections_active{listener="test"} 0
# HELP mqedge_connections_refused_total Connections that ended before they were served.
# TYPE mqedge_connections_refused_total counter
mqedge_connections_refused_total{listener="test",reason="tls_failed"} 1
# HELP mqedge_mqtt_connacks_total CONNACK packets that clients got, from endpoints or in refusal, by decimal reason code.
# TYPE mqedge_mqtt_connacks_total counter
mqedge_mqtt_connacks_total{code="0",listener="test"} 1
mqedge_mqtt_connacks_total{code="135",listener="test"} 1
# HELP mqedge_tls_handshakes_total TLS handshakes with clients.
# TYPE mqedge_tls_handshakes_total counter
mqedge_tls_handshakes_total{listener="test",result="failed"} 1
mqedge_tls_handshakes_total{listener="test",result="full"} 2
mqedge_tls_handshakes_total{listener="test",result="resumed"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(values),
		"mqedge_bytes_total", "mqedge_connections_accepted_total", "mqedge_connections_active",
		"mqedge_connections_refused_total", "mqedge_mqtt_connacks_total", "mqedge_tls_handshakes_total"); err != nil {
		t.Error(err)
	}

	r.metrics.Forget("test")
	if n, err := testutil.GatherAndCount(registry, "mqedge_tls_handshake_seconds"); n != 0 || err != nil {
		t.Errorf("%d series of a listener that is gone, %v", n, err)
	}
}
