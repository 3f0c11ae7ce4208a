package edge

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/exhook"
	"github.com/mqedge/mqedge/proxy"
)

// sampler measures what the history is made of, and notices what is counted but not logged.
type sampler struct {
	e         *Edge
	at        time.Time // of the last sample; zero before the first
	listeners map[string]proxy.Stats
	upstreams map[string]connectCounts
	calls     map[string]callCounts
	members   map[string]bool // alive; nil before the first look
}

type connectCounts struct{ connects, failures uint64 }

// sample measures until ctx ends.
func (e *Edge) sample(ctx context.Context) {
	s := &sampler{e: e}
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		s.take(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// take makes one sample. The first has no rates.
func (s *sampler) take(now time.Time) {
	seconds := 0.0
	if !s.at.IsZero() {
		seconds = now.Sub(s.at).Seconds()
	}
	s.at = now
	g := s.e.current.Load()
	made := sample{listeners: s.listen(g, now, seconds)}
	made.upstreams, made.calls = s.reach(g, seconds)
	s.e.history.add(now, made)
	s.meet(g, now)
}

// rate is how much a counter grew in a second. One that begins anew counts from zero.
func rate(before, now uint64, seconds float64) float32 {
	switch {
	case seconds <= 0:
		return unknown
	case now < before:
		before = 0
	}
	return float32(float64(now-before) / seconds)
}

func (s *sampler) listen(g *generation, now time.Time, seconds float64) map[string][]float32 {
	before := s.listeners
	s.listeners = make(map[string]proxy.Stats, len(g.listeners))
	out := make(map[string][]float32, len(g.listeners))
	for name, l := range g.listeners {
		st := l.proxy.Stats()
		s.listeners[name] = st
		was, known := before[name]
		since := seconds
		if !known {
			since = 0
		}
		out[name] = []float32{
			seriesActive:   float32(st.Active),
			seriesAccepted: rate(was.Accepted, st.Accepted, since),
			seriesRefused:  rate(total(was.Refused), total(st.Refused), since),
			seriesIn:       rate(was.BytesIn, st.BytesIn, since),
			seriesOut:      rate(was.BytesOut, st.BytesOut, since),

			seriesMessagesIn: unknown, seriesMessagesOut: unknown,
		}
		if strings.HasPrefix(g.config.Listeners[name].Protocol, "mqtt") {
			out[name][seriesMessagesIn] = rate(was.MessagesIn, st.MessagesIn, since)
			out[name][seriesMessagesOut] = rate(was.MessagesOut, st.MessagesOut, since)
		}
		s.refusals(name, was, st, now)
	}
	return out
}

func total(counts map[string]uint64) uint64 {
	sum := uint64(0)
	for _, n := range counts {
		sum += n
	}
	return sum
}

// refusals makes events of the refusals that are for an operator to mend; those that are clients' own doing are many, and counted.
func (s *sampler) refusals(listener string, before, now proxy.Stats, at time.Time) {
	for _, reason := range slices.Sorted(maps.Keys(now.Refused)) {
		n := now.Refused[reason] - min(before.Refused[reason], now.Refused[reason])
		if n == 0 || !proxy.ForOperators(reason) {
			continue
		}
		attrs := []admin.Attribute{{Name: "listener", Value: listener}, {Name: "refused", Value: reason}}
		if words, found := strings.CutPrefix(now.LastRefusal, reason+": "); found {
			attrs = append(attrs, admin.Attribute{Name: "reason", Value: words})
		}
		s.e.events.add(at, slog.LevelWarn, "connections were refused", attrs, n)
	}
}

func (s *sampler) reach(g *generation, seconds float64) (upstreams, calls map[string][]float32) {
	before, callsBefore := s.upstreams, s.calls
	s.upstreams, s.calls = make(map[string]connectCounts), make(map[string]callCounts)
	upstreams, calls = make(map[string][]float32), make(map[string][]float32)
	for name, up := range g.upstreams {
		var counts connectCounts
		var connections int64
		var answers []float64
		for _, ep := range up.pool.Status().Endpoints {
			counts.connects += ep.ConnectsTotal
			counts.failures += ep.FailuresTotal
			connections += ep.Connections
			if ep.AnswerSeconds > 0 {
				answers = append(answers, ep.AnswerSeconds)
			}
		}
		s.upstreams[name] = counts
		was, known := before[name]
		since := seconds
		if !known {
			since = 0
		}
		median, slowest := unknown, unknown
		if len(answers) > 0 {
			slices.Sort(answers)
			median, slowest = float32(answers[(len(answers)-1)/2]), float32(answers[len(answers)-1])
		}
		upstreams[name] = []float32{
			seriesConnections: float32(connections),
			seriesConnects:    rateDown(was.connects, counts.connects, since),
			seriesFailures:    rateDown(was.failures, counts.failures, since),
			seriesAnswer:      median,
			seriesSlowest:     slowest,
		}
		if up.calls != nil {
			c := countCalls(up.calls.carrier.Stats().Calls)
			s.calls[name] = c
			calls[name] = c.since(callsBefore[name], since)
		}
	}
	return upstreams, calls
}

// rateDown is for a sum that shrinks when one of its parts goes.
func rateDown(before, now uint64, seconds float64) float32 {
	return rate(min(before, now), now, seconds)
}

// callCounts add up the calls of an upstream.
type callCounts struct {
	count, errors uint64
	seconds       float64
	buckets       map[float64]uint64 // cumulative, by upper bound
}

func countCalls(all []exhook.CallStats) callCounts {
	c := callCounts{buckets: make(map[float64]uint64)}
	for _, m := range all {
		c.count += m.Count
		if m.Code != codes.OK {
			c.errors += m.Count
		}
		c.seconds += m.Seconds
		for bound, n := range m.Buckets {
			c.buckets[bound] += n
		}
	}
	return c
}

// since gives the values of a sample from what was counted after before.
func (c callCounts) since(before callCounts, seconds float64) []float32 {
	if c.count < before.count {
		before = callCounts{}
	}
	values := []float32{
		seriesRate:   rate(before.count, c.count, seconds),
		seriesErrors: rate(min(before.errors, c.errors), c.errors, seconds),
		seriesMean:   unknown,
		seriesP99:    unknown,
	}
	if n := c.count - before.count; n > 0 && seconds > 0 {
		values[seriesMean] = float32(max(c.seconds-before.seconds, 0) / float64(n))
		values[seriesP99] = float32(c.quantile(before, 0.99, n))
	}
	return values
}

// quantile estimates a duration from the buckets, as Prometheus does: within one all durations are equally likely.
// What is beyond the last bucket counts as its bound.
func (c callCounts) quantile(before callCounts, q float64, n uint64) float64 {
	rank := q * float64(n)
	lower, below := 0.0, 0.0
	for _, bound := range slices.Sorted(maps.Keys(c.buckets)) {
		upTo := float64(c.buckets[bound] - min(before.buckets[bound], c.buckets[bound]))
		if upTo >= rank && upTo > below {
			return lower + (bound-lower)*(rank-below)/(upTo-below)
		}
		lower, below = bound, upTo
	}
	return lower
}

// mostNames are named in an event about many.
const mostNames = 5

// meet makes an event of members that joined: the log has those of departures alone.
func (s *sampler) meet(g *generation, now time.Time) {
	if g.gossip == nil {
		s.members = nil
		return
	}
	before := s.members
	s.members = make(map[string]bool)
	var came []string
	for _, m := range g.gossip.node.Members() {
		if !m.Alive {
			continue
		}
		s.members[m.Name] = true
		if before != nil && !before[m.Name] && m.Name != g.gossip.node.Name() {
			came = append(came, m.Name)
		}
	}
	if len(came) > mostNames {
		rest := len(came) - mostNames
		came = append(came[:mostNames:mostNames], fmt.Sprintf("and %d more", rest))
	}
	if len(came) > 0 {
		attrs := []admin.Attribute{{Name: "name", Value: strings.Join(came, ", ")}}
		s.e.events.add(now, slog.LevelInfo, "gossip member joined", attrs, 1)
	}
}
