package demo

import (
	"context"
	"time"

	"github.com/mqedge/mqedge/demo/hooks"
)

// The scenes with a hook server that is killed and comes back.

// outage is what one of them leaves to the other.
type outage struct {
	victim int
	its    []string // clients of the victim
	others []string // of the other one
}

// load tells of OnProviderLoaded, which the brokers sent before the devices came.
func (d *demo) load(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	first, _ := d.providers.heard(0)
	second, _ := d.providers.heard(1)
	d.screen.say("The brokers make the ExHook calls of EMQX, to the edge. Hook server 1 heard OnProviderLoaded of %d brokers and has the calls "+
		"for %d devices, hook server 2 of %d and for %d.", len(first.Nodes), len(first.Clients), len(second.Nodes), len(second.Clients))
}

func (d *demo) killProvider(ctx context.Context) {
	v := d.rounds % 2
	d.calls.mark()
	killed := time.Now()
	heir, _ := d.providers.heard(1 - v) // before: its calls go there at once
	was := d.providers.kill(v)
	d.outage = outage{victim: v, its: clientsOf(was, heir), others: clientsOf(heir, was)}
	its := d.outage.its
	d.screen.say("Hook server %d (%s) is killed, with the calls for %d devices.", v+1, d.providers.addrs[v], len(its))

	moved := 0
	until(ctx, patience, func() bool {
		heir, _ = d.providers.heard(1 - v)
		moved = after(heir, its, killed)
		return moved == len(its)
	})
	if ctx.Err() != nil {
		return
	}
	last := time.Since(killed)
	d.screen.say("Hook server %d has the calls for %d of them after %s: %v.", 2-v, moved, brief(last), d.calls.sinceMark())
	d.promises.heir.record(len(its) > 0 && moved == len(its), "%d of %d after %s", moved, len(its), brief(last))
}

func (d *demo) reviveProvider(ctx context.Context) {
	v, its := d.outage.victim, d.outage.its
	var err error
	until(ctx, patience, func() bool { // as in revive
		err = d.providers.revive(v)
		return err == nil
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		d.promises.heard.record(false, "it did not start: %v", err)
		d.screen.say("Hook server %d did not start again: %v", v+1, err)
		return
	}
	began := time.Now()
	d.screen.say("Hook server %d is back.", v+1)
	var heard hooks.Heard
	back := 0
	until(ctx, patience, func() bool {
		heard, _ = d.providers.heard(v)
		back = after(heard, its, began)
		return back == len(its) && loadedBy(heard) == founders
	})
	if ctx.Err() != nil {
		return
	}
	last := time.Since(began)
	strangers := 0
	for _, id := range d.outage.others {
		if _, ok := heard.Clients[id]; ok {
			strangers++
		}
	}
	nodes := loadedBy(heard)
	first := nodes == founders && heard.Early == 0
	d.promises.heard.record(first && back == len(its),
		"OnProviderLoaded of %d brokers, %d calls before it; %d of %d devices after %s, %d of the %d others",
		nodes, heard.Early, back, len(its), brief(last), strangers, len(d.outage.others))
	d.screen.say("It heard OnProviderLoaded of %d brokers and %d calls before that, and has the calls for %d of its %d devices again after %s, "+
		"and for %d of the %d others.", nodes, heard.Early, back, len(its), brief(last), strangers, len(d.outage.others))

	a := d.calls.sinceMark()
	d.promises.outage.record(a.lost == 0, "%v", a)
	d.screen.say("From the kill until now: %v.", a)
}

// loadedBy counts the founders whose OnProviderLoaded a hook server heard.
func loadedBy(h hooks.Heard) int {
	n := 0
	for i := range founders {
		if h.Nodes[nodeName(i)] > 0 {
			n++
		}
	}
	return n
}

// countCalls ends the brokers' part in hooks, once nobody publishes.
func (d *demo) countCalls(limit time.Duration) {
	// One that is never answered is lost by then.
	until(context.Background(), limit+time.Second, func() bool { return d.calls.pending() == 0 })
	d.cluster.unhook()
	a, p50, p99 := d.calls.total()
	if a.answered+a.lost == 0 {
		return // Ctrl-C came before
	}
	d.promises.calls.record(a.lost == 0, "%v; %d cut off as their broker was killed; the latest took p50 %s, p99 %s", a, a.cutOff, brief(p50), brief(p99))
}
