package edge

import (
	"strings"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/exhook"
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
	u.ExHook = x
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
