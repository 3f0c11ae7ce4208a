package edge

import (
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/exhook"
	"github.com/mqedge/mqedge/exhook/hook"
)

// describe adds what is known of providers and EMQX nodes to an upstream that the
// pool has described.
func (c *calls) describe(u *admin.Upstream) {
	s := c.carrier.Status()
	for i := range u.Endpoints {
		ep := &u.Endpoints[i]
		for _, p := range s.Providers {
			if p.Address == ep.Address {
				describeProvider(ep, p)
			}
		}
	}
	if !c.aware {
		return
	}
	x := &admin.ExHook{Waiting: s.Waiting, EarlyWaiting: s.EarlyWaiting}
	for _, n := range s.Nodes {
		x.Nodes = append(x.Nodes, admin.Node{Name: n.Node, Version: n.Version, Cluster: n.Cluster, Protocol: n.Protocol, Calls: n.Calls})
	}
	for _, d := range s.Drift {
		x.Drift = append(x.Drift, admin.Drift{Node: d.Node, Unknown: d.Unknown, Unserved: d.Unserved})
	}
	x.Hooks = describeHooks(c.carrier.Stats(), s.Providers)
	u.ExHook = x
}

// describeHooks lists the hooks that were called or that a provider registered, in the order of their names.
func describeHooks(s exhook.Stats, providers []exhook.ProviderStatus) []admin.Hook {
	byName := make(map[string]*admin.Hook)
	at := func(name string) *admin.Hook {
		if byName[name] == nil {
			byName[name] = &admin.Hook{Name: name}
		}
		return byName[name]
	}
	for _, call := range s.Calls {
		name := call.Method
		if m, ok := hook.ParseMethod("/" + hook.V3.String() + ".HookProvider/" + call.Method); ok {
			name = m.Hook.String()
		}
		h := at(name)
		h.Calls += call.Count
		h.Seconds += call.Seconds
		if call.Code != codes.OK {
			h.Errors += call.Count
		}
	}
	for name, n := range s.Fallbacks {
		at(name).Fallbacks += n
	}
	for name, n := range s.EarlyQueued {
		at(name).EarlyQueued += n
	}
	for name, n := range s.EarlyDropped {
		at(name).EarlyDropped += n
	}
	for _, p := range providers {
		for name := range registered(p.Hooks) {
			at(name).Providers++
		}
	}
	var out []admin.Hook
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, *byName[name])
	}
	return out
}

// registered are the names in EMQX 5 of hooks that are described as "VERSION NAME (TOPICS)".
func registered(described []string) map[string]bool {
	names := make(map[string]bool)
	for _, text := range described {
		version, rest, _ := strings.Cut(text, " ")
		name, _, _ := strings.Cut(rest, " ")
		if v, ok := hook.ParseVersion(version); ok {
			if h, ok := hook.Named(v, name); ok {
				name = h.String()
			}
		}
		names[name] = true
	}
	return names
}

func describeProvider(ep *admin.Endpoint, p exhook.ProviderStatus) {
	ep.Provider = &admin.Provider{
		Connected: p.Connected, Loaded: p.Loaded, Nodes: p.Nodes, Hooks: p.Hooks,
		InFlight: p.InFlight, Calls: p.Calls, Failures: p.Failures, Seconds: p.Seconds,
	}
	ep.Up = ep.Up && p.Connected
	if p.Reason != "" {
		ep.Reason = strings.TrimPrefix(ep.Reason+"; "+p.Reason, "; ")
	}
}
