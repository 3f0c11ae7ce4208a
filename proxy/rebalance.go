package proxy

import (
	"context"
	"slices"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

// Rebalancing says how the endpoints of a pool become even again after one of
// them was away.
type Rebalancing struct {
	PerSecond int    // clients parted with, over all endpoints; more than 0
	Threshold int    // percent above its fair share up to which an endpoint keeps its clients
	HashKey   string // as in [Route]
}

const (
	// rebalancePeriod is the time between two looks: enough for clients to come
	// back and be counted where they are then.
	rebalancePeriod = 5 * time.Second
	// rebalanceRest is what it grows to while a look finds nobody who would go
	// elsewhere, since it goes through all connections.
	rebalanceRest = time.Minute
)

// Rebalance parts with clients of those endpoints of p that have more than their
// share, until ctx ends; they come back and are balanced anew. See
// [balancer.Pool.Surplus] for what a share is, and when nobody has too much.
func Rebalance(ctx context.Context, listeners func() []*Listener, p *balancer.Pool, r Rebalancing) {
	period := rebalancePeriod
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(period):
		}
		surplus := p.Surplus(r.Threshold)
		if len(surplus) == 0 {
			period = rebalancePeriod
			continue
		}
		victims := r.choose(all(listeners()), p, surplus)
		if len(victims) == 0 {
			period = min(2*period, rebalanceRest)
			continue
		}
		period = rebalancePeriod
		r.shed(ctx, p, victims)
	}
}

// shed parts with the victims, as long as there is where they can go.
func (r Rebalancing) shed(ctx context.Context, p *balancer.Pool, victims []*conn) {
	over := time.Duration(len(victims)) * time.Second / time.Duration(r.PerSecond)
	evenly(ctx, victims, over, spread, func() bool { return len(p.Surplus(0)) == 0 })
}

// choose returns whom to part with until the next look: of each endpoint at most
// as many as it has too many, those without a session to lose first, and of these
// the newest.
func (r Rebalancing) choose(conns []*conn, p *balancer.Pool, surplus map[string]int) []*conn {
	candidates := slices.DeleteFunc(conns, func(c *conn) bool { return !c.misplaced(p, r.HashKey, surplus) })
	slices.SortFunc(candidates, func(a, b *conn) int {
		switch {
		case a.greeting.cleanStart == b.greeting.cleanStart:
			return b.since().Compare(a.since())
		case a.greeting.cleanStart:
			return -1
		}
		return 1
	})
	most := r.PerSecond * int(rebalancePeriod/time.Second)
	var victims []*conn
	for _, c := range candidates {
		addr := c.lease.Addr()
		if len(victims) == most {
			break
		}
		if surplus[addr] > 0 {
			surplus[addr]--
			victims = append(victims, c)
		}
	}
	return victims
}

// misplaced reports whether the connection is served by an endpoint of p that has
// too many, and would go elsewhere now. What it reads stays as it is from then on.
func (c *conn) misplaced(p *balancer.Pool, hashKey string, surplus map[string]int) bool {
	c.mu.Lock()
	served := c.pair != nil
	c.mu.Unlock()
	if !served {
		return false
	}
	addr := c.lease.Addr()
	return surplus[addr] > 0 && c.lease.To(p, addr) && p.Misplaced(&c.lease, c.key(hashKey))
}
