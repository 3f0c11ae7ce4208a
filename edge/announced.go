package edge

import (
	"cmp"
	"slices"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/discovery/gossip"
)

func (s source) Announcements() admin.Announcements {
	m := s.e.current.Load().gossip
	if m == nil {
		return admin.Announcements{}
	}
	return m.offers.announced()
}

// announced is everything that is offered, and what is not and why.
func (o *offers) announced() admin.Announcements {
	var out admin.Announcements
	config, state, containers, looked := o.looked()
	o.mu.Lock()
	defer o.mu.Unlock()
	offers := make(map[string]int) // by container
	for _, one := range o.list {
		a := o.describe(one.offering)
		a.State, a.Reason = one.said()
		out.Announcements = append(out.Announcements, a)
		if one.standing.known {
			offers[one.run]++
		}
	}
	for _, r := range o.out {
		a := o.describe(r.offering)
		a.State, a.Reason = "refused", r.reason
		if r.note != "" {
			a.Reason += "; " + r.note
		}
		out.Announcements = append(out.Announcements, a)
	}
	if !looked {
		return out
	}
	out.Engine = &admin.Engine{Socket: config.Socket, Connected: state.Connected, Error: state.Error}
	for _, c := range containers {
		refused := slices.ContainsFunc(o.out, func(r refusal) bool { return r.run == runOf(c) })
		out.Engine.Containers = append(out.Engine.Containers, admin.Container{
			Name: c.Name, Offers: offers[runOf(c)], Reason: c.Reason, Wrong: c.Wrong || refused, Warnings: c.Warnings,
		})
	}
	return out
}

func (o *offers) describe(w offering) admin.Announcement {
	return admin.Announcement{
		Service: w.Service, Address: cmp.Or(o.address(w.Address), w.Address), Weight: w.Weight, Container: w.container,
	}
}

// said is how it is announced, and why or with what to know. offers.mu is held.
func (a *offer) said() (state, reason string) {
	switch {
	case !a.standing.known && a.failure == "":
		return "waiting", "its check has not been answered yet"
	case !a.standing.known:
		return "waiting", "its check has not succeeded yet: " + a.failure
	case a.standing.health == gossip.Up:
		return "up", cmp.Or(a.failure, a.note)
	}
	return a.standing.health.String(), a.failure
}
