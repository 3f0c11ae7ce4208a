package edge

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/gossip"
)

// factSendProxy is what an announcement says its endpoint expects.
const factSendProxy = "send_proxy"

// offers are the announcements of this host with what its own checks say of them. Nil ones are none.
type offers struct {
	node *gossip.Node
	log  *slog.Logger
	list []configs.Announcement
	run  *task

	mu        sync.Mutex // held while the node is told, so that it is told in order
	standings []standing // as list
}

// standing is what the checks of an offer have told so far.
type standing struct {
	known        bool // it is announced
	health       gossip.Health
	rises, falls int // successes and failures in a row
}

// beginOffers starts to announce what the section of m says. What was announced before stays announced.
func (e *Edge) beginOffers(m, before *member) *offers {
	var old *offers
	if before != nil {
		old = before.offers
	}
	if old != nil && old.node == m.node && reflect.DeepEqual(old.list, m.config.Announce) {
		return old
	}
	old.stop()
	o := &offers{node: m.node, log: e.log, list: m.config.Announce, standings: make([]standing, len(m.config.Announce))}
	for i, a := range o.list {
		if o.standings[i] = old.standingOf(a); old == nil {
			o.standings[i] = e.inherited.standingOf(a)
		}
	}
	o.announce()
	o.run = start(func(ctx context.Context) { o.check(ctx, e.probeName) })
	return o
}

// standingOf is what is known of an offer that may be new.
func (o *offers) standingOf(a configs.Announcement) standing {
	if a.Check.Type == "none" {
		return standing{known: true}
	}
	if o == nil {
		return standing{}
	}
	for i, b := range o.list {
		if a.Service == b.Service && a.Address == b.Address && b.Check.Type != "none" {
			return o.standings[i]
		}
	}
	return standing{}
}

// check asks all endpoints that are to be asked, until ctx ends.
func (o *offers) check(ctx context.Context, clientID string) {
	var checking sync.WaitGroup
	defer checking.Wait()
	for i, a := range o.list {
		if a.Check.Type == "none" {
			continue
		}
		c := check{settings: checkSettings{Active: a.Check, proxy: sendProxy(a.SendProxy)}}
		prober := c.newProber(clientID + "-" + a.Service)
		checking.Go(func() {
			t := time.NewTicker(a.Check.Interval)
			defer t.Stop()
			for {
				if addr := o.address(a); addr != "" {
					err := ask(ctx, prober, addr, a.Check.Timeout)
					if ctx.Err() != nil {
						return
					}
					o.checked(i, err)
				}
				select {
				case <-ctx.Done():
					return
				case <-t.C:
				}
			}
		})
	}
}

func ask(ctx context.Context, p balancer.Prober, addr string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return p.Probe(ctx, addr)
}

// address is where others would connect to, or "" while it is not known yet.
func (o *offers) address(a configs.Announcement) string {
	host, port, err := net.SplitHostPort(a.Address)
	if err != nil || host != "" {
		return a.Address
	}
	own := o.node.Addr()
	if !own.IsValid() {
		return ""
	}
	return net.JoinHostPort(own.Addr().String(), port)
}

// checked takes note of what a check of one offer said.
func (o *offers) checked(i int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a, before := o.list[i], o.standings[i]
	now := before.after(err, a.Check.Rise, a.Check.Fall)
	o.standings[i] = now
	if now.known == before.known && now.health == before.health {
		if !now.known && now.falls == 1 {
			o.log.Warn("not announced before its check succeeds", "service", a.Service, "address", a.Address, "error", err)
		}
		return
	}
	level := slog.LevelInfo
	reason := "the check succeeded"
	if err != nil {
		level, reason = slog.LevelWarn, err.Error()
	}
	o.log.Log(context.Background(), level, "endpoint is announced as "+now.health.String(), "service", a.Service, "address", a.Address, "reason", reason)
	o.tell()
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

func (o *offers) announce() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tell()
}

// tell announces what is known to work, or did. o.mu is held.
func (o *offers) tell() {
	var known []gossip.Announcement
	for i, a := range announcements(o.list) {
		if s := o.standings[i]; s.known {
			a.Health = s.health
			known = append(known, a)
		}
	}
	if err := o.node.Announce(known); err != nil { // prepare has tried all of them
		o.log.Error("announcements stay as they were", "error", err)
	}
}

func (o *offers) stop() {
	if o != nil {
		o.run.stop()
	}
}

func announcements(list []configs.Announcement) []gossip.Announcement {
	out := make([]gossip.Announcement, len(list))
	for i, a := range list {
		out[i] = gossip.Announcement{Service: a.Service, Addr: a.Address, Weight: uint32(a.Weight), Tags: a.Tags}
		if a.SendProxy != "" {
			out[i].Facts = map[string]string{factSendProxy: a.SendProxy}
		}
	}
	return out
}
