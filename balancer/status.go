package balancer

import (
	"fmt"
	"strings"
	"time"
)

// Status is a pool as people and machines read it.
type Status struct {
	Name      string           `json:"name"`
	Policy    Policy           `json:"policy"`
	Endpoints []EndpointStatus `json:"endpoints"` // in the order of Update; never nil
}

// EndpointStatus is one endpoint. The totals count from when it was first known.
type EndpointStatus struct {
	Address  string `json:"address"`
	Weight   uint32 `json:"weight"`
	Source   string `json:"source"`
	Backup   bool   `json:"backup"`
	Up       bool   `json:"up"`       // neither ejected nor failing its check
	Draining bool   `json:"draining"` // by hand, or because it asked for it when checked
	Ejected  bool   `json:"ejected"`  // by passive health
	Reason   string `json:"reason"`   // why it gets no or few connections, or soon may; empty when all is well

	Connections    int64   `json:"connections"`
	MaxConnections int     `json:"max_connections"`
	ConnectsTotal  uint64  `json:"connects_total"`  // connections attempted
	FailuresTotal  uint64  `json:"failures_total"`  // of those, the ones that failed or were refused
	RetriesTotal   uint64  `json:"retries_total"`   // of those, the ones that another endpoint failed before
	ConnectSeconds float64 `json:"connect_seconds"` // how long the latest successful connect took
	AnswerSeconds  float64 `json:"answer_seconds"`  // the median of the latest answers; 0 while too few are known
}

// Status describes the pool. Counters go on changing while it is made, so they may be apart by connections under way.
func (p *Pool) Status() Status {
	s := p.current.Load()
	status := Status{Name: p.name, Policy: s.Policy, Endpoints: make([]EndpointStatus, 0, len(s.members))}
	for _, m := range s.members {
		status.Endpoints = append(status.Endpoints, p.endpointStatus(s, m))
	}
	return status
}

func (p *Pool) endpointStatus(s *snapshot, m member) EndpointStatus {
	n := m.node
	now := p.now()
	n.mu.Lock()
	ejected := n.retryAt.Load() != 0
	failures := n.reason(s, now)
	probes := n.check
	n.mu.Unlock()

	active := n.active.Load()
	var reasons []string
	if m.draining {
		reasons = append(reasons, m.drained)
	}
	if probes.reason != "" {
		reasons = append(reasons, probes.reason)
	}
	if failures != "" {
		reasons = append(reasons, failures)
	}
	if rest := time.Duration(n.slowUntil.Load()) - now; rest > 0 && s.SlowStart.on() {
		rest = max(rest.Round(time.Second), time.Second)
		reasons = append(reasons, fmt.Sprintf("slow start: %d connections/s for %v", s.SlowStart.ConnectsPerSecond, rest))
	}
	if n.full(active) {
		reasons = append(reasons, fmt.Sprintf("full: %d of %d connections", active, m.MaxConnections))
	}
	return EndpointStatus{
		Address:        m.Addr,
		Weight:         m.Weight,
		Source:         m.Source,
		Backup:         m.Backup,
		Up:             !ejected && probes.verdict != failing,
		Draining:       m.draining || probes.verdict == leaving,
		Ejected:        ejected,
		Reason:         strings.Join(reasons, "; "),
		Connections:    active,
		MaxConnections: m.MaxConnections,
		ConnectsTotal:  n.connects.Load(),
		FailuresTotal:  n.failures.Load(),
		RetriesTotal:   n.retries.Load(),
		ConnectSeconds: time.Duration(n.connect.Load()).Seconds(),
		AnswerSeconds:  time.Duration(n.answer.Load()).Seconds(),
	}
}
