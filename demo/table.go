package demo

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/mqedge/mqedge/admin"
)

// view is what the table shows.
type view struct {
	endpoints []admin.Endpoint // as the admin address has them; empty while it does not answer
	devices   []state
	messages  tally
	perSecond float64
	p50, p99  time.Duration
	seen      []string // a client address from each broker, as it saw it
	log       string
}

func (v view) lines() []string {
	lines := []string{"              ENDPOINT           STATE  CONNECTIONS  ATTEMPTS  FAILURES"}
	for i, e := range v.endpoints {
		lines = append(lines, fmt.Sprintf("  broker %d    %-17s  %s  %11d  %8d  %8d", i+1, e.Address, condition(e), e.Connections, e.Connects, e.Failures))
		if e.Reason != "" {
			lines = append(lines, "              "+e.Reason)
		}
	}
	if len(v.endpoints) == 0 {
		lines = append(lines, "              the admin address does not answer")
	}
	lines = append(lines,
		fmt.Sprintf("  devices     %d of %d connected: %s", connected(v.devices), len(v.devices), kinds(v.devices)),
		fmt.Sprintf("  messages    %.0f a second, %s delivered, %s lost", v.perSecond, count(v.messages.delivered), count(v.messages.lost)),
		fmt.Sprintf("  latency     p50 %s, p99 %s, device → edge → broker → edge → device", brief(v.p50), brief(v.p99)),
	)
	if len(v.seen) > 0 {
		lines = append(lines, "  PROXY       brokers see "+strings.Join(v.seen, ", "))
	}
	if v.log != "" {
		lines = append(lines, "  edge's log  "+v.log)
	}
	return lines
}

func condition(e admin.Endpoint) string {
	if e.Up {
		return "● up "
	}
	return "○ out"
}

// kinds says which protocols the connected devices speak.
func kinds(devices []state) string {
	byTLS, byMQTT := make(map[uint16]int), make(map[byte]int)
	for _, d := range devices {
		if d.connected {
			byTLS[d.tls]++
			byMQTT[d.mqtt]++
		}
	}
	return fmt.Sprintf("TLS 1.3 %d, 1.2 %d; MQTT 5 %d, 3.1.1 %d",
		byTLS[tls.VersionTLS13], byTLS[tls.VersionTLS12], byMQTT[5], byMQTT[4])
}
