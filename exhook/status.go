package exhook

import (
	"fmt"
	"strings"
	"time"

	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// Status is an upstream as people and machines read it, at most 100 ms old. It must not be changed.
type Status struct {
	Name         string           `json:"name"`
	Providers    []ProviderStatus `json:"providers"`
	Nodes        []NodeStatus     `json:"nodes"`
	Drift        []DriftStatus    `json:"drift"`
	Waiting      int              `json:"waiting"`       // calls that wait for a provider
	EarlyWaiting int              `json:"early_waiting"` // notifications that are answered and not delivered yet

	Relay grpcrelay.Stats `json:"-"` // what was wrong with connections and calls of clients
}

// ProviderStatus is one provider.
type ProviderStatus struct {
	Address   string   `json:"address"`
	Connected bool     `json:"connected"`
	Loaded    bool     `json:"loaded"` // it has answered OnProviderLoaded of all nodes
	Nodes     []string `json:"nodes"`  // whose OnProviderLoaded it has answered
	Hooks     []string `json:"hooks"`  // that it registered
	InFlight  int      `json:"in_flight"`
	Calls     uint64   `json:"calls"`
	Failures  uint64   `json:"failures"`
	Seconds   float64  `json:"seconds"` // what its answers take, averaged over the latest
	Reason    string   `json:"reason"`  // why it gets no calls, or not all; beside what the pool says
}

// NodeStatus is one EMQX node.
type NodeStatus struct {
	Node     string `json:"node"`
	Version  string `json:"version"`
	Cluster  string `json:"cluster"`
	Protocol string `json:"protocol"`
	Calls    uint64 `json:"calls"`
}

// DriftStatus is how the hooks that a node knows of differ from those that providers register.
type DriftStatus struct {
	Node     string   `json:"node"`
	Unknown  []string `json:"unknown"`  // EMQX does not call them: disable and enable the exhook there
	Unserved []string `json:"unserved"` // no provider wants them: they get the neutral answer
}

// Status describes the upstream.
func (u *Upstream) Status() *Status { return u.status.Load() }

func newStatus(name string) *Status {
	return &Status{Name: name, Providers: []ProviderStatus{}, Nodes: []NodeStatus{}, Drift: []DriftStatus{}}
}

// publishEvery is how many ticks an idle upstream's status may be old.
const publishEvery = 10

// publish makes the status anew if anything has happened or time has passed.
func (u *Upstream) publish(now time.Time) {
	if !u.altered && u.ticks%publishEvery != 0 {
		return
	}
	u.altered = false
	s := newStatus(u.name)
	s.EarlyWaiting, s.Relay = u.early.queued, u.group.Stats()
	for i := range u.queues {
		s.Waiting += u.queues[i].length
	}
	for _, l := range u.links {
		s.Providers = append(s.Providers, u.providerStatus(l, now))
	}
	for _, n := range u.nodes.all {
		if !n.left.IsZero() {
			continue
		}
		s.Nodes = append(s.Nodes, NodeStatus{n.broker.Node, n.broker.Version, n.broker.Cluster, n.version.String(), n.calls.Load()})
		if d := u.driftOf(n); len(d.Unknown)+len(d.Unserved) > 0 {
			s.Drift = append(s.Drift, DriftStatus{n.broker.Node, described(d.Unknown), described(d.Unserved)})
		}
	}
	u.status.Store(s)
}

func (u *Upstream) providerStatus(l *link, now time.Time) ProviderStatus {
	s := ProviderStatus{
		Address: l.addr, Connected: l.ready, InFlight: l.inFlight(), Calls: l.total, Failures: l.failures, Seconds: l.latency.Seconds(),
		Nodes: []string{}, Hooks: []string{}, Reason: l.reason(now),
	}
	known := 0
	for _, n := range u.nodes.all {
		if !n.left.IsZero() {
			continue
		}
		known++
		at := l.loads[n.place]
		if at.state == answered && at.why == "" {
			s.Nodes = append(s.Nodes, n.broker.Node)
		}
		if at.why != "" && !strings.Contains(s.Reason, at.why) {
			s.Reason = strings.TrimPrefix(s.Reason+"; "+at.why, "; ")
		}
		if at.state == asked && !strings.Contains(s.Reason, waitsForLoaded) {
			s.Reason = strings.TrimPrefix(s.Reason+"; "+waitsForLoaded, "; ")
		}
	}
	s.Loaded = l.ready && len(s.Nodes) == known
	for v := hook.V1; v <= hook.V3; v++ {
		if l.serves[v] {
			for _, name := range described(l.specs[v]) {
				s.Hooks = append(s.Hooks, v.String()+" "+name)
			}
		}
	}
	return s
}

const waitsForLoaded = "has not answered OnProviderLoaded yet"

// reason says why a link has no connection.
func (l *link) reason(now time.Time) string {
	switch {
	case l.ready:
		return ""
	case l.p != nil || l.dialling && l.why == nil:
		return "connecting"
	case l.why != nil:
		text := "not connected: " + l.why.Error()
		if wait := l.dialAt.Sub(now); wait > 0 {
			text += fmt.Sprintf(", next try in %v", max(wait.Round(100*time.Millisecond), 100*time.Millisecond))
		}
		return text
	}
	return "not connected yet"
}

func described(specs []hook.Spec) []string {
	all := make([]string, 0, len(specs))
	for _, s := range specs {
		text := s.Name
		if len(s.Topics) > 0 {
			text += " (" + strings.Join(s.Topics[:min(len(s.Topics), 10)], ", ")
			if len(s.Topics) > 10 {
				text += ", …"
			}
			text += ")"
		}
		all = append(all, text)
	}
	return all
}
