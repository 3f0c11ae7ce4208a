package gossip

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// quiet is for how long memberlist may not complain again.
const quiet = 10 * time.Second

// bridge makes log records of memberlist's lines. What it refuses is counted; what it calls errors are mostly facts of life on a
// network, so they come as warnings, and not many of them.
type bridge struct {
	node *Node

	mu       sync.Mutex
	warned   time.Time
	withheld int
}

// rejections are parts of memberlist's lines that mean it did not believe somebody.
var rejections = []struct{ part, reason string }{
	{"unacceptable label", refusedLabel},
	{"label header", refusedMalformed}, // or nothing at all: a port scan, a health check
	{"ecrypt packet failed", refusedKey},
	{"could decrypt the message", refusedKey},
	{"remote state is not encrypted", refusedKey},
	{"remote state is encrypted", refusedKey},
	{"annot decrypt", refusedKey},
	{"protocol version", refusedProtocol},
	{"msg type (", refusedMalformed},
	{"failed to decode", refusedMalformed},
	{"failed to decompress", refusedMalformed},
	{"exceeds limit", refusedMalformed},
	{"larger than limit", refusedMalformed},
}

// unremarkable are complaints about what the node itself provokes or has dealt with.
var unremarkable = []string{
	"ignoring alive message", // refused by NotifyAlive, which counts
	"ping for unexpected node",
	"Refuting an alive message",
	"use of closed network connection",
	"operation was canceled",
	"context canceled",
}

func (b *bridge) Write(line []byte) (int, error) {
	level, text := parseLine(string(line))
	if level >= slog.LevelWarn {
		for _, r := range rejections {
			if strings.Contains(text, r.part) || strings.Contains(strings.ToLower(text), r.part) {
				b.node.refusals.add(r.reason, text)
				return len(line), nil
			}
		}
		for _, part := range unremarkable {
			if strings.Contains(text, part) {
				level = slog.LevelDebug
			}
		}
	}
	if level >= slog.LevelWarn {
		b.mu.Lock()
		defer b.mu.Unlock()
		if time.Since(b.warned) < quiet {
			b.withheld++
			return len(line), nil
		}
		b.node.log.Warn("gossip: "+text, "withheld", b.withheld)
		b.warned, b.withheld = time.Now(), 0
		return len(line), nil
	}
	if b.node.log.Enabled(context.Background(), slog.LevelDebug) {
		b.node.log.Debug("gossip: " + text)
	}
	return len(line), nil
}

// parseLine takes "[LEVEL] memberlist: text" apart.
func parseLine(line string) (slog.Level, string) {
	level := slog.LevelWarn
	text := strings.TrimSpace(line)
	if end := strings.Index(text, "] "); strings.HasPrefix(text, "[") && end > 0 {
		switch text[1:end] {
		case "DEBUG", "INFO":
			level = slog.LevelDebug
		}
		text = text[end+2:]
	}
	return level, strings.TrimPrefix(text, "memberlist: ")
}
