package docker

import (
	"context"
	"sync"
)

const looksAtOnce = 8

// look is what inspecting a container found.
type look struct {
	id      string
	details details
	target  *details // whose network it uses, if not its own
	err     error
}

// looks are inspections under way. One that hangs, as that of a container may that is being stopped or removed, holds up no
// other. All but done is of one goroutine.
type looks struct {
	done chan look

	ctx     context.Context
	look    func(context.Context, string) look
	running int
	queue   []string
	under   map[string]bool // queued or running; true means that something happened to it since
	all     sync.WaitGroup
}

func newLooks(ctx context.Context, one func(context.Context, string) look) *looks {
	return &looks{done: make(chan look), ctx: ctx, look: one, under: make(map[string]bool)}
}

// begin looks at a container, and once more if that is under way: what it finds may be old.
func (l *looks) begin(id string) {
	if _, under := l.under[id]; under {
		l.under[id] = true
		return
	}
	l.under[id] = false
	l.queue = append(l.queue, id)
	l.next()
}

func (l *looks) next() {
	for l.running < looksAtOnce && len(l.queue) > 0 {
		id := l.queue[0]
		l.queue = l.queue[1:]
		l.under[id] = false
		l.running++
		l.all.Go(func() {
			r := l.look(l.ctx, id)
			select {
			case l.done <- r:
			case <-l.ctx.Done():
			}
		})
	}
}

// ended is for what came from done; false means that it is old, and is being looked at once more.
func (l *looks) ended(r look) bool {
	l.running--
	old := l.under[r.id]
	delete(l.under, r.id)
	if old {
		l.begin(r.id)
	}
	l.next()
	return !old
}

func (l *looks) idle() bool { return len(l.under) == 0 }

// wait is for after ctx has ended.
func (l *looks) wait() { l.all.Wait() }
