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
	Up       bool   `json:"up"`       // not ejected
	Draining bool   `json:"draining"` // by hand
	Ejected  bool   `json:"ejected"`  // by passive health
	Reason   string `json:"reason"`   // why it gets no connections, or may soon get none; empty when all is well

	Connections    int64   `json:"connections"`
	MaxConnections int     `json:"max_connections"`
	ConnectsTotal  uint64  `json:"connects_total"`  // connections attempted
	FailuresTotal  uint64  `json:"failures_total"`  // of those, the ones that failed or were refused
	RetriesTotal   uint64  `json:"retries_total"`   // of those, the ones that another endpoint failed before
	ConnectSeconds float64 `json:"connect_seconds"` // how long the latest successful connect took
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
	n.mu.Lock()
	ejected := n.retryAt.Load() != 0
	failures := n.reason(s, p.now())
	n.mu.Unlock()

	active := n.active.Load()
	var reasons []string
	if m.draining {
		reasons = append(reasons, "drained by hand")
	}
	if failures != "" {
		reasons = append(reasons, failures)
	}
	if n.full(active) {
		reasons = append(reasons, fmt.Sprintf("full: %d of %d connections", active, m.MaxConnections))
	}
	return EndpointStatus{
		Address:        m.Addr,
		Weight:         m.Weight,
		Source:         m.Source,
		Backup:         m.Backup,
		Up:             !ejected,
		Draining:       m.draining,
		Ejected:        ejected,
		Reason:         strings.Join(reasons, "; "),
		Connections:    active,
		MaxConnections: m.MaxConnections,
		ConnectsTotal:  n.connects.Load(),
		FailuresTotal:  n.failures.Load(),
		RetriesTotal:   n.retries.Load(),
		ConnectSeconds: time.Duration(n.connect.Load()).Seconds(),
	}
}
