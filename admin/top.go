package admin

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// historySamples is how much of the history is kept: what the server remembers.
const historySamples = 300

// top is what `mqedge top` knows: the latest answers, and what differs from those before.
type top struct {
	status  Status
	rates   map[string]float64 // by endpoint and so on, a second; none before the second answer
	listen  map[string]ListenerHistory
	reach   map[string]UpstreamHistory
	samples uint64
	events  []Event // the latest last
	eventID uint64
	heard   time.Time // when the latest answer came
	err     error     // of the latest question
}

// ask brings everything up to date. On error what is known stays.
func (t *top) ask(ctx context.Context, c *Client) error {
	s, err := c.Status(ctx)
	if err == nil && !s.Version.Started.Equal(t.status.Version.Started) {
		*t = top{} // another process
	}
	var h History
	if err == nil {
		h, err = c.History(ctx, t.samples)
	}
	var e EventList
	if err == nil {
		e, err = c.Events(ctx, t.eventID)
	}
	t.err = err
	if err == nil {
		t.heard = time.Now()
		t.learn(s, h, e)
	}
	return err
}

func (t *top) learn(s Status, h History, e EventList) {
	before := t.status
	t.status = s
	t.rates = make(map[string]float64)
	if seconds := s.Time.Sub(before.Time).Seconds(); !before.Time.IsZero() && seconds > 0 {
		was := counters(before)
		for key, n := range counters(s) {
			if old, known := was[key]; known && n >= old {
				t.rates[key] = float64(n-old) / seconds
			}
		}
	}
	t.remember(h)
	t.events = slices.Clone(t.events) // a copy of t may be drawn meanwhile
	for _, event := range e.Events {
		t.events = slices.DeleteFunc(t.events, func(o Event) bool { return o.FirstID == event.FirstID })
		t.events = append(t.events, event)
	}
	t.events = t.events[max(0, len(t.events)-100):]
	t.eventID = e.Last
}

// counters are all that grow, by a key of what counts and what is counted.
func counters(s Status) map[string]uint64 {
	out := make(map[string]uint64)
	for _, u := range s.Upstreams {
		for _, e := range u.Endpoints {
			out[endpointKey(u, e)] = e.Connects
			if e.Provider != nil {
				out[endpointKey(u, e)] = e.Provider.Calls
			}
		}
		if u.ExHook != nil {
			for _, h := range u.ExHook.Hooks {
				out[hookKey(u, h)] = h.Calls
			}
		}
	}
	return out
}

func endpointKey(u Upstream, e Endpoint) string { return "endpoint\x00" + u.Name + "\x00" + e.Address }
func hookKey(u Upstream, h Hook) string         { return "hook\x00" + u.Name + "\x00" + h.Name }

// remember puts the new samples behind those that are known.
func (t *top) remember(h History) {
	listen, reach := t.listen, t.reach
	if h.Last < t.samples {
		listen, reach = nil, nil
	}
	t.samples = h.Last
	t.listen, t.reach = make(map[string]ListenerHistory), make(map[string]UpstreamHistory)
	for _, l := range h.Listeners {
		was := listen[l.Name]
		t.listen[l.Name] = ListenerHistory{
			Name: l.Name, Active: behind(was.Active, l.Active), Accepted: behind(was.Accepted, l.Accepted), Refused: behind(was.Refused, l.Refused),
			BytesIn: behind(was.BytesIn, l.BytesIn), BytesOut: behind(was.BytesOut, l.BytesOut),
			MessagesIn: behind(was.MessagesIn, l.MessagesIn), MessagesOut: behind(was.MessagesOut, l.MessagesOut),
		}
	}
	for _, u := range h.Upstreams {
		was := reach[u.Name]
		now := UpstreamHistory{Name: u.Name, Answer: behind(was.Answer, u.Answer), Slowest: behind(was.Slowest, u.Slowest)}
		if u.Calls != nil {
			old := CallHistory{}
			if was.Calls != nil {
				old = *was.Calls
			}
			now.Calls = &CallHistory{
				Rate: behind(old.Rate, u.Calls.Rate), Errors: behind(old.Errors, u.Calls.Errors),
				Mean: behind(old.Mean, u.Calls.Mean), P99: behind(old.P99, u.Calls.P99),
			}
		}
		t.reach[u.Name] = now
	}
}

