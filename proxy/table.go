package proxy

import (
	"sync"
	"sync/atomic"
)

// tableShards keeps connections that come and go at once on different cores
// from waiting for one lock.
const tableShards = 16

// table is the live connections of a listener.
type table struct {
	n      atomic.Int64
	shards [tableShards]struct {
		mu    sync.Mutex
		conns map[*conn]struct{}
		_     [40]byte // a cache line of its own
	}
}

func (t *table) add(c *conn) {
	s := &t.shards[c.id%tableShards]
	s.mu.Lock()
	if s.conns == nil {
		s.conns = make(map[*conn]struct{})
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	t.n.Add(1)
}

func (t *table) remove(c *conn) {
	s := &t.shards[c.id%tableShards]
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	t.n.Add(-1)
}

func (t *table) len() int { return int(t.n.Load()) }

// all returns the connections that are live at the moment.
func (t *table) all() []*conn {
	out := make([]*conn, 0, t.len())
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for c := range s.conns {
			out = append(out, c)
		}
		s.mu.Unlock()
	}
	return out
}
