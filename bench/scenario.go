//go:build linux

package main

import (
	"context"
	"time"

	"github.com/mqedge/mqedge/bench/report"
)

// scenario is one thing to measure. A new one is a line in scenarios and, where the work is new, a function beside
// idle and messages.
type scenario struct {
	name, title, unit string
	tls               bool
	memory            bool // hardly differs between rounds, and the tuned variants are about it
	measure           func(context.Context, *bed, settings) (report.Measurement, error)
}

func scenarios() []scenario {
	return []scenario{
		{name: "idle-tls", title: "memory per idle TLS connection", unit: "KiB", tls: true, memory: true, measure: idle},
		{name: "idle-plain", title: "memory per idle plain connection", unit: "KiB", memory: true, measure: idle},
		{name: "msg-tls-20k", title: "CPU per message through TLS, 20,000 messages/s", unit: "µs", tls: true, measure: messages(20_000)},
		{name: "msg-tls-4k", title: "CPU per message through TLS, 4,000 messages/s", unit: "µs", tls: true, measure: messages(4_000)},
		{name: "msg-plain-20k", title: "CPU per message, plain, 20,000 messages/s", unit: "µs", measure: messages(20_000)},
		{name: "msg-plain-4k", title: "CPU per message, plain, 4,000 messages/s", unit: "µs", measure: messages(4_000)},
	}
}

func names() (all []string) {
	for _, s := range scenarios() {
		all = append(all, s.name)
	}
	return all
}

// memoryRounds are enough where figures repeat to a few percent.
const memoryRounds = 2

func (s scenario) rounds(set settings) int {
	if s.memory {
		return min(set.rounds, memoryRounds)
	}
	return set.rounds
}

// pause waits, or ends early with the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
