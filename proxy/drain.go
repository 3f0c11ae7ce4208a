package proxy

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

const (
	// drainStep is the least time between two looks at how many are due.
	drainStep = 10 * time.Millisecond
	// stragglers is the time between two looks for connections that were on their
	// way to an endpoint when it was drained.
	stragglers = time.Second
	// settleStep is the time between two looks for connections that are not served
	// yet.
	settleStep = 50 * time.Millisecond
)

// Settle waits until all connections of the listeners are served, or gone, or ctx
// ends. None may be accepted any more. It is for clients that came to this process
// by chance and that another would have served.
func Settle(ctx context.Context, listeners []*Listener) {
	t := time.NewTicker(settleStep)
	defer t.Stop()
	for anyUnserved(listeners) {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func anyUnserved(listeners []*Listener) bool {
	found := false
	for _, l := range listeners {
		l.conns.each(func(c *conn) bool {
			c.mu.Lock()
			found = c.pair == nil
			c.mu.Unlock()
			return !found
		})
		if found {
			return true
		}
	}
	return false
}

// Drain parts with all live connections of the listeners because the process
// ends, spread evenly over the time given, so that their clients do not all come
// back at once; those in an unfinished QoS 2 exchange have until the end of it.
// It returns early when ctx ends or none is left. Clients that are not served yet
// are refused once they have said who they are, and closed at the end.
func Drain(ctx context.Context, listeners []*Listener, over time.Duration) {
	evenly(ctx, shuffled(all(listeners)), over, shuttingDown, func() bool { return live(listeners) == 0 })
	if ctx.Err() != nil {
		return
	}
	last := shuttingDown
	last.atOnce = true
	for _, c := range all(listeners) {
		c.leave(last, 0)
	}
}

// Move parts with all connections of the listeners to the endpoint at addr of p,
// spread evenly over the time given. No new ones may come: see
// [balancer.Pool.SetDrains]. Those that were on their way meanwhile are parted
// with at the end. It returns when none is left, or when ctx ends.
func Move(ctx context.Context, listeners func() []*Listener, p *balancer.Pool, addr string, over time.Duration) {
	done := func() bool { return p.Connections(addr) == 0 }
	evenly(ctx, shuffled(using(listeners(), p, addr)), over, moved, done)
	t := time.NewTicker(stragglers)
	defer t.Stop()
	for ctx.Err() == nil && !done() {
		for _, c := range using(listeners(), p, addr) {
			c.leave(moved, 0)
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// evenly parts with the victims, in their order, spread over the time given, and
// takes them off the list. It returns early when ctx ends or nothing is left to do.
func evenly(ctx context.Context, victims []*conn, over time.Duration, f farewell, done func() bool) {
	start := time.Now()
	t := time.NewTicker(drainStep)
	defer t.Stop()
	for told := 0; !done(); {
		elapsed := time.Since(start)
		if elapsed >= over {
			return
		}
		share := float64(elapsed) / float64(over)
		for due := min(1+int(share*float64(len(victims))), len(victims)); told < due; told++ {
			victims[told].leave(f, over-elapsed)
			victims[told] = nil // it ends, and this may take hours
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// CloseAll closes the live connections of the listeners at once.
func CloseAll(listeners []*Listener, reason string) {
	for _, c := range all(listeners) {
		c.close(reason)
	}
}

func all(listeners []*Listener) []*conn {
	var out []*conn
	for _, l := range listeners {
		out = append(out, l.conns.all()...)
	}
	return out
}

func using(listeners []*Listener, p *balancer.Pool, addr string) []*conn {
	var out []*conn
	for _, c := range all(listeners) {
		if c.uses(p, addr) {
			out = append(out, c)
		}
	}
	return out
}

func shuffled(conns []*conn) []*conn {
	rand.Shuffle(len(conns), func(i, j int) { conns[i], conns[j] = conns[j], conns[i] })
	return conns
}

func live(listeners []*Listener) int {
	n := 0
	for _, l := range listeners {
		n += l.conns.len()
	}
	return n
}
