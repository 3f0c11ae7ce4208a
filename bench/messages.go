//go:build linux

package main

import (
	"context"
	"errors"
	"time"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/report"
)

const (
	grace = 2 * time.Second // for the last messages to come back

	// tolerance is for the generator's p99. Beyond it messages come in bursts, which are cheaper to relay than the same
	// messages one by one: such a figure flatters the proxy.
	tolerance = 5 * time.Millisecond
)

// messages measures the proxy's CPU time per message: a small PUBLISH to the sink is one, its way back another. The rate
// counts both ways, over all connections.
func messages(rate float64, conns int) measure {
	return func(_ context.Context, b *bed, s settings) (report.Measurement, error) {
		m, err := b.connect(conns, 0)
		if err != nil {
			return m, err
		}
		run := load.RunOptions{Rate: rate / 2, For: s.warmUp, MinPayload: 64, MaxPayload: 256, Seed: b.seed, Grace: grace}
		if _, err := b.ask(load.Request{Run: &run}); err != nil {
			return m, err
		}
		run.For, run.Seed = s.window, b.seed+1
		var r *load.RunResult
		cost, err := b.meter(func() error {
			reply, err := b.ask(load.Request{Run: &run})
			r = reply.Result
			return err
		})
		if err != nil {
			return m, err
		}
		if r.Received == 0 {
			return m, errors.New("no message came back")
		}

		m.Messages = 2 * r.Received
		m.Value = micros(cost.proxy) / float64(m.Messages)
		m.P50, m.P99 = micros(r.P50), micros(r.P99)
		cost.shares(&m)
		if lost := r.Due - r.Received; lost > 0 {
			m.Remark("lost %d of %d messages %v", lost, r.Due, r.Failed)
		}
		late(&m, r.LateP99)
		return m, nil
	}
}

// late enters the p99 of the generator's lateness, and marks a measurement for which it was too late.
func late(m *report.Measurement, p99 time.Duration) {
	m.LateP99 = micros(p99)
	if p99 > tolerance {
		m.Disturbed = true
		m.Remark("the generator was late by %s (p99), because the host was busy with other work: too low, and the latency too high", p99.Round(time.Microsecond))
	}
}
