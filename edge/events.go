package edge

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mqedge/mqedge/admin"
)

const (
	// mostEvents are remembered; the oldest makes room.
	mostEvents = 500
	// mergeWithin is how soon the same must happen again to be counted with what was before.
	mergeWithin = 10 * time.Minute
	// Of one event no more than this is kept.
	mostAttributes = 16
	longestValue   = 1024 // bytes
)

// passing are attributes that differ from one time to the next of what is otherwise the same.
var passing = []string{"after", "connections", "lines", "peer", "reason", "since", "used", "withheld"}

// events are what happened lately, each kind and subject once. Its zero value is empty.
type events struct {
	mu        sync.Mutex
	last      uint64
	forgotten uint64
	list      []remembered // by id
}

type remembered struct {
	admin.Event
	key string // what those have in common that are counted together
}

// add notes n occurrences of an event.
func (e *events) add(now time.Time, level slog.Level, text string, attrs []admin.Attribute, n uint64) {
	attrs = attrs[:min(len(attrs), mostAttributes)]
	for i := range attrs {
		attrs[i].Value = cut(attrs[i].Value)
	}
	r := remembered{key: keyOf(level, text, attrs), Event: admin.Event{
		Time: now, FirstTime: now, Count: n, Level: levelName(level), Text: cut(text), Attributes: attrs,
	}}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	r.ID, r.FirstID = e.last, e.last
	if i := slices.IndexFunc(e.list, func(o remembered) bool { return o.key == r.key && now.Sub(o.Time) < mergeWithin }); i >= 0 {
		before := e.list[i]
		r.FirstID, r.FirstTime, r.Count = before.FirstID, before.FirstTime, before.Count+n
		e.list = slices.Delete(e.list, i, i+1)
	}
	if len(e.list) >= mostEvents {
		e.list = slices.Delete(e.list, 0, 1)
		e.forgotten++
	}
	e.list = append(e.list, r)
}

// since returns the events with a greater id, or all if there is none with that id yet.
func (e *events) since(id uint64) admin.EventList {
	e.mu.Lock()
	defer e.mu.Unlock()
	if id > e.last {
		id = 0
	}
	from, _ := slices.BinarySearchFunc(e.list, id+1, func(r remembered, id uint64) int {
		if r.ID < id {
			return -1
		}
		return 1
	})
	l := admin.EventList{Last: e.last, Forgotten: e.forgotten}
	for _, r := range e.list[from:] {
		l.Events = append(l.Events, r.Event)
	}
	return l
}

func keyOf(level slog.Level, text string, attrs []admin.Attribute) string {
	var b strings.Builder
	b.WriteString(level.String() + "\x00" + text)
	for _, a := range attrs {
		if !slices.Contains(passing, a.Name) {
			b.WriteString("\x00" + a.Name + "\x00" + a.Value)
		}
	}
	return b.String()
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	}
	return "info"
}

// cut bounds a text without cutting a character.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= longestValue {
		return s
	}
	n := longestValue
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
