//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/report"
)

const (
	setupWorkers = 8
	setupWarmUp  = 8 * setupWorkers // connections before the measured ones
	enoughShare  = 0.95             // of the sessions must be resumed
)

// setup measures the proxy's CPU time for a connection that exchanges CONNECT and is closed again.
func setup(resume bool) measure {
	return func(ctx context.Context, b *bed, s settings) (m report.Measurement, err error) {
		opts := load.SetupOptions{Options: b.client(setupWarmUp, 0), Workers: setupWorkers, Resume: resume}
		if _, err := b.ask(load.Request{Setup: &opts}); err != nil {
			return m, err
		}
		if err := b.calm(ctx); err != nil {
			return m, err
		}
		opts.Conns = s.setups
		if len(b.ca) == 0 {
			opts.Conns *= 3 // they are cheap
		}
		var result *load.SetupResult
		cost, err := b.meter(func() error {
			reply, err := b.ask(load.Request{Setup: &opts})
			if err != nil {
				return err
			}
			result = reply.Setup
			return b.calm(ctx)
		})
		if err != nil {
			return m, err
		}
		if result.OK == 0 {
			return m, fmt.Errorf("no connection through the proxy: %v", result.Failed)
		}
		m.Connections = result.OK
		m.Value = micros(cost.proxy) / float64(m.Connections)
		m.P50, m.P99 = micros(result.P50), micros(result.P99)
		cost.others(&m)
		if m.Connections < opts.Conns {
			m.Remark("%d of %d connections failed: %v", opts.Conns-m.Connections, opts.Conns, result.Failed)
		}
		if share := float64(result.Resumed) / float64(result.OK); resume && share < enoughShare {
			m.Remark("only %.0f %% of the TLS sessions were resumed", 100*share)
		}
		return m, nil
	}
}
