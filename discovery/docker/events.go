package docker

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
)

const mostPending = 4096

// event is a line of the stream. Of more than these, few are of interest.
type event struct {
	Type   string
	Action string
	Actor  struct {
		ID         string
		Attributes map[string]string
	}
}

// change is what events say of one container since it was last looked at.
type change struct {
	labelled bool   // with labels of ours
	away     string // it does not run; "" is not known
	signal   string // that it was sent
}

// pending gathers changes. The reader never waits, since an Engine drops what is not read.
type pending struct {
	wake chan struct{}

	mu       sync.Mutex
	changes  map[string]change
	overflow bool
}

func newPending() *pending {
	return &pending{wake: make(chan struct{}, 1), changes: make(map[string]change)}
}

// take empties it.
func (p *pending) take() (changes map[string]change, overflow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes, overflow = p.changes, p.overflow
	p.changes, p.overflow = make(map[string]change), false
	return changes, overflow
}

// add takes note of an event that matters.
func (p *pending) add(ev event) {
	id, next, matters := ev.change()
	if !matters {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, known := p.changes[id]
	if !known && len(p.changes) >= mostPending {
		p.overflow = true
	} else {
		next.labelled = next.labelled || before.labelled
		if !ev.begins() {
			next.away, next.signal = cmp.Or(next.away, before.away), cmp.Or(next.signal, before.signal)
		}
		p.changes[id] = next
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// begins reports whether a new life begins, in which nothing of the one before counts.
func (ev event) begins() bool { return ev.Type == "container" && ev.Action == "start" }

// change is what the event means for which container. The names are Docker's, and Podman's where they differ.
func (ev event) change() (id string, c change, matters bool) {
	if ev.Type == "network" {
		return ev.Actor.Attributes["container"], c, ev.Actor.Attributes["container"] != "" && (ev.Action == "connect" || ev.Action == "disconnect")
	}
	if ev.Type != "container" || ev.Actor.ID == "" {
		return "", c, false
	}
	c.labelled = labelled(ev.Actor.Attributes)
	action, detail, _ := strings.Cut(ev.Action, ":")
	switch action {
	case "die", "died", "stop":
		c.away = "it has stopped"
	case "destroy", "remove":
		c.away = "it was removed"
	case "pause":
		c.away = "it is paused"
	case "health_status":
		if strings.TrimSpace(detail) == "unhealthy" {
			c.away = "it is unhealthy"
		}
	case "kill":
		c.signal = ev.Actor.Attributes["signal"]
	case "start", "unpause", "rename":
	default:
		return "", c, false
	}
	return ev.Actor.ID, c, true
}

// stream is the Engine's events as they come.
type stream struct{ body io.ReadCloser }

// events begins with what happens after it has returned.
func (e *engine) events(ctx context.Context) (*stream, error) {
	r, err := e.get(ctx, "/events", url.Values{"filters": {`{"type":["container","network"]}`}})
	if err != nil {
		return nil, err
	}
	return &stream{r.Body}, nil
}

func (s *stream) close() { s.body.Close() }

// read hands events over until the stream ends.
func (s *stream) read(p *pending) error {
	lines := bufio.NewScanner(s.body)
	lines.Buffer(make([]byte, 0, 16<<10), longestEvent)
	for lines.Scan() {
		var ev event
		if len(strings.TrimSpace(lines.Text())) == 0 {
			continue
		}
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			return fmt.Errorf("the Engine's events are not understood: %w", err)
		}
		p.add(ev)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return errCut
}
