package edge

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy"
)

// moves are the endpoints that clients are being moved away from. A move survives
// reloads; it ends when its endpoint is empty or enabled again.
type moves struct {
	mu    sync.Mutex // held also while an endpoint is drained or enabled: none that is in use may be moved away from
	tasks map[moving]*task
	ended bool
}

type moving struct {
	pool *balancer.Pool
	addr string
}

// move moves the clients of an endpoint away over a time. A move that goes on
// already begins anew. The caller holds the lock.
func (e *Edge) move(p *balancer.Pool, addr string, over time.Duration) {
	m, key := &e.moves, moving{p, addr}
	if m.ended {
		return
	}
	m.tasks[key].stop()
	maps.DeleteFunc(m.tasks, func(_ moving, t *task) bool { return t.hasEnded() })
	m.tasks[key] = start(func(ctx context.Context) { proxy.Move(ctx, e.all, p, addr, over) })
}

// stop lets the clients stay that are not moved yet. The caller holds the lock.
func (m *moves) stop(p *balancer.Pool, addr string) {
	m.tasks[moving{p, addr}].stop()
	delete(m.tasks, moving{p, addr})
}

// end stops all for good.
func (m *moves) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	for _, t := range m.tasks {
		t.stop()
	}
}
