package balancer

import "time"

// Standing is what a pool has against an endpoint, for the pool of the process that takes its place: it would send clients to a
// dead endpoint until it has found that out itself. Drains by hand are not among it: they are said to a pool by [Pool.SetDrains].
type Standing struct {
	Addr string `json:"addr"`

	Failing bool   `json:"failing,omitempty"` // its check
	Leaving bool   `json:"leaving,omitempty"` // it asked for no new connections
	Check   string `json:"check,omitempty"`   // why

	Ejected     bool          `json:"ejected,omitempty"`
	Unreachable bool          `json:"unreachable,omitempty"` // that is why
	Cause       string        `json:"cause,omitempty"`       // in words
	OutFor      time.Duration `json:"out_for,omitempty"`     // how long it is out in all
	RetryIn     time.Duration `json:"retry_in,omitempty"`    // how much of that is left
}

// Standings are those of the endpoints that something is held against.
func (p *Pool) Standings() []Standing {
	var out []Standing
	now := p.now()
	for _, m := range p.current.Load().members {
		n := m.node
		s := Standing{Addr: m.Addr}
		n.mu.Lock()
		s.Failing, s.Leaving, s.Check = n.check.verdict == failing, n.check.verdict == leaving, n.check.reason
		if retryAt := time.Duration(n.retryAt.Load()); retryAt != 0 {
			s.Ejected, s.Unreachable, s.Cause = true, n.why == ConnectFailed, n.cause
			s.OutFor, s.RetryIn = n.outFor, max(retryAt-now, 0)
		}
		n.mu.Unlock()
		if s.Failing || s.Leaving || s.Ejected {
			out = append(out, s)
		}
	}
	return out
}

// Adopt holds against endpoints what the pool of another process did, as far as this one has them and its options let it: what
// checks said only if this pool is checked, for nothing else would ever take it back. It tells nobody, since for all who watch
// nothing has changed. It is for a pool that nothing was picked from yet.
func (p *Pool) Adopt(standings []Standing, checked bool) {
	for _, s := range standings {
		p.mu.Lock()
		n, now := p.known[s.Addr], p.current.Load()
		p.mu.Unlock()
		if n == nil || !n.present.Load() {
			continue
		}
		n.mu.Lock()
		n.adopt(s, checked, now.MaxFails > 0 && !now.alone)
		n.mu.Unlock()
	}
}

// adopt takes a standing over. n.mu is held.
func (n *node) adopt(s Standing, checked, ejects bool) {
	if checked && (s.Failing || s.Leaving) {
		n.check = check{verdict: leaving, reason: s.Check}
		if s.Failing {
			n.check.verdict = failing
		}
		n.verdict.Store(uint32(n.check.verdict))
	}
	if !s.Ejected || !ejects {
		return
	}
	n.why, n.cause = Refused, s.Cause
	if s.Unreachable {
		n.why = ConnectFailed
	}
	now := n.pool.now()
	n.outSince, n.outFor = now, max(s.OutFor, 0)
	n.ejections.Add(1)
	n.retryAt.Store(max(int64(now+max(s.RetryIn, 0)), 1))
}
