package edge

import (
	"errors"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery/gossip"
)

// standing is what the checks of an offer have told so far.
type standing struct {
	known        bool // it is announced
	health       gossip.Health
	rises, falls int // successes and failures in a row
}

// grace is how many failures pass before they are worth a line: what is in a container was just started.
func (w offering) grace() int {
	if w.container != "" {
		return containerGrace
	}
	return 1
}

// after is the standing after one more check. What an endpoint says itself needs no second hearing. The first success
// is enough for one that was never announced.
func (s standing) after(err error, rise, fall int) standing {
	_, drains := errors.AsType[balancer.Draining](err)
	switch {
	case err == nil:
		s.rises, s.falls = s.rises+1, 0
		if !s.known || s.health != gossip.Down || s.rises >= rise {
			s.known, s.health = true, gossip.Up
		}
	case drains:
		return standing{known: true, health: gossip.Draining}
	default:
		s.rises, s.falls = 0, s.falls+1
		if s.known && s.falls >= fall {
			s.health = gossip.Down
		}
	}
	return s
}
