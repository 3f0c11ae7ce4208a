package e2e

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promised is the table of metrics that users build dashboards and alerts on: names and labels.
const promised = `
mqedge_connections_accepted_total      listener
mqedge_connections_active              listener
mqedge_connections_refused_total       listener reason
mqedge_connections_closed_total        listener reason
mqedge_bytes_total                     direction listener
mqedge_tls_handshakes_total            listener result
mqedge_tls_handshake_seconds           listener result
mqedge_upstream_connections_active     endpoint upstream
mqedge_upstream_connects_total         endpoint upstream
mqedge_upstream_connect_failures_total endpoint upstream
mqedge_upstream_retries_total          endpoint upstream
mqedge_upstream_endpoint_up            endpoint upstream
mqedge_mqtt_connacks_total             code listener
mqedge_mqtt_messages_total             direction listener
mqedge_reloads_total                   result
mqedge_certificate_expiry_seconds      certificate
mqedge_certificate_reload_failed       kind name
mqedge_access_log_lines_total          result
`

var (
	seriesName  = regexp.MustCompile(`^([a-z_0-9]+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})?$`)
	seriesLabel = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

func TestEveryMetricIsThereWithItsLabelsAndNothingOfClients(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startBroker(t)
	pair, dead := pki.server(), deadAddress(t)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtts: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%s]}}
upstreams:
  emqx: {balance: round_robin, send_proxy: v2, endpoints: %s}
`, pair.yaml(), endpoints(node.Addr(), dead)))
	stays := mustConnect(t, e.addr("mqtts"), pki.trusting(), "a-client-id")
	must(t, mustConnect(t, e.addr("mqtts"), pki.trusting(), "another-client-id").Close())
	bad := dial(t, e.addr("mqtts"))
	bad.Write([]byte("not TLS"))
	awaitClosed(t, bad)
	e.awaitActive("mqtts", 1)
	if !e.hup() {
		t.Fatal("the reload failed")
	}
	must(t, stays.ping())

	labels := make(map[string]string) // of each metric
	for series := range e.metrics() {
		parts := seriesName.FindStringSubmatch(series)
		if parts == nil {
			t.Fatalf("cannot read %q", series)
		}
		var names []string
		for _, label := range seriesLabel.FindAllStringSubmatch(parts[2], -1) {
			if label[1] != "le" {
				names = append(names, label[1])
			}
			if strings.Contains(label[2], "client-id") || strings.Contains(label[2], fmt.Sprint(portOf(t, stays.LocalAddr().String()))) {
				t.Errorf("a label tells of a client: %s", series)
			}
		}
		for _, name := range []string{parts[1], strings.SplitN(series, "{", 2)[0]} {
			labels[name] = strings.Join(names, " ")
		}
	}
	for line := range strings.Lines(strings.TrimSpace(promised)) {
		words := strings.Fields(line)
		got, there := labels[words[0]]
		if want := strings.Join(words[1:], " "); !there || got != want {
			t.Errorf("%s has labels %q (there: %v), want %q", words[0], got, there, want)
		}
	}
	m := e.metrics()
	for series, want := range map[string]float64{
		`mqedge_connections_accepted_total{listener="mqtts"}`:                                       3,
		`mqedge_connections_active{listener="mqtts"}`:                                               1,
		`mqedge_connections_refused_total{listener="mqtts",reason="tls_failed"}`:                    1,
		`mqedge_connections_closed_total{listener="mqtts",reason="client_closed"}`:                  1,
		`mqedge_tls_handshakes_total{listener="mqtts",result="full"}`:                               2,
		`mqedge_tls_handshakes_total{listener="mqtts",result="resumed"}`:                            0,
		`mqedge_tls_handshakes_total{listener="mqtts",result="failed"}`:                             1,
		`mqedge_tls_handshake_seconds_count{listener="mqtts",result="full"}`:                        2,
		`mqedge_mqtt_connacks_total{code="0",listener="mqtts"}`:                                     2,
		`mqedge_reloads_total{result="ok"}`:                                                         1,
		`mqedge_reloads_total{result="failed"}`:                                                     0,
		fmt.Sprintf(`mqedge_upstream_connections_active{endpoint=%q,upstream="emqx"}`, node.Addr()): 1,
		fmt.Sprintf(`mqedge_upstream_endpoint_up{endpoint=%q,upstream="emqx"}`, node.Addr()):        1,
	} {
		if got, there := m[series]; !there || got != want {
			t.Errorf("%s is %v (there: %v), want %v", series, got, there, want)
		}
	}
	if got := m[fmt.Sprintf("mqedge_certificate_expiry_seconds{certificate=%q}", pair.cert)]; got < 3600 || got > 86400 {
		t.Errorf("the certificate expires in %v s", got)
	}
}

func TestNoSeriesOfWhatIsGoneStaysAfterAReload(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	first, second := pki.server(), pki.issue("second", issued("edge.example"))
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	config := `
listeners:
  %s: {bind: %s:0, upstream: %s, tls: {certificates: [%s]}}
upstreams:
  %s: {endpoints: %s}
`
	e := start(t, fmt.Sprintf(config, "before", "127.0.0.1", "old", first.yaml(), "old", endpoints(a.address())))
	mustConnect(t, e.addr("before"), pki.trusting(), "stays")
	e.reload(fmt.Sprintf(config, "after", "127.0.0.2", "new", second.yaml(), "new", endpoints(b.address())))
	mustConnect(t, e.addr("after"), pki.trusting(), "comes")
	m := e.metrics()
	for _, series := range slices.Sorted(maps.Keys(m)) {
		for _, gone := range []string{`"before"`, `"old"`, a.address(), first.cert} {
			if strings.Contains(series, gone) {
				t.Errorf("%s is still there", series)
			}
		}
	}
	if m[`mqedge_tls_handshakes_total{listener="after",result="full"}`] != 1 {
		t.Error("the new listener does not count")
	}
}
