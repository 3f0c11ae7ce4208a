package demo

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"
)

// A scene does something, watches what comes of it, says it and records it. When
// ctx ends it stops, and what it did not get to see is no evidence.

// tell plays the scenes: once, or in rounds until ctx ends.
func (d *demo) tell(ctx context.Context) {
	scenes := []struct {
		at   time.Duration
		play func(context.Context)
	}{
		{0, d.connect}, {d.plan.reload, d.reload}, {d.plan.kill, d.kill}, {d.plan.revive, d.revive},
		{d.plan.add, d.add}, {d.plan.withdraw, d.withdraw},
		{d.plan.killHooks, d.killProvider}, {d.plan.reviveHooks, d.reviveProvider}, {d.plan.end, func(context.Context) {}},
	}
	for begin := d.screen.started; ; begin = time.Now() {
		d.rounds++
		for _, scene := range scenes {
			if !pause(ctx, time.Until(begin.Add(scene.at))) {
				return
			}
			scene.play(ctx)
			select {
			case d.changed <- struct{}{}:
			default: // asked for already
			}
		}
		if !d.endless {
			return
		}
		scenes[0].play = func(context.Context) {} // they are connected
	}
}

// victim is the broker that is killed in this round.
func (d *demo) victim() int { return d.rounds % founders }

func (d *demo) connect(ctx context.Context) {
	all := until(ctx, patience, func() bool { return connected(d.fleet.snapshot()) == fleetSize })
	took := time.Since(d.screen.started)
	if ctx.Err() != nil {
		return
	}
	states := d.fleet.snapshot()
	n, secure := connected(states), 0
	clients := d.cluster.clients()
	for _, s := range states {
		if s.connected && s.tls >= tls.VersionTLS12 && clients[s.id].TLVs.SSL {
			secure++
		}
	}
	d.promises.tls.record(all && secure == fleetSize, "%d of %d, the last %s after the start: %s", secure, fleetSize, brief(took), kinds(states))
	d.screen.say("%d of %d devices are connected through TLS, %s.", n, fleetSize, d.spread(nil))
	d.compareAddresses(ctx)
	if c, ok := d.cluster.clients()[states[0].id]; ok && ctx.Err() == nil {
		d.screen.say("The brokers see the devices, not the edge: PROXY v%d tells of %s at %s, which spoke %s.",
			c.ProxyVersion, c.ID, c.Addr, c.TLVs.SSLVersion)
	}
	d.load(ctx)
}

// compareAddresses holds what brokers learned from PROXY against the sockets of
// the devices.
func (d *demo) compareAddresses(ctx context.Context) {
	equal := 0
	same := until(ctx, patience, func() bool {
		equal = 0
		clients := d.cluster.clients()
		for _, s := range d.fleet.snapshot() {
			if c := clients[s.id]; s.connected && c.ProxyVersion == 2 && c.ProxySource == s.addr {
				equal++
			}
		}
		return equal == fleetSize
	})
	if ctx.Err() == nil {
		d.compared += fleetSize
		d.promises.addresses.record(same, "%d of %d the latest time, %d compared in all", equal, fleetSize, d.compared)
	}
}

func (d *demo) reload(ctx context.Context) {
	before := d.fleet.snapshot()
	refusedBefore, err := d.refused(ctx)
	limit := 1000 + d.rounds // so that there is something new in it
	if err == nil {
		err = d.front.reload(ctx, limit)
	}
	if err != nil {
		if ctx.Err() == nil {
			d.promises.reload.record(false, "%v", err)
			d.screen.say("The reload failed: %v", err)
		}
		return
	}
	d.screen.say("The configuration is reloaded while messages flow, with max_connections now %d.", limit)
	if !pause(ctx, time.Second) {
		return
	}
	kept := undisturbed(before, d.fleet.snapshot(), nil)
	refused, err := d.refused(ctx)
	if ctx.Err() != nil {
		return
	}
	refused -= refusedBefore
	d.promises.reload.record(err == nil && kept == fleetSize && refused == 0, "%d of %d kept, %d refused", kept, fleetSize, refused)
	d.screen.say("%d of %d connections are the same as before; %d were refused.", kept, fleetSize, refused)
}