func behind(old, more Series) Series {
	all := slices.Concat(old, more)
	return all[max(0, len(all)-historySamples):]
}

// merge combines series of one kind from their ends on. What none of them knows is NaN.
func merge(all []Series, combine func(a, b float32) float32) Series {
	longest := 0
	for _, s := range all {
		longest = max(longest, len(s))
	}
	out := make(Series, longest)
	for i := range out {
		out[i] = float32(math.NaN())
		for _, s := range all {
			at := len(s) - longest + i
			if at < 0 || s[at] != s[at] {
				continue
			}
			if out[i] != out[i] {
				out[i] = s[at]
				continue
			}
			out[i] = combine(out[i], s[at])
		}
	}
	return out
}

func add(a, b float32) float32  { return a + b }
func most(a, b float32) float32 { return max(a, b) }

func ofListeners(t *top, of func(ListenerHistory) Series) Series {
	var all []Series
	for _, l := range t.listen {
		all = append(all, of(l))
	}
	return merge(all, add)
}

func ofUpstreams(t *top, combine func(a, b float32) float32, of func(UpstreamHistory) Series) Series {
	var all []Series
	for _, u := range t.reach {
		all = append(all, of(u))
	}
	return merge(all, combine)
}

func ofCalls(t *top, combine func(a, b float32) float32, of func(CallHistory) Series) Series {
	var all []Series
	for _, u := range t.reach {
		if u.Calls != nil {
			all = append(all, of(*u.Calls))
		}
	}
	return merge(all, combine)
}

// The orders of endpoints, in the order in which a key goes through them.
const (
	byState = iota
	byAddress
	byActive
	byRate
	byFailures
	orders
)

var orderNames = [orders]string{"state", "address", "active", "rate", "failures"}

// inOrder sorts the endpoints of an upstream; numbers begin with the largest.
func (t *top) inOrder(u Upstream, order int, reverse bool) []Endpoint {
	list := slices.Clone(u.Endpoints)
	slices.SortStableFunc(list, func(a, b Endpoint) int {
		c := 0
		switch order {
		case byState:
			c = cmp.Compare(rank(a), rank(b))
		case byActive:
			c = cmp.Compare(load(b), load(a))
		case byRate:
			c = cmp.Compare(t.rates[endpointKey(u, b)], t.rates[endpointKey(u, a)])
		case byFailures:
			c = cmp.Compare(failures(b), failures(a))
		}
		c = cmp.Or(c, cmp.Compare(a.Address, b.Address))
		if reverse {
			return -c
		}
		return c
	})
	return list
}

// rank puts the worst first.
func rank(e Endpoint) int {
	return slices.Index([]string{"down", "ejected", "draining", "up"}, state(e))
}

func load(e Endpoint) int64 {
	if e.Provider != nil {
		return int64(e.Provider.InFlight)
	}
	return e.Connections
}

func failures(e Endpoint) uint64 {
	if e.Provider != nil {
		return e.Provider.Failures
	}
	return e.Failures
}

// perSecond writes a rate; NaN is not known.
func perSecond(v float64) string {
	switch {
	case v != v:
		return "-"
	case v == 0:
		return "0"
	case v < 0.1:
		return "<0.1"
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	}
	return grouped(int(math.Round(v)))
}

func duration(v float64) string {
	switch {
	case v != v || v == 0:
		return "-"
	case v < 0.01:
		return fmt.Sprintf("%.1fms", v*1e3)
	case v < 1:
		return fmt.Sprintf("%.0fms", v*1e3)
	}
	return fmt.Sprintf("%.1fs", v)
}

func volume(v float64) string {
	if v != v {
		return "-"
	}
	return size(uint64(v))
}
