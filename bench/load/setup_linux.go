package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/bench/stats"
)

// SetupOptions describe connections that are opened only to be closed.
type SetupOptions struct {
	Options
	Workers int  `json:"workers"` // that each open one after the other
	Resume  bool `json:"resume"`  // the TLS session of the connection before, with the newest ticket
}

// SetupResult is what became of them.
type SetupResult struct {
	Outcome
	Resumed int           `json:"resumed"`
	P50     time.Duration `json:"p50"` // from the dial to CONNACK
	P99     time.Duration `json:"p99"`
}

// Setups opens connections, exchanges CONNECT and closes them. It remembers the TLS sessions of its workers from one run to
// the next. The zero value is ready.
type Setups struct {
	sessions []tls.ClientSessionCache // by worker
}

// Run returns when all connections are closed.
func (s *Setups) Run(ctx context.Context, opts SetupOptions) (SetupResult, error) {
	config, err := opts.tls()
	if err != nil {
		return SetupResult{}, err
	}
	configs := make([]*tls.Config, opts.Workers)
	for i := range configs {
		configs[i] = s.config(config, i, opts.Resume)
	}
	var (
		failed      failures
		ok, resumed atomic.Int64
		latency     stats.Histogram
	)
	each(opts.Conns, opts.Workers, func(worker, i int) {
		began := time.Now()
		c, err := dial(ctx, opts.Addr, configs[worker])
		if err == nil {
			err = c.greet(fmt.Sprintf("bench-%05d", i), opts.FirstPublish)
		}
		if err != nil {
			failed.add(err)
			return
		}
		latency.Record(time.Since(began))
		ok.Add(1)
		if c.resumed {
			resumed.Add(1)
		}
		_ = c.Close()
	})
	return SetupResult{
		Outcome: Outcome{OK: int(ok.Load()), Failed: failed.byError()},
		Resumed: int(resumed.Load()),
		P50:     latency.Quantile(0.5), P99: latency.Quantile(0.99),
	}, nil
}

// config is what a worker dials with. A cache of one holds the newest ticket.
func (s *Setups) config(base *tls.Config, worker int, resume bool) *tls.Config {
	if base == nil || !resume {
		return base
	}
	for len(s.sessions) <= worker {
		s.sessions = append(s.sessions, tls.NewLRUClientSessionCache(1))
	}
	config := base.Clone()
	config.ClientSessionCache = s.sessions[worker]
	return config
}
