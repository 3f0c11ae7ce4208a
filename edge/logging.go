package edge

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/mqedge/mqedge/configs"
)

// logHandler is a slog.Handler whose level and format may change while loggers
// derived from it are in use.
type logHandler struct {
	root   *atomic.Pointer[slog.Handler]
	derive func(slog.Handler) slog.Handler // what With and WithGroup added
}

func newLogHandler() *logHandler {
	return &logHandler{root: new(atomic.Pointer[slog.Handler]), derive: func(h slog.Handler) slog.Handler { return h }}
}

// use makes all loggers write to w as c says.
func (h *logHandler) use(w io.Writer, c configs.Log) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	var root slog.Handler = slog.NewTextHandler(w, o)
	if c.Format == "json" {
		root = slog.NewJSONHandler(w, o)
	}
	h.root.Store(&root)
}

func (h *logHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return (*h.root.Load()).Enabled(ctx, l)
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.derive(*h.root.Load()).Handle(ctx, r)
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{root: h.root, derive: func(r slog.Handler) slog.Handler { return h.derive(r).WithAttrs(attrs) }}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{root: h.root, derive: func(r slog.Handler) slog.Handler { return h.derive(r).WithGroup(name) }}
}
