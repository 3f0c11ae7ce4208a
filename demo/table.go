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
	answered  bool             // the admin address
	endpoints []admin.Endpoint // as it has them
	providers []admin.Endpoint // likewise
	members   []admin.Member   // of gossip, likewise
	heard     [2]heard         // by each of them, as it says itself
	calls     account
	devices   []state
	messages  tally
	perSecond float64
	p50, p99  time.Duration

	callP50, callP99 time.Duration

	seen []string // a client address from each broker, as it saw it
	log  string
}

// heard is what a hook server has to do.
type heard struct {
	calls     int
	perSecond float64
	clients   int // whose latest call it got
}

func (v view) lines() []string {
	lines := []string{"              ENDPOINT           STATE  SOURCE  CONNECTIONS  ATTEMPTS  FAILURES"}
	for i, e := range v.endpoints {
		lines = append(lines, fmt.Sprintf("  broker %d    %-17s  %s  %-6s  %11d  %8d  %8d", i+1, e.Address, condition(e), e.Source, e.Connections, e.Connects, e.Failures))
		if e.Reason != "" {
			lines = append(lines, "              "+e.Reason)
		}
	}
	switch {
	case !v.answered:
		lines = append(lines, "              the admin address does not answer")
	case len(v.endpoints) == 0:
		lines = append(lines, "              the edge has heard of none yet")
	}
	lines = append(lines, v.hooks()...)
	if len(v.members) > 0 {
		lines = append(lines, "  gossip      "+hosts(v.members))
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

func (v view) hooks() []string {
	if len(v.providers) != len(v.heard) {
		return nil
	}
	lines := []string{"              HOOK SERVER        STATE        CALLS  A SECOND   DEVICES"}
	for i, h := range v.heard {
		e := v.providers[i]
		lines = append(lines, fmt.Sprintf("  hooks %d     %-17s  %s  %11s  %8.0f  %8d", i+1, e.Address, condition(e), count(h.calls), h.perSecond, h.clients))
		if e.Reason != "" {
			lines = append(lines, "              "+e.Reason)
		}
	}
	return append(lines, fmt.Sprintf("  hook calls  %s answered, %s lost; p50 %s, p99 %s, broker → edge → hook server and back",
		count(v.calls.answered), count(v.calls.lost), brief(v.callP50), brief(v.callP99)))
}

// hosts says who takes part in gossip.
func hosts(members []admin.Member) string {
	var names []string
	for _, m := range members {
		if m.Alive {
			names = append(names, m.Host+" at "+m.Address)
		} else {
			names = append(names, m.Host+", silent")
		}
	}
	return strings.Join(names, "; ")
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
