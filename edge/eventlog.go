package edge

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/mqedge/mqedge/admin"
)

// eventHandler is a slog.Handler that makes events of all lines from info on, whatever the level of the log is, and
// passes the lines on. So whatever is worth a line is an event too, and nothing has to be said twice.
type eventHandler struct {
	next   slog.Handler
	events *events
	attrs  []admin.Attribute // of With
	group  string            // of WithGroup, with a dot behind
}

func (h *eventHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || h.next.Enabled(ctx, l)
}

func (h *eventHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		attrs := slices.Clone(h.attrs)
		r.Attrs(func(a slog.Attr) bool {
			attrs = appendAttribute(attrs, h.group, a)
			return true
		})
		at := r.Time
		if at.IsZero() {
			at = time.Now()
		}
		h.events.add(at, r.Level, r.Message, attrs, 1)
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func (h *eventHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.next, with.attrs = h.next.WithAttrs(attrs), slices.Clone(h.attrs)
	for _, a := range attrs {
		with.attrs = appendAttribute(with.attrs, h.group, a)
	}
	return &with
}

func (h *eventHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.next = h.next.WithGroup(name)
	if name != "" {
		with.group += name + "."
	}
	return &with
}

func appendAttribute(to []admin.Attribute, group string, a slog.Attr) []admin.Attribute {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range value.Group() {
			to = appendAttribute(to, group, member)
		}
		return to
	}
	if a.Key == "" {
		return to
	}
	text := value.String()
	if list, ok := value.Any().([]string); ok {
		text = strings.Join(list, ", ")
	}
	return append(to, admin.Attribute{Name: group + a.Key, Value: text})
}
