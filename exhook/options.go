package exhook

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// Loop runs one group: everything that concerns it, one event at a time.
type Loop interface {
	// Do runs f among the group's events, and then sends what came of it. It may wait for f or not. It is false, and f is
	// dropped, when the loop has ended. It is never called from within the group.
	Do(f func(*grpcrelay.Group)) bool
	// AddProvider takes a dialled connection over, calls begun in the group, and carries the connection until it ends. It may
	// return at once or when the connection has ended. With an error begun was not called, and nc is closed.
	AddProvider(nc net.Conn, o grpcrelay.ProviderOptions, begun func(*grpcrelay.Provider)) error
}

// Options are what an upstream is made of. Settings may change later.
type Options struct {
	Name   string // for people
	Pool   *balancer.Pool
	Logger *slog.Logger // nil: none
	// State is what [Upstream.State] of the process before said; it counts in place of the state file. Nil: there was none.
	State []byte
	Settings
}

// Settings may be replaced while the upstream lives, by [Upstream.Configure]; but Hooks must stay nil, or not nil.
type Settings struct {
	// Dial connects to an endpoint. It is given 5 s.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	TLS  bool // what Dial returns is TLS, for the scheme that providers are told
	// HashHeader names the metadata field (lower case) by which calls that are no hooks are kept together, for pools that hash.
	HashHeader string
	// Retries is how many other providers are tried.
	Retries int
	// Hooks makes the upstream know ExHook. Nil: all calls are alike.
	Hooks *Hooks
}

// Hooks say how ExHook's calls are treated. The zero value is a good start.
type Hooks struct {
	// Configured are always part of what EMQX is answered to OnProviderLoaded, as hook.CheckSpecs finds them right.
	Configured []hook.Spec
	// StateFile is where the last merged answer and the EMQX nodes survive a restart. "": nowhere.
	StateFile string
	// Timeout bounds a call. 0: what EMQX's own leaves, less a margin.
	Timeout time.Duration
	// HedgeAfter is when a second provider is asked too, for authenticate and authorize only. 0: never.
	HedgeAfter time.Duration
	// OnFailure is what to answer when no provider did, as hook.ParseFallback allows it.
	OnFailure map[hook.Hook]hook.Fallback
	// EarlyAck names the notifications that are answered before they are delivered, EarlyAckQueue how many may wait for that: 65536.
	EarlyAck      []hook.Hook
	EarlyAckQueue int
	// CallAs has providers called in this version, where that is possible: see hook.Method.In. 0: as EMQX calls.
	CallAs hook.Version
	Limits Limits
}

// Limits keep a flood of one class of calls from starving the others. Of what a provider takes at once (its
// MAX_CONCURRENT_STREAMS) a quarter is left to deciding calls, too.
type Limits struct {
	// Deciding (authenticate, authorize), Publish (message.publish) and Notifying (the rest) are how many calls of a class
	// each provider may have at a time. 1024, 512, 512.
	Deciding, Publish, Notifying int
	// Waiting is how many calls of each class may wait for room. 16384.
	Waiting int
}

func (l Limits) withDefaults() Limits {
	set(&l.Deciding, 1024)
	set(&l.Publish, 512)
	set(&l.Notifying, 512)
	set(&l.Waiting, 16384)
	return l
}

func set(p *int, value int) {
	if *p <= 0 {
		*p = value
	}
}

const (
	// margin is how long before EMQX's deadline, which begins before its request is sent, a call ends: at most a tenth of it.
	margin      = 250 * time.Millisecond
	dialTimeout = 5 * time.Second
	// loadTimeout is for OnProviderLoaded and OnProviderUnloaded, as we send them to a provider.
	loadTimeout = 5 * time.Second
	// patience is how long a call that only a provider takes which is not there waits for it, from the time that it was
	// lost, and how long EMQX's OnProviderLoaded waits for providers when there is an answer without them.
	patience = time.Second
	// leftFor is how long calls may still come from a node that sent OnProviderUnloaded.
	leftFor = 10 * time.Second
	// earlyTimeout bounds one attempt to deliver a notification that EMQX was answered before.
	earlyTimeout = 5 * time.Second
	tickEvery    = 100 * time.Millisecond
)

// rules are settings made ready for every call.
type rules struct {
	Settings
	timeout   time.Duration
	hedge     time.Duration
	callAs    hook.Version
	onFailure [hookSlots]hook.Fallback
	early     [hookSlots]bool
	earlyMost int
	limits    [classes]int
	waiting   int
	specs     []hook.Spec
	stateFile string
}

// hookSlots is more than there are hooks.
const hookSlots = 32

func newRules(s Settings) *rules {
	r := &rules{Settings: s, waiting: Limits{}.withDefaults().Waiting}
	r.Retries = max(r.Retries, 0)
	h := s.Hooks
	if h == nil {
		return r
	}
	limits := h.Limits.withDefaults()
	r.timeout, r.hedge, r.callAs = h.Timeout, h.HedgeAfter, h.CallAs
	r.waiting, r.earlyMost, r.specs, r.stateFile = limits.Waiting, h.EarlyAckQueue, h.Configured, h.StateFile
	set(&r.earlyMost, 65536)
	r.limits = [classes]int{deciding: limits.Deciding, publish: limits.Publish, notifying: limits.Notifying}
	for name, f := range h.OnFailure {
		r.onFailure[name] = f
	}
	for _, name := range h.EarlyAck {
		r.early[name] = name.Class() == hook.Notifying
	}
	return r
}

// as is the version in which providers get the calls of a method.
func (r *rules) as(m hook.Method) hook.Version {
	if r.callAs != 0 {
		if _, ok := m.In(r.callAs); ok {
			return r.callAs
		}
	}
	return m.Version
}

// class is what limits are for.
type class uint8

const (
	deciding class = iota
	publish
	notifying
	general // no hook: without a limit

	classes
)

func classOf(h hook.Hook) class {
	switch {
	case h == hook.None:
		return general
	case h == hook.MessagePublish:
		return publish
	case h.Class() == hook.Deciding:
		return deciding
	}
	return notifying
}
