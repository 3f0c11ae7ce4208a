package edge

import (
	"context"
	"time"

	"github.com/mqedge/mqedge/proxy"
)

// lastCloses is how long closed connections may take to be gone: a second for
// the write they are in, and some for a busy host.
const lastCloses = 5 * time.Second

// settleWithin is how long clients may take to say who they are that came in the last moment before an upgrade.
const settleWithin = 5 * time.Second

// drain takes leave of the clients as the drain section says. It returns when
// no connection is left, at the deadline, or when stop ends.
func (e *Edge) drain(stop context.Context) {
	e.leaving.Lock() // the new process of an upgrade is given way to before, or not at all
	e.draining.Store(true)
	e.leaving.Unlock()
	e.mu.Lock() // a reload under way is waited for; no other begins
	defer e.mu.Unlock()
	g := e.current.Load()
	d := g.config.Drain
	for _, up := range g.upstreams {
		up.rebalance.stop() // nobody can come back
	}
	all := e.all()
	e.log.Info("draining", "connections", active(all), "delay", d.Delay.String(), "over", d.Over.String(), "deadline", d.Deadline.String())
	if !e.Succeeded() { // else nobody has to notice: new connections go to the next process
		wait(stop, d.Delay)
	}
	e.closeSockets(g)
	ctx, cancel := context.WithTimeout(stop, d.Deadline)
	defer cancel()
	if e.Succeeded() {
		e.serveLast(ctx, all)
	}
	proxy.Drain(ctx, all, d.Over)
	if !e.waitForConnections(ctx, all) && stop.Err() == nil {
		e.log.Warn("drain.deadline reached", "connections", active(all))
	}
	e.drainCalls(ctx, g)
	if e.Succeeded() {
		return
	}
	if err := g.gossip.leave(stop); err != nil {
		e.log.Warn("the farewell may not have been heard by other members", "error", err)
	}
}

// serveLast lets clients be served that came while the next process served already: it would not have refused them.
func (e *Edge) serveLast(ctx context.Context, all []*proxy.Listener) {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	proxy.Settle(ctx, all)
}

// waitForConnections reports whether all connections ended before ctx did.
func (e *Edge) waitForConnections(ctx context.Context, all []*proxy.Listener) bool {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for _, l := range all {
			l.Wait()
		}
	}()
	select {
	case <-gone:
		return true
	case <-ctx.Done():
		return false
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func active(listeners []*proxy.Listener) int {
	n := 0
	for _, l := range listeners {
		n += l.Stats().Active
	}
	return n
}

func (e *Edge) closeSockets(g *generation) {
	for addr, s := range g.sockets {
		s.Close()
		s.serve.stop()
		delete(g.sockets, addr)
	}
}

// shutDown ends everything that is still going, the connections at once.
func (e *Edge) shutDown() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.draining.Store(true)
	g := e.current.Load()
	e.closeSockets(g)
	e.moves.end()
	all := e.all()
	proxy.CloseAll(all, proxy.ReasonShutdown)
	ctx, cancel := context.WithTimeout(context.Background(), lastCloses)
	defer cancel()
	e.waitForConnections(ctx, all)
	for _, l := range g.listeners {
		l.watch.stop()
	}
	for _, up := range g.upstreams {
		up.watch.stop()
		up.feed.stop()
		up.check.stop()
		up.rebalance.stop()
		up.calls.stop()
	}
	g.gossip.stop()
	e.end()
	if g.admin != nil && !e.Succeeded() { // else that is under way
		g.admin.stop()
	}
	if g.accessLog != nil {
		g.accessLog.write.stop()
	}
	e.log.Info("stopped")
}
