package balancer

import (
	"errors"
	"time"
)

// Opinion is what a pool has seen of an endpoint by itself, lately. Both may be false, but not both true.
type Opinion struct {
	Addr string
	Good bool // it worked, and is in use
	Bad  bool // it failed, and is kept from use for that
}

// Opinions are those on all endpoints, from what was seen within the given time. An endpoint that is slow is not bad: how slow
// one is depends on where one looks from.
func (p *Pool) Opinions(within time.Duration) []Opinion {
	s := p.current.Load()
	now := p.now()
	out := make([]Opinion, 0, len(s.members))
	for _, m := range s.members {
		out = append(out, m.node.opinion(now, within))
	}
	return out
}

func (n *node) opinion(now, within time.Duration) Opinion {
	n.mu.Lock()
	ejected := n.retryAt.Load() != 0
	kept := ejected && n.why != late || n.check.verdict == failing
	n.mu.Unlock()
	good, bad := time.Duration(n.good.Load()), time.Duration(n.bad.Load())
	lately := func(t time.Duration) bool { return t != 0 && now-t <= within }
	return Opinion{
		Addr: n.addr,
		Good: !ejected && !kept && lately(good) && good >= bad,
		Bad:  kept && lately(bad) && bad >= good,
	}
}

// saw takes note of what a probe told, for opinions.
func (n *node) saw(err error) {
	now := max(int64(n.pool.now()), 1)
	if _, leaves := errors.AsType[Draining](err); err == nil || leaves {
		n.good.Store(now)
	} else {
		n.bad.Store(now)
	}
}

// Corroborate takes note of one probe of an endpoint that others hold as down, and reports whether that took it out of use. A
// failure does so at once, as the check where Check is at work and else as an ejection, though it alone would not be enough;
// but not when passive health is turned off and nothing checks, nor the only endpoint, nor when more than MaxEjected percent would be out. It
// comes back as after any other failure.
func (p *Pool) Corroborate(addr string, err error) bool {
	if isLocal(err) {
		return false
	}
	s := p.current.Load()
	for _, m := range s.members {
		if m.Addr == addr {
			return m.node.corroborate(err)
		}
	}
	return false
}

func (n *node) corroborate(err error) bool {
	n.saw(err)
	if _, leaves := errors.AsType[Draining](err); err == nil || leaves {
		return false // what the endpoint says of itself the check hears soon
	}
	reason, out := n.outWithOthers(words(err) + ", and on other edges, too")
	if out {
		n.pool.tell([]Change{{n.pool.name, n.addr, false, reason}})
	}
	return out
}

func (n *node) outWithOthers(cause string) (reason string, out bool) {
	n.pool.ejecting.Lock()
	defer n.pool.ejecting.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.pool.current.Load()
	if !n.present.Load() || n.out() || s.alone || s.outWithOneMore() {
		return "", false
	}
	if n.pool.checked.Load() {
		n.check = check{verdict: failing, falls: n.check.falls + 1, reason: "check failed: " + cause}
		n.verdict.Store(uint32(failing))
		return n.check.reason, true
	}
	if s.MaxFails == 0 {
		return "", false
	}
	now := n.pool.now()
	n.why, n.cause, n.recent = ConnectFailed, ConnectFailed.String()+": "+cause, nil
	n.eject(s.FailTimeout, now)
	return n.reason(s, now), true
}
