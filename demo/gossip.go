package demo

import (
	"context"
	"time"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/configs"
)

// The scenes in which the edge learns something by gossip.

// startAgent has the founders and the hook servers announced.
func (d *demo) startAgent() error {
	join, err := d.front.gossip()
	if err != nil {
		return err
	}
	d.agent, err = startAgent(join, d.front.keys, d.version, d.offers(founders))
	return err
}

// offers are the hook servers and the first n brokers.
func (d *demo) offers(n int) []configs.Announcement {
	var all []configs.Announcement
	for i := range n {
		all = append(all, offer(emqxService, d.cluster.addr(i)))
	}
	for _, addr := range d.providers.addrs {
		all = append(all, offer(hooksService, addr))
	}
	return all
}

// find waits until the edge knows of all that is announced.
func (d *demo) find(ctx context.Context) {
	began := time.Now()
	brokers := d.cluster.addresses()
	var known, providers int
	all := until(ctx, patience, func() bool {
		s, err := d.front.admin.Status(ctx)
		if err != nil {
			return false
		}
		known = fromGossip(endpoints(s, upstreamName, brokers[:founders]...))
		providers = fromGossip(endpoints(s, hooksName, d.providers.addrs[:]...))
		return known == founders && providers == len(d.providers.addrs)
	})
	if ctx.Err() != nil {
		return
	}
	took := brief(time.Since(began))
	d.promises.found.record(all, "%d of %d brokers and %d of %d hook servers after %s, encrypted",
		known, founders, providers, len(d.providers.addrs), took)
	d.screen.say("The edge's configuration names no broker and no hook server. An agent announces them by gossip, encrypted with a key made just now: "+
		"after %s the edge knows %d brokers and %d hook servers.", took, known, providers)
}

func fromGossip(endpoints []admin.Endpoint) int {
	n := 0
	for _, e := range endpoints {
		if e.Source == "gossip" {
			n++
		}
	}
	return n
}

// add starts one more broker and has it announced.
func (d *demo) add(ctx context.Context) {
	var err error
	until(ctx, patience, func() bool { // as in revive
		err = d.cluster.revive(latecomer)
		return err == nil
	})
	if ctx.Err() != nil {
		return
	}
	began := time.Now()
	if err == nil {
		err = d.agent.announce(d.offers(allBrokers))
	}
	if err != nil {
		d.promises.added.record(false, "%v", err)
		d.screen.say("Broker %d is not announced: %v", latecomer+1, err)
		return
	}
	addr := d.cluster.addr(latecomer)
	var e admin.Endpoint
	used := until(ctx, patience, func() bool {
		e, err = d.front.endpoint(ctx, addr)
		return err == nil && e.Up
	})
	took := brief(time.Since(began))
	if ctx.Err() != nil {
		return
	}
	if !used {
		d.promises.added.record(false, "not within %v", patience)
		d.screen.say("Broker %d (%s) is announced, and the edge does not use it.", latecomer+1, addr)
		return
	}
	d.screen.say("Broker %d (%s) is new. The agent announces it, nothing was changed on the edge, and after %s it is in use there, source %s. "+
		"Every third device reconnects, others than before.", latecomer+1, addr, took, e.Source)
	m := d.reconnectSome(ctx, 1, latecomer)
	if ctx.Err() != nil {
		return
	}
	d.promises.added.record(e.Source == "gossip" && m.onIt > 0, "in the table after %s, source %s; %v", took, e.Source, m)
	d.screen.say("Of them, %v went to broker %d. All devices: %s.", m, latecomer+1, d.spread(nil))
	d.compareAddresses(ctx)
}

// withdraw has that broker announced no more, and ends it once it has no clients.
func (d *demo) withdraw(ctx context.Context) {
	before, its := d.fleet.snapshot(), d.cluster.clientsOf(latecomer)
	began := time.Now()
	if err := d.agent.announce(d.offers(founders)); err != nil {
		d.promises.withdrawn.record(false, "%v", err)
		d.screen.say("Broker %d is still announced: %v", latecomer+1, err)
		return
	}
	d.screen.say("The agent withdraws broker %d, with %d devices on it.", latecomer+1, len(its))
	back, left := 0, 0
	until(ctx, d.plan.drainOver+patience, func() bool {
		back, _ = returned(before, d.fleet.snapshot(), its, began)
		left = len(d.cluster.clientsOf(latecomer))
		return back == len(its) && left == 0
	})
	if ctx.Err() != nil {
		return
	}
	last, now := time.Since(began), d.fleet.snapshot()
	others := fleetSize - len(its)
	kept := undisturbed(before, now, its)
	quarters := inQuarters(partings(before, now, its), d.plan.drainOver)
	_, err := d.front.endpoint(ctx, d.cluster.addr(latecomer))
	d.cluster.kill(latecomer)
	d.promises.withdrawn.record(back > 0 && back == len(its) && left == 0 && kept == others && err != nil && bitByBit(quarters),
		"%d of %d within %s, %s in the quarters of %v; %d of the %d others kept their connection",
		back, len(its), brief(last), join(quarters), d.plan.drainOver, kept, others)
	d.screen.say("%d of %d are with the others after %s. They were parted with over %v, %s in its quarters; %d of the %d others kept their connection. "+
		"Broker %d has %d clients left and ends.",
		back, len(its), brief(last), d.plan.drainOver, join(quarters), kept, others, latecomer+1, left)
}

// partings are when the connections of these devices ended, from the first of them.
func partings(before, now []state, whose map[string]bool) []time.Duration {
	var first time.Time
	var ends []time.Time
	for i, s := range now {
		if whose[s.id] && s.until.After(before[i].since) {
			ends = append(ends, s.until)
			if first.IsZero() || s.until.Before(first) {
				first = s.until
			}
		}
	}
	var after []time.Duration
	for _, end := range ends {
		after = append(after, end.Sub(first))
	}
	return after
}
