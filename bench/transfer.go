//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/mqedge/mqedge/bench/bulk"
	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/report"
)

// transfer measures the proxy's CPU seconds per GiB of large messages, all streams together, down to the clients or up from
// them.
func transfer(streams int, down bool) measure {
	return func(_ context.Context, b *bed, s settings) (report.Measurement, error) {
		m, err := b.connect(streams, 0)
		if err != nil {
			return m, err
		}
		packets := s.bulk / bulk.PacketSize / int64(streams)
		var outcome *load.Outcome
		cost, err := b.meter(func() error {
			reply, err := b.ask(load.Request{Bulk: &load.BulkOptions{Down: down, Packets: packets}})
			outcome = reply.Outcome
			return err
		})
		if err != nil {
			return m, err
		}
		if outcome.OK < streams {
			return m, fmt.Errorf("%d of %d streams broke: %v", streams-outcome.OK, streams, outcome.Failed)
		}
		m.Value = cost.proxy.Seconds() / (float64(packets*bulk.PacketSize*int64(streams)) / (1 << 30))
		cost.shares(&m)
		cost.others(&m)
		return m, nil
	}
}
