package balancer

import "time"

// maxOut bounds the time out of an endpoint that fails again and again. An endpoint that was in use for as long as
// that starts from FailTimeout again.
const maxOut = 10 * time.Minute

// passive is what the connections to an endpoint tell of it.
type passive struct {
	recent []time.Duration // when it failed: at most MaxFails times; of an ejected node, the times that ejected it
	why    Outcome         // the latest failure
	cause  string          // the same in words

	outSince time.Duration // when the time out began, the present or the latest one
	outFor   time.Duration // how long it was to be; 0 if there was none yet
	backAt   time.Duration // when it ended
	answers  answers
}

// nextOut is how long an endpoint is to be out that was out for last and then in use.
func nextOut(last, inUse, failTimeout time.Duration) time.Duration {
	if last == 0 || inUse >= maxOut {
		return failTimeout
	}
	return longer(last, failTimeout)
}

func longer(out, failTimeout time.Duration) time.Duration {
	return max(failTimeout, min(2*out, maxOut))
}

// fail counts a failure and ejects the node when it was one too many.
func (n *node) fail(o Outcome, err error) {
	n.failures.Add(1)
	n.bad.Store(max(int64(n.pool.now()), 1))
	n.suspect(o)
	n.blame(o, cause(o, err))
}

func (n *node) blame(o Outcome, cause string) {
	if reason, ejected := n.judge(o, cause); ejected {
		n.pool.tell([]Change{{n.pool.name, n.addr, false, reason}})
	}
}

// judge reports whether this failure ejected the node, and why.
func (n *node) judge(o Outcome, cause string) (reason string, ejected bool) {
	n.pool.ejecting.Lock()
	defer n.pool.ejecting.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.pool.current.Load() // under the lock, for what publish reinstates is not to be ejected by the rules before it
	if s.MaxFails == 0 || !n.present.Load() {
		return "", false
	}
	now := n.pool.now()
	if n.retryAt.Load() != 0 {
		n.why, n.cause = o, cause
		n.stayOut(now, s.FailTimeout)
		return "", false
	}
	if o == late {
		if s.alone || s.outWithOneMore() {
			return "", false
		}
		n.recent = nil
	} else {
		n.why, n.cause = o, cause
		n.recent = append(within(n.recent, now, s.FailTimeout), now)
		n.recent = n.recent[max(0, len(n.recent)-s.MaxFails):]
		if len(n.recent) < s.MaxFails || s.alone || o != ConnectFailed && s.outWithOneMore() {
			return "", false
		}
	}
	n.why, n.cause = o, cause
	n.eject(s.FailTimeout, now)
	return n.reason(s, now), true
}

// eject begins a time out. n.mu is held.
func (n *node) eject(failTimeout, now time.Duration) {
	n.outFor = nextOut(n.outFor, now-n.backAt, failTimeout)
	n.outSince = now
	n.answers = answers{}
	n.check.rises = 0 // only what is probed from now on can shorten it
	n.answer.Store(0)
	n.slowUntil.Store(0)
	n.doubt.Store(0)
	n.ejections.Add(1)
	n.retryAt.Store(int64(now + n.outFor))
}

// stayOut is for a failure while ejected, of a trial or of a connection that was under way. The time out grows only once
// it has passed, however many fail meanwhile: so it is never longer than the endpoint was out before, or FailTimeout.
func (n *node) stayOut(now, failTimeout time.Duration) {
	if now-n.outSince >= n.outFor {
		n.outSince, n.outFor = now, longer(n.outFor, failTimeout)
	}
	n.check.rises = 0
	n.retryAt.Store(int64(now + n.outFor))
}

// succeed ends the ejection during which the connection was picked, if it still lasts. That an endpoint takes a
// connection is no success of one that was ejected for what it did with them.
func (n *node) succeed(ejection uint32, served bool) {
	if ejection == 0 {
		return
	}
	allWereOut := n.pool.current.Load().allOut()
	if !n.comeBack(ejection, served) {
		return
	}
	if allWereOut {
		n.pool.hastenTrials()
	}
	if !n.out() {
		n.pool.tell([]Change{{n.pool.name, n.addr, true, "a connection succeeded"}})
	}
}

func (n *node) comeBack(ejection uint32, served bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.retryAt.Load() == 0 || n.ejections.Load() != ejection || !served && n.why != ConnectFailed {
		return false
	}
	n.startSlowly() // first, so that no pick comes between
	n.readmit()
	return true
}

// readmit ends an ejection. n.mu is held.
func (n *node) readmit() {
	n.retryAt.Store(0)
	n.recent = nil
	n.backAt = n.pool.now()
}

// reinstate makes an ejected node healthy without any proof and reports whether it was ejected.
func (n *node) reinstate() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.doubt.Store(0)
	wasEjected := n.retryAt.Load() != 0
	if wasEjected {
		n.readmit()
	}
	return wasEjected
}

// forget is for an endpoint that leaves: what was true before need not be when it returns.
func (n *node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.retryAt.Store(0)
	n.verdict.Store(uint32(passing))
	n.slowUntil.Store(0)
	n.doubt.Store(0)
	n.answer.Store(0)
	n.good.Store(0)
	n.bad.Store(0)
	n.passive, n.check = passive{}, check{}
}

// hastenTrials makes every ejected endpoint due for its trial.
func (p *Pool) hastenTrials() {
	now := int64(p.now())
	for _, m := range p.current.Load().members {
		if at := m.node.retryAt.Load(); at > now {
			m.node.retryAt.CompareAndSwap(at, now)
		}
	}
}

// outWithOneMore reports whether MaxEjected forbids one more endpoint to be out.
func (s *snapshot) outWithOneMore() bool {
	out, all := 1, 0
	for _, t := range s.tiers {
		for _, c := range t.candidates {
			all++
			if c.node.out() {
				out++
			}
		}
	}
	return out*100 > s.MaxEjected*all
}
