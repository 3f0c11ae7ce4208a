package proxy

import (
	"sync"
	"sync/atomic"
	"testing"
)

// newTable holds connections with the ids from 1 to n.
func newTable(n int) (*table, []*conn) {
	t, l := new(table), new(Listener)
	conns := make([]*conn, n)
	for i := range conns {
		conns[i] = &conn{listener: l, id: uint64(i + 1)}
		t.add(conns[i])
	}
	return t, conns
}

func TestAWalkMeetsEachConnectionOnce(t *testing.T) {
	for _, n := range []int{0, 1, tableShards, tableShards * tableBatch, tableShards*tableBatch + 1, 3*tableShards*tableBatch + 7} {
		table, _ := newTable(n)
		met := make(map[uint64]int)
		table.each(func(c *conn) bool {
			met[c.id]++
			return true
		})
		for id, times := range met {
			if times != 1 {
				t.Errorf("of %d: %d was met %d times", n, id, times)
			}
		}
		if len(met) != n || len(table.all()) != n {
			t.Errorf("of %d: %d were met, and all returned %d", n, len(met), len(table.all()))
		}
	}
}

func TestAWalkMissesNobodyWhoStaysWhileOthersComeAndGo(t *testing.T) {
	const n = 3 * tableShards * tableBatch
	table, conns := newTable(n)
	var stop atomic.Bool
	var churn, walks sync.WaitGroup
	for part := range 2 {
		churn.Go(func() { // every third of its part goes and comes
			for i := part; !stop.Load(); i = (i + 2) % n {
				if i%3 == 0 {
					table.remove(conns[i])
					table.add(conns[i])
				}
			}
		})
	}
	for range 3 {
		walks.Go(func() {
			for range 5 {
				met := make(map[uint64]bool)
				table.each(func(c *conn) bool {
					met[c.id] = true
					return c.id != 0 // the place of another walk
				})
				for i, c := range conns {
					if i%3 != 0 && !met[c.id] {
						t.Errorf("%d was not met", c.id)
						return
					}
				}
			}
		})
	}
	walks.Wait()
	stop.Store(true)
	churn.Wait()
	if got := len(table.all()); got != n || table.len() != n {
		t.Errorf("%d connections are left, the count says %d", got, table.len())
	}
}

func TestAWalkThatIsGivenUpLeavesNothingInTheTable(t *testing.T) {
	table, conns := newTable(2*tableShards*tableBatch + 1)
	met := 0
	table.each(func(*conn) bool {
		met++
		return met < 2
	})
	if met != 2 {
		t.Errorf("%d were met", met)
	}
	for _, c := range conns {
		table.remove(c)
	}
	for i := range table.shards {
		if table.shards[i].head != nil {
			t.Errorf("something is left in shard %d", i)
		}
	}
}

func TestAWalkGoesOnWhenAllAroundItGoAway(t *testing.T) {
	table, conns := newTable(3 * tableShards * tableBatch)
	met := 0
	table.each(func(*conn) bool {
		if met++; met == 1 {
			for _, c := range conns {
				table.remove(c)
			}
		}
		return true
	})
	if met != tableBatch { // those that it had taken note of
		t.Errorf("%d were met", met)
	}
}

func BenchmarkFindingOneOfAMillion(b *testing.B) {
	table, _ := newTable(1_000_000)
	for b.Loop() {
		table.each(func(c *conn) bool { return !c.matches(Filter{ClientID: "nobody"}) })
	}
}
