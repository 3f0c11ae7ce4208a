package exhook

import (
	"slices"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/hook"
)

// want is what a provider must be for a call.
type want struct {
	hook  hook.Hook    // None: any call
	as    hook.Version // that the provider is called in
	class class
	key   balancer.Key
	topic []byte
	node  *node             // that calls; nil: not to be known
	tried []balancer.NodeID // that have failed already
}

// prospect is what a call may hope for from a link, the better the higher.
type prospect uint8

const (
	unwanted prospect = iota // it did not register the hook
	down                     // it did, and is not to be had
	waits                    // it is full, or will be there in a moment
	fits
)

// pick chooses a link and reserves a call on its endpoint. When none fits it returns the best prospect. With lastResort it takes
// a link that fits even if the pool has reasons against its endpoint, when there is no other.
func (u *Upstream) pick(w *want, lastResort bool) (*link, balancer.Lease, prospect) {
	best := unwanted
	switch {
	case len(u.links) == 0 && time.Since(u.began) < u.patience:
		best = waits
	case len(u.links) == 0 || u.memories[w.as].unserved:
		best = down
	}
	u.unfit = u.unfit[:0]
	for _, l := range u.links {
		p := u.prospect(l, w)
		best = max(best, p)
		if p != fits {
			u.unfit = append(u.unfit, l.id)
		}
	}
	if best != fits {
		return nil, balancer.Lease{}, best
	}
	fresh := false // the pool has an endpoint that is so new that it has no link yet
	for {
		lease, err := u.pool.Pick(balancer.PickInfo{Key: w.key, Avoid: w.tried, Unfit: u.unfit})
		if err != nil {
			break
		}
		if l := u.byID[lease.ID()]; l != nil {
			return l, lease, fits
		}
		u.unfit = append(u.unfit, lease.ID())
		lease.Done(balancer.Broken)
		fresh = true
	}
	if fresh {
		return nil, balancer.Lease{}, waits // for the next tick to give it one
	}
	if !lastResort {
		return nil, balancer.Lease{}, down
	}
	return u.takeAny()
}

// takeAny takes the link with the fewest calls among those that are not unfit, whatever health says: it is alive, and what it alone
// registered goes nowhere else.
func (u *Upstream) takeAny() (*link, balancer.Lease, prospect) {
	for {
		var chosen *link
		for _, l := range u.links {
			if !slices.Contains(u.unfit, l.id) && (chosen == nil || l.inFlight() < chosen.inFlight()) {
				chosen = l
			}
		}
		if chosen == nil {
			return nil, balancer.Lease{}, down // those that fit are drained by hand, or at their limit
		}
		if lease, err := u.pool.Take(chosen.id); err == nil {
			return chosen, lease, fits
		}
		u.unfit = append(u.unfit, chosen.id)
	}
}

// prospect is what a call may hope for from one link.
func (u *Upstream) prospect(l *link, w *want) prospect {
	if w.hook != hook.None && !u.interest(l, w.as).Wants(w.hook, w.topic) {
		return unwanted
	}
	switch {
	case len(w.tried) > 0 && slices.Contains(w.tried, l.id):
		return down
	case l.p == nil || !l.ready:
		return u.coming(l)
	case w.hook == hook.None && !l.opened:
		return waits
	case w.hook != hook.None && (l.heard(w.node) != answered || l.interests[w.as] == nil):
		if l.heard(w.node) <= asked {
			return waits
		}
		return u.coming(l)
	case l.p.Room() == 0 || u.full(l, w.class):
		return waits
	}
	return fits
}

// interest is what a provider wants, or wanted when last it said so. Of one that never did it is what is remembered of all.
func (u *Upstream) interest(l *link, v hook.Version) *hook.Interest {
	if i := l.interests[v]; i != nil {
		return i
	}
	return u.memories[v].presumed
}

// coming tells whether a link that is not ready is worth waiting for.
func (u *Upstream) coming(l *link) prospect {
	if time.Since(l.since) < u.patience {
		return waits
	}
	return down
}

// full tells whether a link has as many calls of a class as it may.
func (u *Upstream) full(l *link, c class) bool {
	if c == general {
		return false
	}
	if l.calls[c] >= u.rules.limits[c] {
		return true
	}
	if c == deciding {
		return false
	}
	all := l.p.InFlight() + l.p.Room()
	return l.calls[publish]+l.calls[notifying] >= max(all/4*3, 1)
}
