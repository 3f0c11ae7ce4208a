//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/mqedge/mqedge/bench/process"
	"github.com/mqedge/mqedge/bench/report"
	"github.com/mqedge/mqedge/bench/sink"
)

// spent is CPU time of each process and of the whole host, and the time it was spent in.
type spent struct{ proxy, load, sink, host, took time.Duration }

// meter reads the CPU clocks before and after the work.
func (b *bed) meter(work func() error) (spent, error) {
	before, err := b.clocks()
	if err != nil {
		return spent{}, err
	}
	began := time.Now()
	if err := work(); err != nil {
		return spent{}, err
	}
	took := time.Since(began)
	after, err := b.clocks()
	return spent{proxy: after.proxy - before.proxy, load: after.load - before.load, sink: after.sink - before.sink, host: after.host - before.host, took: took}, err
}

func (b *bed) clocks() (s spent, err error) {
	if s.proxy, err = process.CPU(b.proxy.PID()); err != nil {
		return s, err
	}
	if s.load, err = process.CPU(b.load.pid()); err != nil {
		return s, err
	}
	if s.sink, err = process.CPU(b.sink.pid()); err != nil {
		return s, err
	}
	s.host, err = process.HostCPU()
	return s, err
}

// shares enters what part of one core each process used.
func (s spent) shares(m *report.Measurement) {
	m.ProxyCPU = float64(s.proxy) / float64(s.took)
	m.LoadCPU = float64(s.load) / float64(s.took)
	m.SinkCPU = float64(s.sink) / float64(s.took)
}

// company is what part of one core others may use before a measurement that runs as fast as it can counts as disturbed:
// two threads of one core, or two programs with one cache, cost each other up to half as much again.
const company = 0.25

// others marks a measurement during which other programs were busy.
func (s spent) others(m *report.Measurement) {
	share := float64(s.host-s.proxy-s.load-s.sink) / float64(s.took)
	if share > company {
		m.Disturbed = true
		m.Remark("other programs used %.0f %% of a core: too high", 100*share)
	}
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

const (
	calmWithin = 5 * time.Second
	calmWindow = 50 * time.Millisecond
	calmShare  = 0.01 // of one core, and less: what a proxy without work uses
)

// calm returns when no connection has reached the sink's end any more and the proxy has stopped working.
func (b *bed) calm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, calmWithin)
	defer cancel()
	last, err := process.CPU(b.proxy.PID())
	if err != nil {
		return err
	}
	for {
		if err := pause(ctx, calmWindow); err != nil {
			return fmt.Errorf("the proxy still had connections or worked %s after the last was closed", calmWithin)
		}
		now, err := process.CPU(b.proxy.PID())
		if err != nil {
			return err
		}
		var seen sink.Stats
		if err := b.sink.ask("stats", &seen); err != nil {
			return fmt.Errorf("sink: %w", err)
		}
		if seen.Open == 0 && float64(now-last) <= calmShare*float64(calmWindow) {
			return nil
		}
		last = now
	}
}
