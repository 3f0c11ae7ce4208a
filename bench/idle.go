//go:build linux

package main

import (
	"context"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/process"
	"github.com/mqedge/mqedge/bench/report"
)

const idlePublish = 200 // bytes of the one message before a connection falls silent

// idle measures what the proxy's memory grows by for a connection that has exchanged CONNECT and one PUBLISH and then
// lies quiet. Afterwards every connection must still answer.
func idle(ctx context.Context, b *bed, s settings) (report.Measurement, error) {
	before, err := process.PSS(b.proxy.PID())
	if err != nil {
		return report.Measurement{}, err
	}
	m, err := b.connect(s.idleConns, idlePublish)
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

	alive, err := b.ask(load.Request{Ping: true})
	if err != nil {
		return m, err
	}
	if alive.Outcome.OK < m.Connections {
		m.Remark("%d of %d idle connections were dead afterwards: %v", m.Connections-alive.Outcome.OK, m.Connections, alive.Outcome.Failed)
	}
	return m, nil
}