func (d *demo) kill(ctx context.Context) {
	v := d.victim()
	before, its := d.fleet.snapshot(), d.cluster.clientsOf(v)
	victims := 0
	for _, s := range before {
		if its[s.id] {
			victims++
		}
	}
	d.screen.say("Broker %d (%s) is killed, with %d devices on it.", v+1, d.cluster.addr(v), victims)
	met := -d.attempts(ctx, v)
	killed := time.Now()
	d.cluster.kill(v)

	var back int
	var lastBack, outAfter time.Duration
	var why string
	until(ctx, patience, func() bool {
		back, lastBack = returned(before, d.fleet.snapshot(), its, killed)
		if outAfter == 0 {
			if e, err := d.front.endpoint(ctx, d.cluster.addr(v)); err == nil && !e.Up {
				outAfter, why = time.Since(killed), e.Reason
			}
		}
		return back == victims && outAfter > 0
	})
	if ctx.Err() != nil {
		return
	}
	d.allBackAt = time.Now()
	others := fleetSize - victims
	kept := undisturbed(before, d.fleet.snapshot(), its)
	d.promises.kill.record(victims > 0 && back == victims && kept == others,
		"%d of %d after %s; %d of the %d others kept their connection", back, victims, brief(lastBack), kept, others)
	d.screen.say("%d of %d are back after %s, %s; %d of the %d others kept their connection.",
		back, victims, brief(lastBack), d.spread(its), kept, others)
	if outAfter == 0 {
		d.promises.ejection.record(false, "not within %v", patience)
		d.screen.say("The edge has not taken broker %d out.", v+1)
		return
	}
	why, _, _ = strings.Cut(why, ", next try")
	d.promises.ejection.record(true, "after %s, as %s", brief(outAfter), why)
	met += d.attempts(ctx, v)
	d.screen.say("The edge took broker %d out after %s: %s. Until then %d attempts for devices coming back had failed there.",
		v+1, brief(outAfter), why, met)
	d.compareAddresses(ctx)
}

func (d *demo) revive(ctx context.Context) {
	v := d.victim()
	// Until then the edge would not try it.
	if !pause(ctx, time.Until(d.allBackAt.Add(d.plan.failTimeout))) {
		return
	}
	var err error
	until(ctx, patience, func() bool { // where loopback has one address only its port may be in use for a moment
		err = d.cluster.revive(v)
		return err == nil
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.promises.comeback.record(false, "it did not start: %v", err)
		d.screen.say("Broker %d did not start again: %v", v+1, err)
		return
	}
	d.screen.say("Broker %d is back. Connections stay where they are: this version of mqedge moves no live ones. "+
		"Every third device reconnects now of its own accord.", v+1)
	m := d.reconnectSome(ctx, 0, v)
	up := until(ctx, patience, func() bool {
		e, err := d.front.endpoint(ctx, d.cluster.addr(v))
		return err == nil && e.Up
	})
	if ctx.Err() != nil {
		return
	}
	d.promises.comeback.record(up && m.onIt > 0, "%v", m)
	verdict := "has it in use again"
	if !up {
		verdict = "still has it out"
	}
	d.screen.say("Of them, %v went to broker %d, and the edge %s. All devices: %s.", m, v+1, verdict, d.spread(nil))
	d.compareAddresses(ctx)
}

// movement is what became of devices that reconnected.
type movement struct {
	onIt, all int // of the devices, with the broker they were to go to
	last      time.Duration
}

func (m movement) String() string {
	return fmt.Sprintf("%d of %d that reconnected within %s", m.onIt, m.all, brief(m.last))
}

// reconnectSome has every third device, from the first given, disconnect and come back, and looks who of them is on broker v then.
func (d *demo) reconnectSome(ctx context.Context, first, v int) (m movement) {
	before, asked := d.fleet.snapshot(), time.Now()
	who := make(map[string]bool)
	for _, i := range d.fleet.reconnect(first, 3) {
		who[before[i].id] = true
	}
	m.all = len(who)
	until(ctx, patience, func() bool {
		var back int
		back, m.last = returned(before, d.fleet.snapshot(), who, asked)
		return back == m.all
	})
	for id := range d.cluster.clientsOf(v) {
		if who[id] {
			m.onIt++
		}
	}
	return m
}

// attempts is how often the edge has tried to connect to broker i.
func (d *demo) attempts(ctx context.Context, i int) int {
	e, err := d.front.endpoint(ctx, d.cluster.addr(i))
	if err != nil {
		return 0
	}
	return int(e.Connects)
}

// refused is how many connections the edge has refused, for whatever reason.
func (d *demo) refused(ctx context.Context) (int, error) {
	s, err := d.front.admin.Status(ctx)
	n := 0
	for _, l := range s.Listeners {
		for _, each := range l.Refused {
			n += int(each)
		}
	}
	return n, err
}

// spread says how many of these devices, or of all, each broker has.
func (d *demo) spread(of map[string]bool) string {
	var on [allBrokers]int
	clients := d.cluster.clients()
	for _, s := range d.fleet.snapshot() {
		if c, ok := clients[s.id]; ok && (of == nil || of[s.id]) {
			on[c.broker]++
		}
	}
	var parts []string
	for i, n := range on {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d on broker %d", n, i+1))
		}
	}
	return strings.Join(parts, ", ")
}

// returned counts those of the devices named that have a new connection, and
// how long after the time given the last of them got it.
func returned(before, now []state, who map[string]bool, since time.Time) (n int, last time.Duration) {
	for i, s := range now {
		if who[s.id] && s.connected && s.connections > before[i].connections {
			n++
			last = max(last, s.since.Sub(since))
		}
	}
	return n, last
}

// undisturbed counts the devices, less those named, whose connection is the one
// they had.
func undisturbed(before, now []state, but map[string]bool) int {
	n := 0
	for i, s := range now {
		if !but[s.id] && s.connected && s.connections == before[i].connections {
			n++
		}
	}
	return n
}
