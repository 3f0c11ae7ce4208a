package admin

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// look is how a screen of top is to be.
type look struct {
	width, height int // in characters; height 0 is as long as it gets
	colour        bool
	order         int
	reverse       bool
	problems      bool // only endpoints that have some
	scroll        int  // lines of the middle that are above it
	keys          bool // tell of them
	every         time.Duration
}

// Styles of rows, as terminals have them.
const (
	styleHead  = "1"
	styleBad   = "31"
	styleWarn  = "33"
	styleDrain = "35"
	styleOK    = "32"
	styleKeys  = "7"
)

func (l look) paint(style, text string) string {
	if !l.colour || style == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// latestEvents is how many events are shown at the least.
const latestEvents = 6

// screen is the lines of a screen, and how far the middle can be scrolled.
func (t *top) screen(l look, now time.Time) (lines []string, furthest int) {
	head := t.head(l, now)
	middle := t.middle(l)
	foot := t.foot(l, now)
	if l.height == 0 {
		return append(append(head, middle...), foot...), 0
	}
	if room := l.height - len(head) - len(foot); len(middle) > room {
		room = max(room, 0)
		furthest = len(middle) - room
		from := min(max(l.scroll, 0), furthest)
		middle = middle[from : from+room]
	}
	for len(head)+len(middle)+len(foot) < l.height {
		middle = append(middle, "")
	}
	lines = append(append(head, middle...), foot...)
	return lines[:min(len(lines), l.height)], furthest
}

func (p *page) lines() []string {
	text := strings.TrimSuffix(p.text.String(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func (t *top) head(l look, now time.Time) []string {
	s := t.status
	text, style := "ready", styleOK
	switch {
	case t.err != nil && !t.heard.IsZero():
		text, style = fmt.Sprintf("NO ANSWER for %s: %v", age(now.Sub(t.heard)), t.err), styleBad
	case !s.Ready:
		text, style = "NOT READY: "+s.Reason, styleBad
	}
	first := fmt.Sprintf("mqedge %s, up %s, ", s.Version.Version, age(s.Time.Sub(s.Version.Started)))
	clock := now.Format("15:04:05")
	room := max(l.width-columns(first)-len(clock)-2, 10)
	text = keepStart(printable(text), room)
	gap := strings.Repeat(" ", max(1, l.width-columns(first)-columns(text)-len(clock)))
	lines := []string{l.paint(styleHead, printable(first)) + l.paint(style, text) + gap + clock}
	if len(s.Listeners) == 0 {
		return lines
	}
	plots := t.plots(l)
	if l.height > 0 {
		plots = plots[:min(len(plots), l.height/6)]
	}
	return append(lines, plots...)
}

// plots are lines with a curve each.
func (t *top) plots(l look) []string {
	type figure struct {
		label  string
		series Series
		text   string
	}
	last := func(s Series) float64 {
		if len(s) == 0 {
			return math.NaN()
		}
		return float64(s[len(s)-1])
	}
	active := ofListeners(t, func(h ListenerHistory) Series { return h.Active })
	accepted := ofListeners(t, func(h ListenerHistory) Series { return h.Accepted })
	refused := ofListeners(t, func(h ListenerHistory) Series { return h.Refused })
	in := ofListeners(t, func(h ListenerHistory) Series { return h.BytesIn })
	out := ofListeners(t, func(h ListenerHistory) Series { return h.BytesOut })
	all := []figure{
		{"connections", active, perSecond(last(active))},
		{"new/s", accepted, fmt.Sprintf("%s  refused %s", perSecond(last(accepted)), perSecond(last(refused)))},
		{"traffic/s", in, fmt.Sprintf("in %s  out %s", volume(last(in)), volume(last(out)))},
	}
	if messages := ofListeners(t, func(h ListenerHistory) Series { return h.MessagesIn }); slices.ContainsFunc(messages, isKnown) {
		sent := ofListeners(t, func(h ListenerHistory) Series { return h.MessagesOut })
		all = append(all, figure{"messages/s", messages, fmt.Sprintf("in %s  out %s", perSecond(last(messages)), perSecond(last(sent)))})
	}
	if answer := ofUpstreams(t, most, func(h UpstreamHistory) Series { return h.Answer }); last(answer) == last(answer) {
		slowest := ofUpstreams(t, most, func(h UpstreamHistory) Series { return h.Slowest })
		all = append(all, figure{"CONNACK", answer, fmt.Sprintf("median %s  slowest %s", duration(last(answer)), duration(last(slowest)))})
	}
	if rate := ofCalls(t, add, func(h CallHistory) Series { return h.Rate }); len(rate) > 0 {
		errors := ofCalls(t, add, func(h CallHistory) Series { return h.Errors })
		mean := ofCalls(t, most, func(h CallHistory) Series { return h.Mean })
		p99 := ofCalls(t, most, func(h CallHistory) Series { return h.P99 })
		all = append(all,
			figure{"calls/s", rate, fmt.Sprintf("%s  errors %s", perSecond(last(rate)), perSecond(last(errors)))},
			figure{"call time", mean, fmt.Sprintf("mean %s  p99 %s", duration(last(mean)), duration(last(p99)))})
	}
	width := min(max(l.width-13-32, 0), 60)
	var lines []string
	for _, f := range all {
		lines = append(lines, keepStart(fmt.Sprintf("%-11s  %s  %s", f.label, curve(f.series, width), f.text), l.width))
	}
	return lines
}

func isKnown(v float32) bool { return v == v }

var blocks = []rune("▁▂▃▄▅▆▇█")

// curve draws the latest values, several for each character, their mean; the height is a share of the largest.
func curve(s Series, width int) string {
	if width < 10 {
		return ""
	}
	each := historySamples / width
	out := make([]rune, width)
	means := make([]float64, width)
	largest := 0.0
	for i := range means {
		end := len(s) - (width-1-i)*each
		sum, n := 0.0, 0
		for at := max(end-each, 0); at < end; at++ {
			if v := float64(s[at]); v == v {
				sum, n = sum+v, n+1
			}
		}
		means[i] = math.NaN()
		if n > 0 {
			means[i] = sum / float64(n)
			largest = max(largest, means[i])
		}
	}
	for i, v := range means {
		switch {
		case v != v:
			out[i] = ' '
		case largest == 0:
			out[i] = blocks[0]
		default:
			out[i] = blocks[min(int(v/largest*float64(len(blocks))), len(blocks)-1)]
		}
	}
	return string(out)
}

func (t *top) middle(l look) []string {
	p := &page{width: l.width, paint: l.paint}
	p.topListeners(t)
	for _, u := range t.status.Upstreams {
		p.topUpstream(t, u, l)
	}
	p.members(t.status.Members, t.status.Time)
	p.certificates(t.status.Certificates, t.status.Time)
	return p.lines()
}

func (p *page) topListeners(t *top) {
	if len(t.status.Listeners) == 0 {
		p.text.WriteByte('\n')
		p.line(0, "no listeners: this process takes no connections")
		return
	}
	rows := []row{{cells: []string{"LISTENER", "PROTOCOL", ">ACTIVE", ">NEW/S", ">REFUSED", ">MSG IN", ">MSG OUT", ">IN/S", ">OUT/S"}, style: styleHead}}
	for _, l := range t.status.Listeners {
		protocol := l.Protocol
		if l.TLS {
			protocol += "+tls"
		}
		h := t.listen[l.Name]
		last := func(s Series) float64 {
			if len(s) == 0 {
				return math.NaN()
			}
			return float64(s[len(s)-1])
		}
		refused, _ := tally(l.Refused)
		rows = append(rows, row{
			cells: []string{
				l.Name, protocol, grouped(int(l.Active)), perSecond(last(h.Accepted)), strconv.FormatUint(refused, 10),
				perSecond(last(h.MessagesIn)), perSecond(last(h.MessagesOut)), volume(last(h.BytesIn)), volume(last(h.BytesOut)),
			},
			note: waiting(l.Waiting),
		})
	}
	p.table(rows)
}

func (p *page) topUpstream(t *top, u Upstream, l look) {
	head := []string{"UPSTREAM " + u.Name, "STATE", ">ACTIVE", ">NEW/S", ">FAILURES", ">CONNACK"}
	if u.Protocol == "grpc" {
		head = []string{"UPSTREAM " + u.Name, "STATE", ">IN FLIGHT", ">CALLS/S", ">FAILURES", ">ANSWER"}
	}
	rows := []row{{cells: head, style: styleHead}}
	for _, e := range t.inOrder(u, l.order, l.reverse) {
		word := state(e)
		if l.problems && word == "up" && e.Reason == "" {
			continue
		}
		rate, known := t.rates[endpointKey(u, e)]
		if !known {
			rate = math.NaN()
		}
		took := e.AnswerSeconds
		if e.Provider != nil {
			took = e.Provider.Seconds
		}
		rows = append(rows, row{
			cells: []string{e.Address, word, grouped(int(load(e))), perSecond(rate), strconv.FormatUint(failures(e), 10), duration(took)},
			note:  e.Reason,
			style: map[string]string{"down": styleBad, "ejected": styleWarn, "draining": styleDrain}[word],
		})
	}
	if len(u.Endpoints) == 0 {
		rows[0].note = "no endpoints yet"
	} else if hidden := len(u.Endpoints) - (len(rows) - 1); hidden > 0 {
		rows[0].note = fmt.Sprintf("%d without problems", hidden)
	}
	p.table(rows)
	if u.ExHook == nil || len(u.ExHook.Hooks) == 0 {
		return
	}
	rows = []row{{cells: []string{"HOOK", ">PROVIDERS", ">CALLS/S", ">MEAN", ">ERRORS", ">FALLBACKS", ">DROPPED"}, style: styleHead}}
	for _, h := range u.ExHook.Hooks {
		rate, known := t.rates[hookKey(u, h)]
		if !known {
			rate = math.NaN()
		}
		number := func(n uint64) string { return strconv.FormatUint(n, 10) }
		rows = append(rows, row{cells: []string{
			h.Name, strconv.Itoa(h.Providers), perSecond(rate), duration(h.Seconds / max(float64(h.Calls), 1)), number(h.Errors), number(h.Fallbacks), number(h.EarlyDropped),
		}})
	}
	p.table(rows)
	for _, d := range u.ExHook.Drift {
		p.line(0, "hooks at "+d.Node+" differ: "+sentence(listed("not called: ", d.Unknown), listed("called and not wanted: ", d.Unserved)))
	}
}

// foot is the latest events and the keys.
func (t *top) foot(l look, now time.Time) []string {
	n := latestEvents
	if l.height > 0 {
		n = min(n, l.height/8)
	}
	lines := []string{"", l.paint(styleHead, "EVENTS")}
	if len(t.events) == 0 {
		lines = append(lines, "nothing yet")
	}
	for i := len(t.events) - 1; i >= max(0, len(t.events)-n); i-- {
		e := t.events[i]
		text := e.Time.In(now.Location()).Format("15:04:05") + "  " + e.Text
		if e.Count > 1 {
			text += fmt.Sprintf(" (%d times)", e.Count)
		}
		for _, a := range e.Attributes {
			text += " " + a.Name + "=" + a.Value
		}
		style := map[string]string{"warn": styleWarn, "error": styleBad}[e.Level]
		lines = append(lines, l.paint(style, keepStart(printable(text), l.width)))
	}
	if !l.keys {
		return lines
	}
	direction := ""
	if l.reverse {
		direction = " reversed"
	}
	only := "problems only"
	if l.problems {
		only = "all endpoints"
	}
	help := fmt.Sprintf("q quit  s sort: %s%s  r reverse  p %s  ↑↓ scroll  every %v", orderNames[l.order], direction, only, l.every)
	help = keepStart(help, l.width)
	return append(lines, l.paint(styleKeys, help+strings.Repeat(" ", max(0, l.width-columns(help)))))
}

// keepStart shortens a text to n columns.
func keepStart(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	room := n - 1
	for i, r := range s {
		if room -= columnsOf(r); room < 0 {
			return s[:i] + "…"
		}
	}
	return s
}
