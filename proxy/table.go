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
	shards [tableShards]shard
}

type shard struct {
	mu   sync.Mutex
	head *conn
	_    [48]byte // a cache line of its own
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
	s.unlink(c)
	s.mu.Unlock()
	t.n.Add(-1)
}

func (t *table) len() int { return int(t.n.Load()) }

// all returns the connections that are live at the moment.
func (t *table) all() []*conn {
	out := make([]*conn, 0, t.len())
	t.each(func(c *conn) bool {
		out = append(out, c)
		return true
	})
	return out
}

// tableBatch is how many connections a walk takes at a time: few enough that
// whoever comes or goes does not notice it.
const tableBatch = 256

// each calls f with the connections that are live at the moment, until it
// returns false. One that comes meanwhile may be left out, and one that goes may
// be shown. No lock is held while f runs.
func (t *table) each(f func(*conn) bool) {
	var some [tableBatch]*conn
	bookmark := new(conn)
	for i := range t.shards {
		s := &t.shards[i]
		for more := true; more; {
			var n int
			n, more = s.take(some[:], bookmark)
			for _, c := range some[:n] {
				if !f(c) {
					s.forget(bookmark)
					return
				}
			}
		}
	}
}

// take fills some with the connections behind the bookmark, or the first ones if
// it is not in the list, and puts it behind them if there are more.
func (s *shard) take(some []*conn, bookmark *conn) (n int, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.head
	if s.has(bookmark) {
		c = bookmark.next
		s.unlink(bookmark)
	}
	for ; c != nil && n < len(some); c = c.next {
		if !c.isBookmark() {
			some[n] = c
			n++
		}
	}
	if c == nil {
		return n, false
	}
	bookmark.prev, bookmark.next = c.prev, c
	c.prev.next = bookmark
	c.prev = bookmark
	return n, true
}

// isBookmark tells the mark of a walk from a connection.
func (c *conn) isBookmark() bool { return c.listener == nil }

// has reports whether c is in the list. The caller holds the lock.
func (s *shard) has(c *conn) bool { return c.prev != nil || s.head == c }

// unlink takes c off the list. The caller holds the lock.
func (s *shard) unlink(c *conn) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		s.head = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
}

// forget ends a walk before its end.
func (s *shard) forget(bookmark *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.has(bookmark) {
		s.unlink(bookmark)
	}
}
