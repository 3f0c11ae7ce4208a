package edge

import (
	"fmt"
	"math"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/exhook"
)

func TestTheHistoryGivesTheLastSamplesOfWhatThereIs(t *testing.T) {
	var h history
	if got := h.since(0); got.Last != 0 || len(got.Listeners) != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	const extra = 5
	for i := range samples + extra {
		s := sample{listeners: map[string][]float32{"b": {float32(i), 0, 0, 0, 0, 0, 0}}}
		if i >= samples+extra-2 {
			s.listeners["a"] = []float32{float32(i), 0, 0, 0, 0, 0, 0}
		}
		if i == 0 {
			s.listeners["gone"] = []float32{1, 0, 0, 0, 0, 0, 0}
		}
		h.add(noon.Add(time.Duration(i)*sampleEvery), s)
	}
	got := h.since(0)
	if len(got.Listeners) != 2 || got.Last != samples+extra || got.Seconds != 2 {
		t.Fatalf("%d listeners, last %d", len(got.Listeners), got.Last)
	}
	b := got.Listeners[1]
	if b.Name != "b" || len(b.Active) != samples || b.Active[0] != extra || b.Active[samples-1] != samples+extra-1 {
		t.Errorf("%s: %d samples from %v to %v", b.Name, len(b.Active), b.Active[0], b.Active[len(b.Active)-1])
	}
	a := got.Listeners[0]
	if !math.IsNaN(float64(a.Active[samples-3])) || a.Active[samples-2] != samples+extra-2 {
		t.Errorf("one that came late: %v", a.Active[samples-3:])
	}
	if tail := h.since(samples + extra - 2).Listeners[1].Active; !slices.Equal(tail, admin.Series{samples + extra - 2, samples + extra - 1}) {
		t.Errorf("the last two: %v", tail)
	}
	if all := h.since(1 << 40).Listeners[1].Active; len(all) != samples {
		t.Errorf("after a sample that is still to come: %d", len(all))
	}
}

func TestTheMemoryForTheHistoryIsBoundedAndSumsAreRight(t *testing.T) {
	var h history
	s := sample{upstreams: map[string][]float32{}, calls: map[string][]float32{}}
	const extra = 6
	for i := range mostTracks + extra {
		s.upstreams[fmt.Sprintf("u%03d", i)] = []float32{1, 1, 1, float32(i), unknown}
		if i == 0 || i >= mostTracks+extra-2 {
			s.calls[fmt.Sprintf("u%03d", i)] = []float32{10, unknown, float32(i), unknown}
		}
	}
	for i := range 3 {
		h.add(noon.Add(time.Duration(i)*sampleEvery), s)
	}
	got := h.since(2).Upstreams
	if len(got) != mostTracks+1 {
		t.Fatalf("%d upstreams, want %d", len(got), mostTracks+1)
	}
	connections, calls := float32(0), float32(0)
	for _, u := range got {
		connections += u.Connections[0]
		if u.Calls != nil {
			calls += u.Calls.Rate[0]
		}
	}
	if connections != mostTracks+extra || calls != 30 {
		t.Errorf("%v connections and %v calls, want %d and 30", connections, calls, mostTracks+extra)
	}
	rest := got[0]
	if rest.Name != others || rest.Answer[0] != mostTracks+extra-1 || rest.Slowest[0] == rest.Slowest[0] || rest.Calls == nil || rest.Calls.Mean[0] != mostTracks+extra-1 {
		t.Errorf("the rest: %+v", rest)
	}
	delete(s.upstreams, "u000")
	h.add(noon.Add(4*sampleEvery), s)
	h.add(noon.Add(5*sampleEvery), s)
	if got := h.since(4).Upstreams; len(got) != mostTracks+1 || got[0].Connections[0] != extra-1 {
		t.Errorf("after one went: %d upstreams, %v of the rest", len(got), got[0].Connections)
	}
}

func TestCallsAreSummedUpIntoRatesAndDurations(t *testing.T) {
	before := countCalls([]exhook.CallStats{{Code: codes.OK, Count: 10, Seconds: 1, Buckets: map[float64]uint64{.1: 10, 1: 10}}})
	now := countCalls([]exhook.CallStats{
		{Code: codes.OK, Count: 109, Seconds: 5, Buckets: map[float64]uint64{.1: 108, 1: 109}},
		{Code: codes.Unavailable, Count: 1, Seconds: 1, Buckets: map[float64]uint64{.1: 0, 1: 1}},
	})
	got := now.since(before, 2)
	want := []float32{50, .5, .05, .55}
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-4 {
			t.Errorf("%v, want %v", got, want)
			break
		}
	}
	if first := now.since(callCounts{}, 0); first[seriesRate] == first[seriesRate] {
		t.Errorf("a rate over no time: %v", first)
	}
}

func TestRatesAndRefusalsAreMeasuredOnALiveEdge(t *testing.T) {
	h := startEdge(t, `
admin: {bind: ""}
listeners:
  in: {bind: 127.0.0.1:0, protocol: tcp, upstream: u, proxy_protocol: {trust: [127.0.0.0/8], timeout: 5s}}
upstreams:
  u: {endpoints: [{address: ECHO}]}
`, Options{})
	s := &sampler{e: h.Edge}
	s.take(noon)
	for range 3 {
		c, err := net.Dial("tcp", h.Addresses("in")[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintln(c, "this is no PROXY header at all")
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		c.Read(make([]byte, 1))
	}
	eventually(t, func() bool { return (source{h.Edge}).Listeners()[0].Refused["proxy_header_invalid"] == 3 })
	from := h.history.since(0).Last
	s.take(noon.Add(2 * time.Second))
	eventually(t, func() bool { // the edge samples too, and must not be counted with it
		for _, l := range h.history.since(from).Listeners {
			if slices.Contains(l.Accepted, 1.5) && slices.Contains(l.Refused, 1.5) {
				return true
			}
		}
		return false
	})
	found := false
	for _, e := range h.events.since(0).Events {
		if e.Text == "connections were refused" {
			found = true
			if e.Level != "warn" || e.Attributes[0].Value != "in" || e.Attributes[1].Value != "proxy_header_invalid" || len(e.Attributes) != 3 {
				t.Errorf("got %+v", e)
			}
		}
	}
	if !found {
		t.Error("no event of the refusals")
	}
}

func TestReloadsAreEventsWhateverTheLevelOfTheLogIs(t *testing.T) {
	h := startEdge(t, `
log: {level: error}
admin: {bind: ""}
listeners:
  in: {bind: 127.0.0.1:0, protocol: tcp, upstream: u}
upstreams:
  u: {endpoints: [{address: ECHO}]}
`, Options{})
	if err := h.rewrite("protocol: tcp", "protocol: tpc"); err == nil {
		t.Fatal("it was loaded")
	}
	if err := h.rewrite("protocol: tpc", "protocol: tcp"); err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range h.events.since(0).Events {
		texts = append(texts, e.Level+" "+e.Text)
	}
	for _, want := range []string{"error reload failed, the configuration before it stays in force", "info reloaded"} {
		if !slices.Contains(texts, want) {
			t.Errorf("%q is missing in %q", want, texts)
		}
	}
}

func BenchmarkSample(b *testing.B) {
	e := New(Options{})
	s := &sampler{e: e}
	for i := range b.N {
		s.take(noon.Add(time.Duration(i) * sampleEvery))
	}
}
