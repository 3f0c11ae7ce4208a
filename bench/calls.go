//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/process"
	"github.com/mqedge/mqedge/bench/provider"
	"github.com/mqedge/mqedge/bench/report"
)

const (
	callConns = 8 // as a node of EMQX has
	streams   = 16
	clientIDs = 500
	idleCalls = 1000 // idle connections
)

// dial opens n connections for calls and begins the measurement with what became of them.
func (b *bed) dial(n int) (m report.Measurement, err error) {
	reply, err := b.ask(load.Request{Dial: &load.CallerOptions{Addr: b.proxy.Addr, Conns: n, Streams: streams, ClientIDs: clientIDs}})
	if err != nil {
		return m, err
	}
	return m, connected(&m, n, reply.Outcome)
}

// calls measures the proxy's CPU time per unary call, at that many a second or, with 0, as fast as they are answered.
func calls(rate float64) measure {
	return func(_ context.Context, b *bed, s settings) (report.Measurement, error) {
		m, err := b.dial(callConns)
		if err != nil {
			return m, err
		}
		run := load.CallOptions{Rate: rate, For: min(s.warmUp, s.callFor/4), Seed: b.seed, Grace: grace}
		if _, err := b.ask(load.Request{Calls: &run}); err != nil {
			return m, err
		}
		run.For, run.Seed = s.callFor, b.seed+1
		var r *load.CallResult
		cost, err := b.meter(func() error {
			reply, err := b.ask(load.Request{Calls: &run})
			r = reply.Calls
			return err
		})
		if err != nil {
			return m, err
		}
		if r.Answered == 0 {
			return m, fmt.Errorf("no call was answered: %v", r.Failed)
		}

		m.Messages = r.Answered
		m.Value = micros(cost.proxy) / float64(m.Messages)
		m.P50, m.P99 = micros(r.P50), micros(r.P99)
		cost.shares(&m)
		if wrong := r.Due - r.Answered; wrong > 0 {
			m.Remark("%d of %d calls failed %v", wrong, r.Due, r.Failed)
		}
		if rate > 0 {
			late(&m, r.LateP99)
		} else {
			m.Rate = float64(r.Answered) / r.Took.Seconds()
			cost.others(&m)
		}
		return m, nil
	}
}

// idleCallers measures what the proxy's memory grows by for a connection that has made one call and then lies quiet.
// Afterwards a call over every connection must be answered.
func idleCallers(ctx context.Context, b *bed, s settings) (report.Measurement, error) {
	before, err := process.PSS(b.proxy.PID())
	if err != nil {
		return report.Measurement{}, err
	}
	m, err := b.dial(idleCalls)
	if err != nil {
		return m, err
	}
	if err := pause(ctx, s.settle); err != nil {
		return m, err
	}
	after, err := process.PSS(b.proxy.PID())
	if err != nil {
		return m, err
	}
	m.Value = float64(after-before) / 1024 / float64(m.Connections)
	alive, err := b.ask(load.Request{Again: true})
	if err != nil {
		return m, err
	}
	if alive.Outcome.OK < m.Connections {
		m.Remark("%d of %d idle connections were dead afterwards: %v", m.Connections-alive.Outcome.OK, m.Connections, alive.Outcome.Failed)
	}
	return m, nil
}

// checkProviders adds to m what the hook servers found wrong.
func (b *bed) checkProviders(m *report.Measurement) error {
	var seen provider.Stats
	if err := b.sink.ask("stats", &seen); err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	if seen.Malformed > 0 {
		m.Remark("%d connections brought the hook servers malformed bytes", seen.Malformed)
	}
	if seen.Cancelled > 0 {
		m.Remark("%d calls to the hook servers were reset", seen.Cancelled)
	}
	for i, n := range seen.Calls {
		if n == 0 {
			m.Remark("hook server %d of %d got no call", i+1, len(seen.Calls))
		}
	}
	return nil
}
