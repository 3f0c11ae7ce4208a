package edge

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/admin"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestTheSameEventsAreOneWithACountAndTheLatestDetails(t *testing.T) {
	var e events
	log := slog.New(&eventHandler{next: slog.DiscardHandler, events: &e}).With("upstream", "emqx")
	log.Warn("endpoint is out of use", "endpoint", "a:1", "reason", "3 failures")
	log.Warn("endpoint is out of use", "endpoint", "b:1", "reason", "3 failures")
	log.Warn("endpoint is out of use", "endpoint", "a:1", "reason", "4 failures")
	log.Error("endpoint is out of use", "endpoint", "a:1")
	got := e.since(0)
	if len(got.Events) != 3 || got.Last != 4 {
		t.Fatalf("got %+v", got)
	}
	merged := got.Events[1]
	if merged.ID != 3 || merged.FirstID != 1 || merged.Count != 2 || merged.Level != "warn" || merged.Time.Before(merged.FirstTime) {
		t.Errorf("got %+v", merged)
	}
	if want := "[{upstream emqx} {endpoint a:1} {reason 4 failures}]"; fmt.Sprint(merged.Attributes) != want {
		t.Errorf("got %v, want %s", merged.Attributes, want)
	}
	if later := e.since(2); len(later.Events) != 2 || later.Events[0].ID != 3 {
		t.Errorf("after 2: %+v", later)
	}
	if none := e.since(4); len(none.Events) != 0 || none.Last != 4 {
		t.Errorf("after the last: %+v", none)
	}
	if all := e.since(99); len(all.Events) != 3 {
		t.Errorf("after one that is still to come, as of a process before: %+v", all)
	}
}

func TestWhatHappensAgainMuchLaterIsAnotherEvent(t *testing.T) {
	var e events
	e.add(noon, slog.LevelInfo, "reloaded", nil, 1)
	e.add(noon.Add(mergeWithin), slog.LevelInfo, "reloaded", nil, 1)
	e.add(noon.Add(mergeWithin+time.Minute), slog.LevelInfo, "reloaded", nil, 5)
	got := e.since(0).Events
	if len(got) != 2 || got[0].Count != 1 || got[1].Count != 6 || !got[1].FirstTime.Equal(noon.Add(mergeWithin)) {
		t.Errorf("got %+v", got)
	}
}

func TestTheMemoryForEventsIsBounded(t *testing.T) {
	var e events
	long := strings.Repeat("ü", longestValue)
	for i := range mostEvents + 7 {
		attrs := []admin.Attribute{{Name: "n", Value: fmt.Sprint(i)}, {Name: "long", Value: long}, {Name: "bad", Value: "\xff"}}
		for range 2 * mostAttributes {
			attrs = append(attrs, admin.Attribute{Name: "more"})
		}
		e.add(noon, slog.LevelInfo, long, attrs, 1)
	}
	got := e.since(0)
	if len(got.Events) != mostEvents || got.Forgotten != 7 || got.Events[0].ID != 8 || got.Last != mostEvents+7 {
		t.Errorf("%d events, %d forgotten, from %d to %d", len(got.Events), got.Forgotten, got.Events[0].ID, got.Last)
	}
	first := got.Events[0]
	if len(first.Text) > longestValue+3 || len(first.Attributes) != mostAttributes || len(first.Attributes[1].Value) > longestValue+3 {
		t.Errorf("an event of %d + %d bytes and %d attributes", len(first.Text), len(first.Attributes[1].Value), len(first.Attributes))
	}
	if first.Attributes[2].Value != "\uFFFD" {
		t.Errorf("not UTF-8: %q", first.Attributes[2].Value)
	}
}

func TestLinesBelowInfoAreNoEventsAndTheLevelOfTheLogDoesNotMatter(t *testing.T) {
	var e events
	var out strings.Builder
	log := slog.New(&eventHandler{next: slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}), events: &e})
	log.Debug("refused", "client", "10.1.2.3:4")
	log.Info("reloaded")
	log.WithGroup("g").With("a", 1).Error("bad", "b", []string{"x", "y"}, slog.Group("c", "d", time.Second), "error", io.EOF)
	got := e.since(0).Events
	if len(got) != 2 || got[0].Text != "reloaded" || got[1].Level != "error" {
		t.Fatalf("got %+v", got)
	}
	if want := "[{g.a 1} {g.b x, y} {g.c.d 1s} {g.error EOF}]"; fmt.Sprint(got[1].Attributes) != want {
		t.Errorf("got %v, want %s", got[1].Attributes, want)
	}
	if lines := out.String(); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, "g.c.d=1s") {
		t.Errorf("the log: %s", lines)
	}
}

func BenchmarkEvents(b *testing.B) {
	var e events
	log := slog.New(&eventHandler{next: slog.DiscardHandler, events: &e})
	for i := range b.N {
		log.Warn("endpoint is out of use", "upstream", "emqx", "endpoint", i%(2*mostEvents), "reason", "3 failures")
	}
}
