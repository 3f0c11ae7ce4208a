package demo

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"
)

// finish counts the messages and the hook calls and drains. It does so, faster, after Ctrl-C too.
func (d *demo) finish(ctx context.Context) {
	limit := patience
	if ctx.Err() != nil {
		d.screen.say("Interrupted.")
		limit = time.Second
	}
	d.countMessages(limit)
	d.countCalls(limit)
	d.drain()
}

// countMessages stops the publishing and waits for what is on its way.
func (d *demo) countMessages(limit time.Duration) {
	d.fleet.quiet.Store(true)
	now := time.Now()
	if until(context.Background(), limit, func() bool { return d.fleet.pending() == 0 }) {
		now = now.Add(patience) // nothing can become of the rest
	}
	t, p50, p99 := d.fleet.messages(now)
	if t.delivered+t.lost == 0 {
		return // Ctrl-C came before the fate of any message was known
	}
	d.promises.messages.record(t.lost == 0,
		"%s published, %s acknowledged, %s delivered, %d cut off as a connection ended, %d lost; the latest took p50 %s, p99 %s",
		count(t.published), count(t.acknowledged), count(t.delivered), t.cutOff, t.lost, brief(p50), brief(p99))
}

func (d *demo) drain() {
	d.fleet.retired.Store(true)
	addr, n := d.front.addr().String(), connected(d.fleet.snapshot())
	d.screen.say("The edge drains, as on SIGTERM: it accepts no more and closes %d connections evenly over %v.", n, d.plan.drainOver)
	began := time.Now()
	d.front.drain()
	took := time.Since(began)
	left := 0
	gone := until(context.Background(), time.Second, func() bool {
		left = connected(d.fleet.snapshot()) + d.cluster.connections()
		return left == 0
	})
	var ends []time.Duration
	for _, s := range d.fleet.snapshot() {
		if !s.connected && s.until.After(began) {
			ends = append(ends, s.until.Sub(began))
		}
	}
	quarters := inQuarters(ends, d.plan.drainOver)
	d.screen.say("Drained in %s: %d connections ended, %s in its quarters; %d are left.",
		brief(took), len(ends), join(quarters), left)
	if n == 0 {
		return
	}
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err == nil {
		_ = c.Close()
	}
	d.promises.drain.record(gone && err != nil && bitByBit(quarters),
		"%d over %s, %s in its quarters; %d left, the port closed: %t", len(ends), brief(took), join(quarters), left, err != nil)
}

// inQuarters counts how many times lie in each quarter of the whole; what comes
// late belongs to the last.
func inQuarters(times []time.Duration, whole time.Duration) [4]int {
	var n [4]int
	for _, t := range times {
		n[min(max(int(4*t/whole), 0), 3)]++
	}
	return n
}

// bitByBit is true unless nearly all came at once. It asks for no more, as on a
// busy machine the devices may notice late; the figures are there to read.
func bitByBit(n [4]int) bool {
	return 10*slices.Max(n[:]) <= 9*(n[0]+n[1]+n[2]+n[3])
}

func join(n [4]int) string { return fmt.Sprintf("%d, %d, %d and %d", n[0], n[1], n[2], n[3]) }
