package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials/insecure"
)

// eventful are metrics whose series begin with an event that this test does not make.
var eventful = []string{
	"mqedge_upstream_retries_total", "mqedge_exhook_fallbacks_total", "mqedge_exhook_early_ack_dropped_total",
	"mqedge_gossip_refused_total", "mqedge_gossip_suspected", "mqedge_memory_limit_bytes", "mqedge_memory_used_bytes",
}

// The page of metrics is what dashboards and alerts are tested against, so a running edge has to be as it says.
func TestTheSeriesOfARunningEdgeHaveTheLabelsOfTheirPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/metrics.md")
	must(t, err)
	pki, node, c := newAuthority(t), startBroker(t), newCluster(t)
	hook := startProvider(t, "127.0.0.1:0", "client.authenticate", "client.connected")
	e := c.prepare(fmt.Sprintf(`
listeners:
  mqtts:
    bind: 127.0.0.1:0
    upstream: emqx
    connect_rate: {per_second: 1000, queue: 10, wait: 1s}
    tls: {certificates: [%s], full_handshakes: {per_second: 1000, queue: 10, wait: 1s}}
  hooks: {bind: 127.0.0.1:0, protocol: grpc, upstream: hooks}
upstreams:
  emqx: {send_proxy: v2, source_addresses: [127.0.0.1], gossip: emqx, endpoints: %s, health: {active: %s}}
  hooks: {balance: hash, endpoints: %s, exhook: {early_ack: [client.connected]}}
`, pki.server().yaml(), endpoints(node.Addr()), mqttCheck, endpoints(hook.addr)) +
		strings.Replace(c.section(`{service: emqx, address: ":1"}`), "gossip: {", "gossip: {docker: {socket: /nowhere}, ", 1))
	e.launch()
	e.awaitReady()
	mustConnect(t, e.addr("mqtts"), pki.trusting(), "stays")
	must(t, mustConnect(t, e.addr("mqtts"), pki.trusting(), "leaves").Close())
	bad := dial(t, e.addr("mqtts"))
	bad.Write([]byte("not TLS"))
	awaitClosed(t, bad)
	emqx := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	_, err = emqx.load()
	must(t, err)
	_, err = emqx.authenticate("stays")
	must(t, err)
	_, err = emqx.call("OnClientConnected", field(1, field(1, emqx.node), field(2, "stays"))+field(2, field(1, emqx.node)))
	must(t, err)
	e.awaitActive("mqtts", 1)

	rows := regexp.MustCompile("(?m)^\\| `(mqedge_\\w+)` \\| \\w+ \\| ([^|]*)\\|").FindAllStringSubmatch(string(page), -1)
	if len(rows) < 40 {
		t.Errorf("the page has %d metrics", len(rows))
	}
	var labels map[string][]string // of each metric, in order
	eventually(t, func() string {
		labels = e.labels()
		for _, row := range rows {
			if _, there := labels[row[1]]; !there && !slices.Contains(eventful, row[1]) {
				return row[1] + " has no series"
			}
		}
		return ""
	})
	for _, row := range rows {
		want := strings.FieldsFunc(row[2], func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(want)
		if got, there := labels[row[1]]; there && !slices.Equal(got, want) {
			t.Errorf("%s has labels %q, and its page says %q", row[1], got, want)
		}
	}
}

// labels are those of every metric, in order.
func (e *edge) labels() map[string][]string {
	e.t.Helper()
	found := make(map[string][]string)
	for series := range e.metrics() {
		parts := seriesName.FindStringSubmatch(series)
		names := []string{}
		for _, label := range seriesLabel.FindAllStringSubmatch(parts[2], -1) {
			if label[1] != "le" {
				names = append(names, label[1])
			}
		}
		slices.Sort(names)
		found[strings.SplitN(series, "{", 2)[0]], found[parts[1]] = names, names
	}
	return found
}
