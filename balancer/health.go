package balancer

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// fail counts a failure and ejects the node when it was one too many. A failure while ejected, of the probe or of a
// connect that was under way, keeps it out for another FailTimeout.
func (n *node) fail(o Outcome, err error) {
	n.failures.Add(1)
	if reason, ejected := n.judge(o, err); ejected {
		n.pool.tell([]Change{{n.pool.name, n.addr, false, reason}})
	}
}

// judge reports whether this failure ejected the node, and why.
func (n *node) judge(o Outcome, err error) (reason string, ejected bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.pool.current.Load() // under the lock, for what publish reinstates is not to be ejected by the rules before it
	if s.MaxFails == 0 || !n.present.Load() {
		return "", false
	}
	now := n.pool.now()
	n.cause = cause(o, err)
	if n.retryAt.Load() != 0 {
		n.retryAt.Store(int64(now + s.FailTimeout))
		return "", false
	}
	n.recent = append(within(n.recent, now, s.FailTimeout), now)
	n.recent = n.recent[max(0, len(n.recent)-s.MaxFails):]
	if len(n.recent) < s.MaxFails || s.alone {
		return "", false
	}
	n.ejections.Add(1)
	n.retryAt.Store(int64(now + s.FailTimeout))
	return n.reason(s, now), true
}

// succeed ends the ejection during which the connection was picked, if it still lasts.
func (n *node) succeed(ejection uint32) {
	if ejection == 0 {
		return
	}
	allWereOut := n.pool.current.Load().allEjected()
	if !n.reinstate(ejection) {
		return
	}
	if allWereOut {
		n.pool.hastenProbes()
	}
	n.pool.tell([]Change{{n.pool.name, n.addr, true, "a connection succeeded"}})
}

// reinstate makes an ejected node healthy and reports whether it was ejected. An ejection number other than 0 limits
// it to that one.
func (n *node) reinstate(ejection uint32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if ejection != 0 && n.ejections.Load() != ejection {
		return false
	}
	wasEjected := n.retryAt.Swap(0) != 0
	if wasEjected {
		n.recent = nil
	}
	return wasEjected
}

// hastenProbes makes every ejected endpoint due for its probe.
func (p *Pool) hastenProbes() {
	now := int64(p.now())
	for _, m := range p.current.Load().members {
		if at := m.node.retryAt.Load(); at > now {
			m.node.retryAt.CompareAndSwap(at, now)
		}
	}
}

// reason describes the failures that still count. n.mu is held.
func (n *node) reason(s *snapshot, now time.Duration) string {
	retryAt := time.Duration(n.retryAt.Load())
	if retryAt == 0 {
		count := len(within(n.recent, now, s.FailTimeout))
		switch {
		case count == 0:
			return ""
		case s.alone && count >= s.MaxFails:
			return fmt.Sprintf("%s (%d of %d within %v), in use as the only endpoint", n.cause, count, s.MaxFails, s.FailTimeout)
		}
		return fmt.Sprintf("%s (%d of %d within %v)", n.cause, count, s.MaxFails, s.FailTimeout)
	}
	next := "with the next connection"
	if wait := retryAt - now; wait > 0 {
		next = "in " + max(wait.Round(time.Second), time.Second).String()
	}
	return fmt.Sprintf("%s (%d of %d within %v), next try %s", n.cause, len(n.recent), s.MaxFails, s.FailTimeout, next)
}

// within drops the times that are older than the window. It leaves times as it is.
func within(times []time.Duration, now, window time.Duration) []time.Duration {
	first := slices.IndexFunc(times, func(t time.Duration) bool { return now-t <= window })
	if first < 0 {
		return nil
	}
	return times[first:]
}

// maxCause bounds what one failure may add to every status answer.
const maxCause = 200

// cause is what went wrong, without what the reader knows already: the address and the system call.
func cause(o Outcome, err error) string {
	if err == nil {
		return o.String()
	}
	var inOperation *net.OpError
	if errors.As(err, &inOperation) && inOperation.Err != nil {
		err = inOperation.Err
	}
	var inCall *os.SyscallError
	if errors.As(err, &inCall) && inCall.Err != nil {
		err = inCall.Err
	}
	text := o.String() + ": " + err.Error()
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "") + "…"
	}
	return text
}
