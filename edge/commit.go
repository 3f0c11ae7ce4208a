package edge

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy"
	"github.com/mqedge/mqedge/proxy/ports"
)

// overlap is how long what a reload replaced lives on beside its successor: the
// access log for connections that are just ending, the admin address for the
// request that asked for the reload.
const overlap = time.Second

// commit puts g in force in place of old. It cannot fail.
func (e *Edge) commit(g, old *generation) {
	e.logHandler.use(e.logWriter, g.config.Log)
	available := ports.Available()
	e.beginGossip(g, old)
	for name, up := range g.upstreams {
		e.pools[name], e.sources[name] = up.pool, up.sources
		up.sources.Configure(up.addresses, available)
		up.pool.Configure(up.options)
		e.beginFeed(name, g, old.upstreams[name])
		up.pool.Adopt(e.inherited.upstream(name).Standings, up.check != nil)
		up.beginCheck(old.upstreams[name])
		e.beginRebalance(up, old.upstreams[name])
		e.beginCalls(name, up, g.config.Upstreams[name])
		if up.certs != nil {
			up.watch = start(func(ctx context.Context) { up.certs.Run(ctx) })
		}
	}
	if g.accessLog.write == nil && g.accessLog.Log != nil {
		g.accessLog.write = start(g.accessLog.Run)
	}
	g.departed = e.departed(old, g)
	for _, l := range g.departed {
		l.LogTo(g.accessLog.Log)
	}
	for _, l := range g.listeners {
		if l.certs != nil {
			l.certs.Tend()
			l.watch = start(func(ctx context.Context) { l.certs.Run(ctx) })
		}
		l.proxy.Configure(l.settings)
		l.proxy.LogTo(g.accessLog.Log)
		for _, s := range l.sockets {
			s.Assign(l.proxy)
			if s.serve == nil {
				s.serve = start(func(context.Context) { s.Serve() })
			}
		}
	}
	if g.admin != nil && g.admin.serve == nil {
		g.admin.start(e)
	}
	e.current.Store(g)
	e.settleNow()
	e.beginSharing(g.gossip)
	e.retire(old, g)
	e.retireCalls(g)
}

// retire ends what old had and g does not use. Connections of listeners that
// are gone live on until they end by themselves.
func (e *Edge) retire(old, g *generation) {
	kept := slices.Collect(maps.Values(g.sockets))
	for _, s := range old.sockets {
		if !slices.Contains(kept, s) {
			s.Close()
			s.serve.stop()
		}
	}
	for _, l := range old.listeners {
		l.watch.stop()
	}
	maps.DeleteFunc(e.pools, func(name string, p *balancer.Pool) bool { return g.upstreams[name] == nil && idle(p) })
	maps.DeleteFunc(e.sources, func(name string, _ *ports.Set) bool { return e.pools[name] == nil })
	for name, up := range old.upstreams {
		up.watch.stop()
		if g.upstreams[name] == nil {
			up.feed.stop()
			up.check.stop()
			up.rebalance.stop()
		}
	}
	if old.accessLog != nil && old.accessLog != g.accessLog {
		e.linger(func() { old.accessLog.write.stop() })
	}
	if old.admin != nil && old.admin != g.admin {
		// Not waited for: the request that asked for this reload may be its own.
		e.linger(old.admin.stop)
	}
}

// departed returns the listeners that g has no more and that may have
// connections. One that just went is kept a generation longer, for a connection
// may have been accepted for it at this moment.
func (e *Edge) departed(old, g *generation) []*proxy.Listener {
	var out []*proxy.Listener
	for _, l := range old.departed {
		if g.listeners[l.Name()] == nil && l.Stats().Active > 0 {
			out = append(out, l)
		}
	}
	for name, l := range old.listeners {
		if g.listeners[name] == nil {
			e.proxyMetrics.Forget(name)
			out = append(out, l.proxy)
		}
	}
	return out
}

// idle reports whether nobody is connected through p.
func idle(p *balancer.Pool) bool {
	for _, ep := range p.Status().Endpoints {
		if ep.Connections > 0 {
			return false
		}
	}
	return true
}

// linger does something a little later, at the latest when the edge ends.
func (e *Edge) linger(f func()) {
	e.lingering.Add(1)
	go func() {
		defer e.lingering.Done()
		select {
		case <-time.After(overlap):
		case <-e.living.Done():
		}
		f()
	}()
}

func (e *Edge) loopStalled(loop int, since time.Duration) {
	e.stalls.Inc()
	e.log.Error("an event loop is stuck, and its connections with it", "loop", loop, "since", since.String())
}

func (e *Edge) endpointChanged(c balancer.Change) {
	if c.Up {
		e.log.Info("endpoint is back", "upstream", c.Upstream, "endpoint", c.Address, "reason", c.Reason)
		return
	}
	e.log.Warn("endpoint is out of use", "upstream", c.Upstream, "endpoint", c.Address, "reason", c.Reason)
}
