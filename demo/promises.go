package demo

import (
	"fmt"
	"strings"
)

// promise is something mqedge is for, and what was seen of it.
type promise struct {
	text   string
	seen   bool
	broken bool // once is enough
	figure string
}

// promises are in the order in which the story comes to them.
type promises struct {
	found, tls, addresses, reload, kill, ejection, comeback, added, withdrawn, heir, heard, outage, messages, calls, drain promise
}

func newPromises() *promises {
	return &promises{
		found:     promise{text: "the edge learns by gossip of all that an agent announces"},
		tls:       promise{text: "every device connects through TLS"},
		addresses: promise{text: "the brokers see each device's own address, through PROXY"},
		reload:    promise{text: "a reload under traffic ends no connection and refuses none"},
		kill:      promise{text: fmt.Sprintf("the devices of a killed broker are with the others within %v", patience)},
		ejection:  promise{text: "the edge takes a killed broker out"},
		comeback:  promise{text: "a broker that is back gets connections again"},
		added:     promise{text: fmt.Sprintf("a broker that is announced while all runs is in use within %v and gets devices", patience)},
		withdrawn: promise{text: "the devices of a broker that is withdrawn are moved to the others, bit by bit"},
		heir:      promise{text: fmt.Sprintf("the hook calls of a killed hook server are with the other within %v", patience)},
		heard:     promise{text: "a hook server that is back hears OnProviderLoaded first and gets its devices again"},
		outage:    promise{text: "no hook call is lost when a hook server is killed and comes back"},
		messages:  promise{text: "no QoS 1 message is lost while the connections it takes last"},
		calls:     promise{text: "every hook call of a broker is answered well and in time"},
		drain:     promise{text: "a drain ends connections bit by bit and leaves none"},
	}
}

func (p *promise) record(kept bool, format string, args ...any) {
	if p.broken {
		return // the figure stays that of the failure
	}
	p.seen, p.broken, p.figure = true, !kept, fmt.Sprintf(format, args...)
}

func (p *promises) all() []*promise {
	return []*promise{
		&p.found, &p.tls, &p.addresses, &p.reload, &p.kill, &p.ejection, &p.comeback, &p.added, &p.withdrawn,
		&p.heir, &p.heard, &p.outage, &p.messages, &p.calls, &p.drain,
	}
}

// lines are the summary.
func (p *promises) lines() []string {
	var lines []string
	for _, each := range p.all() {
		mark, figure := "✓", each.figure
		switch {
		case !each.seen:
			mark, figure = "–", "did not come to it"
		case each.broken:
			mark = "✗"
		}
		lines = append(lines, wrap("  "+mark+" ", each.text+": "+figure)...)
	}
	return lines
}

// err names the promises that were broken and, where all had to be shown, those
// that were not.
func (p *promises) err(whole bool) error {
	var failed []string
	for _, each := range p.all() {
		switch {
		case each.broken:
			failed = append(failed, fmt.Sprintf("%s (%s)", each.text, each.figure))
		case whole && !each.seen:
			failed = append(failed, each.text+" (did not come to it)")
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("what did not come true: %s", strings.Join(failed, "; "))
}
