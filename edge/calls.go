package edge

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync/atomic"

	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/exhook"
	"github.com/mqedge/mqedge/exhook/carrier"
	"github.com/mqedge/mqedge/exhook/hook"
	"github.com/mqedge/mqedge/proxy"
	"github.com/mqedge/mqedge/proxy/relay"
)

// calls is what serves the gRPC calls of an upstream. Connections, and what is
// known of providers, go on over a reload.
type calls struct {
	carrier *carrier.Carrier                  // nil until commit
	certs   atomic.Pointer[certs.ClientStore] // those of the generation in force; nil = plain TCP
	aware   bool                              // of hooks
	run     *task
}

// Add implements [proxy.Calls].
func (c *calls) Add(client net.Conn, counters *relay.Counters, done func(relay.Result)) (relay.Pair, error) {
	return c.carrier.Add(client, counters, done)
}

// getsCalls reports whether the listeners that lead to the upstream take gRPC.
func getsCalls(c *configs.Config, upstream string) bool {
	for _, l := range c.Listeners {
		if l.Upstream == upstream {
			return l.Protocol == string(proxy.GRPC)
		}
	}
	return false
}

// prepareCalls returns what serves the upstream: what did before, unless it knows
// hooks now and did not, or the other way round.
func (e *Edge) prepareCalls(name string, u *configs.Upstream) *calls {
	if c := e.calls[name]; c != nil && c.aware == (u.ExHook != nil) {
		return c
	}
	return &calls{aware: u.ExHook != nil}
}

// beginCalls puts the upstream's settings in force.
func (e *Edge) beginCalls(name string, up *upstream, u *configs.Upstream) {
	c := up.calls
	if c == nil {
		return
	}
	c.certs.Store(up.certs)
	s := callSettings(u, c.certs.Load)
	if before := e.calls[name]; before != c {
		e.endCalls(before)
		e.calls[name] = c
	}
	if c.run != nil {
		c.carrier.Configure(s)
		return
	}
	c.carrier = carrier.New(e.relay, e.nextLoop(), exhook.Options{
		Name: name, Pool: up.pool, Logger: e.log, State: e.inherited.upstream(name).Hooks, Settings: s,
	})
	c.run = start(c.carrier.Run)
}

// nextLoop spreads upstreams of calls over the loops.
func (e *Edge) nextLoop() int {
	e.callLoops++
	return e.callLoops - 1
}

// retireCalls ends what no upstream of g has any more.
func (e *Edge) retireCalls(g *generation) {
	for name, c := range e.calls {
		if up := g.upstreams[name]; up == nil || up.calls != c {
			delete(e.calls, name)
			e.endCalls(c)
		}
	}
}

// endCalls lets the calls under way, and what was answered early, end within the
// time of a drain.
func (e *Edge) endCalls(c *calls) {
	if c == nil {
		return
	}
	deadline := e.current.Load().config.Drain.Deadline
	e.lingering.Add(1)
	go func() {
		defer e.lingering.Done()
		ctx, cancel := context.WithTimeout(e.living, deadline)
		defer cancel()
		if c.carrier.Leave(ctx) != nil {
			e.log.Warn("an upstream of calls that is gone did not fall idle in time")
		}
		c.run.stop()
	}()
}

func (c *calls) stop() {
	if c != nil {
		c.run.stop()
	}
}

// drainCalls waits until what was answered early is delivered, or ctx ends.
func (e *Edge) drainCalls(ctx context.Context, g *generation) {
	for name, up := range g.upstreams {
		if up.calls != nil && up.calls.carrier.Drain(ctx) != nil {
			e.log.Warn("drain.deadline reached with notifications left that were answered early", "upstream", name)
		}
	}
}

// callSettings turns the words of a configuration into an upstream's settings.
func callSettings(u *configs.Upstream, store func() *certs.ClientStore) exhook.Settings {
	keepAlive := net.KeepAliveConfig{Enable: u.TCP.KeepAlive > 0, Idle: u.TCP.KeepAlive}
	secure := u.TLS != nil
	s := exhook.Settings{
		TLS: secure, HashHeader: u.HashMetadata, Retries: max(u.Tries-1, 0),
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			var config func(string) *tls.Config
			if secure {
				config = func(host string) *tls.Config { return store().ClientConfig(host) }
			}
			return carrier.Dial(ctx, addr, keepAlive, config)
		},
	}
	if u.ExHook != nil {
		s.Retries, s.Hooks = u.ExHook.Retries, hooks(u.ExHook)
	}
	return s
}

func hooks(x *configs.ExHook) *exhook.Hooks {
	h := &exhook.Hooks{
		StateFile: x.StateFile, Timeout: x.Timeout, HedgeAfter: x.HedgeAfter, EarlyAckQueue: x.EarlyAckQueue,
		Limits: exhook.Limits{Deciding: x.InFlight.Deciding, Publish: x.InFlight.Publish, Notifying: x.InFlight.Notifying},
		OnFailure: map[hook.Hook]hook.Fallback{
			hook.ClientAuthenticate: fallback(hook.ClientAuthenticate, x.OnFailure.Authenticate),
			hook.ClientAuthorize:    fallback(hook.ClientAuthorize, x.OnFailure.Authorize),
			hook.MessagePublish:     fallback(hook.MessagePublish, x.OnFailure.Publish),
		},
	}
	h.Configured = specs(x)
	for _, name := range x.EarlyAck {
		if named, ok := hook.Named(hook.V3, name); ok {
			h.EarlyAck = append(h.EarlyAck, named)
		}
	}
	switch x.CallAs {
	case "v2":
		h.CallAs = hook.V2
	case "v3":
		h.CallAs = hook.V3
	}
	return h
}

func specs(x *configs.ExHook) []hook.Spec {
	var list []hook.Spec
	for _, spec := range x.Hooks {
		list = append(list, hook.Spec{Name: spec.Name, Topics: slices.Clone(spec.Topics)})
	}
	return list
}

// fallback is of a word that configs has checked.
func fallback(h hook.Hook, word string) hook.Fallback {
	f, err := hook.ParseFallback(h, word)
	if err != nil {
		return hook.Error
	}
	return f
}
