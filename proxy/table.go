package proxy

import (
	"sync"
	"sync/atomic"
)

// tableShards keeps connections that come and go at once on different cores
// from waiting for one lock.
const tableShards = 16

// table is the live connections of a listener: lists through the connections
// themselves, since a map costs a hundred bytes for each.
type table struct {
	n      atomic.Int64
	shards [tableShards]struct {
		mu   sync.Mutex
		head *conn
		_    [48]byte // a cache line of its own
	}
}

func (t *table) add(c *conn) {
	s := &t.shards[c.id%tableShards]
	s.mu.Lock()
	c.next = s.head
	if s.head != nil {
		s.head.prev = c
	}
	s.head = c
	s.mu.Unlock()
	t.n.Add(1)
}

func (t *table) remove(c *conn) {
	s := &t.shards[c.id%tableShards]
	s.mu.Lock()
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
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
		for c := s.head; c != nil; c = c.next {
			out = append(out, c)
		}
		s.mu.Unlock()
	}
	return out
}
