package edge

import (
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mqedge/mqedge/admin"
)

const (
	sampleEvery = 2 * time.Second
	// samples are kept of each series: ten minutes.
	samples = 300
	// mostTracks bounds the memory: of listeners, and of upstreams, those beyond it share a track. Each takes 6 to 12 KB.
	mostTracks = 64
	// others is the name of that track.
	others = "(others)"
)

// unknown is a value that could not be measured.
var unknown = float32(math.NaN())

// track is the history of one listener or upstream: its series in rings.
type track struct {
	name   string
	series [][samples]float32
	seen   uint64 // the latest sample
}

// tracks are the histories of all listeners or upstreams. Those that are gone are forgotten.
type tracks []*track

// putAll adds a sample. What has no track of its own is put together, so that sums are right.
// Owners decide who has one: those of calls are those of their upstreams.
func (ts *tracks) putAll(number uint64, owners *tracks, sample map[string][]float32, combine func(series int, a, b float32) float32) {
	var rest []float32
	for _, name := range slices.Sorted(maps.Keys(sample)) {
		if owners.room(name) {
			ts.put(number, name, sample[name])
			continue
		}
		if rest == nil {
			rest = slices.Clone(sample[name])
			continue
		}
		for i, v := range sample[name] {
			switch {
			case rest[i] != rest[i]:
				rest[i] = v
			case v == v:
				rest[i] = combine(i, rest[i], v)
			}
		}
	}
	if rest != nil {
		ts.put(number, others, rest)
	}
}

// room reports whether a name has a track or can get one.
func (ts *tracks) room(name string) bool {
	own := 0
	for _, t := range *ts {
		if t.name == name {
			return true
		}
		if t.name != others {
			own++
		}
	}
	return own < mostTracks
}

// put adds the values of a sample.
func (ts *tracks) put(number uint64, name string, values []float32) {
	i := slices.IndexFunc(*ts, func(t *track) bool { return t.name == name })
	if i < 0 {
		t := &track{name: name, series: make([][samples]float32, len(values))}
		for s := range t.series {
			for at := range t.series[s] {
				t.series[s][at] = unknown
			}
		}
		*ts = append(*ts, t)
		i = len(*ts) - 1
	}
	t := (*ts)[i]
	t.seen = number
	for s, v := range values[:min(len(values), len(t.series))] {
		t.series[s][number%samples] = v
	}
}

// forget drops those that have nothing to say in this sample.
func (ts *tracks) forget(number uint64) {
	*ts = slices.DeleteFunc(*ts, func(t *track) bool { return t.seen != number })
}

// tail is a copy of the last n values of a series.
func (t *track) tail(series int, last uint64, n int) admin.Series {
	out := make(admin.Series, n)
	for i := range out {
		out[i] = t.series[series][(last-uint64(n-1-i))%samples]
	}
	return out
}

// history is what was measured lately. Its zero value is empty.
type history struct {
	mu        sync.Mutex
	last      uint64
	at        time.Time
	listeners tracks
	upstreams tracks
	calls     tracks
}

// The order of the series of each kind of track.
const (
	seriesActive = iota
	seriesAccepted
	seriesRefused
	seriesIn
	seriesOut
	seriesMessagesIn
	seriesMessagesOut
)

const (
	seriesConnections = iota
	seriesConnects
	seriesFailures
	seriesAnswer
	seriesSlowest
)

const (
	seriesRate = iota
	seriesErrors
	seriesMean
	seriesP99
)

// sample is what there is to tell at one moment, by name.
type sample struct{ listeners, upstreams, calls map[string][]float32 }

func (h *history) add(now time.Time, s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	h.at = now
	for _, of := range []struct {
		tracks, owners *tracks
		values         map[string][]float32
		times          int // the first of the series that are times
	}{
		{&h.listeners, &h.listeners, s.listeners, seriesOut + 1},
		{&h.upstreams, &h.upstreams, s.upstreams, seriesAnswer},
		{&h.calls, &h.upstreams, s.calls, seriesMean},
	} {
		ts := of.tracks
		ts.putAll(h.last, of.owners, of.values, func(series int, a, b float32) float32 {
			if series >= of.times {
				return max(a, b)
			}
			return a + b
		})
		ts.forget(h.last)
		slices.SortFunc(*ts, func(a, b *track) int { return strings.Compare(a.name, b.name) })
	}
}

// since returns the samples after a number, or all if that was not reached yet.
func (h *history) since(number uint64) admin.History {
	h.mu.Lock()
	defer h.mu.Unlock()
	if number > h.last {
		number = 0
	}
	n := int(min(h.last-number, samples))
	out := admin.History{Seconds: sampleEvery.Seconds(), Last: h.last, Time: h.at}
	for _, t := range h.listeners {
		of := func(series int) admin.Series { return t.tail(series, h.last, n) }
		out.Listeners = append(out.Listeners, admin.ListenerHistory{
			Name: t.name, Active: of(seriesActive), Accepted: of(seriesAccepted), Refused: of(seriesRefused),
			BytesIn: of(seriesIn), BytesOut: of(seriesOut), MessagesIn: of(seriesMessagesIn), MessagesOut: of(seriesMessagesOut),
		})
	}
	for _, t := range h.upstreams {
		of := func(series int) admin.Series { return t.tail(series, h.last, n) }
		u := admin.UpstreamHistory{
			Name: t.name, Connections: of(seriesConnections), Connects: of(seriesConnects), Failures: of(seriesFailures),
			Answer: of(seriesAnswer), Slowest: of(seriesSlowest),
		}
		if i := slices.IndexFunc(h.calls, func(c *track) bool { return c.name == t.name }); i >= 0 {
			of := func(series int) admin.Series { return h.calls[i].tail(series, h.last, n) }
			u.Calls = &admin.CallHistory{Rate: of(seriesRate), Errors: of(seriesErrors), Mean: of(seriesMean), P99: of(seriesP99)}
		}
		out.Upstreams = append(out.Upstreams, u)
	}
	return out
}
