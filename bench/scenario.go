//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/mqedge/mqedge/bench/peers"
	"github.com/mqedge/mqedge/bench/report"
)

// measure is the work of a scenario on a fresh bed.
type measure func(context.Context, *bed, settings) (report.Measurement, error)

// scenario is one thing to measure. A new one is a line in scenarios and, where the work is new, a function beside
// idle, messages, transfer, setup and calls.
type scenario struct {
	name, title, unit string
	key               keyType
	buffers           string // of the tuned variants for which this scenario is made
	grpc              bool   // calls to hook servers
	memory            bool   // hardly differs between rounds
	long              bool   // not with --quick
	measure           measure
}

func scenarios() []scenario {
	all := []scenario{
		{name: "idle-tls", title: "memory per idle TLS connection", unit: "KiB", key: ecdsaKey, buffers: "4k", memory: true, measure: idle},
		{name: "idle-plain", title: "memory per idle plain connection", unit: "KiB", buffers: "4k", memory: true, measure: idle},
		{name: "msg-tls-20k", title: "CPU per message through TLS, 20,000 messages/s", unit: "µs", key: ecdsaKey, measure: messages(20_000, 500)},
		{name: "msg-tls-4k", title: "CPU per message through TLS, 4,000 messages/s", unit: "µs", key: ecdsaKey, measure: messages(4_000, 500)},
		{name: "msg-plain-20k", title: "CPU per message, plain, 20,000 messages/s", unit: "µs", measure: messages(20_000, 500)},
		{name: "msg-plain-4k", title: "CPU per message, plain, 4,000 messages/s", unit: "µs", measure: messages(4_000, 500)},
		{name: "setup-ecdsa", title: "CPU per TLS connection, full handshake, ECDSA P-256", unit: "µs", key: ecdsaKey, measure: setup(false)},
		{name: "setup-rsa", title: "CPU per TLS connection, full handshake, RSA-2048", unit: "µs", key: rsaKey, measure: setup(false)},
		{name: "setup-resumed", title: "CPU per TLS connection, session resumed", unit: "µs", key: ecdsaKey, measure: setup(true)},
		{name: "setup-plain", title: "CPU per plain connection", unit: "µs", measure: setup(false)},
	}
	for _, key := range []keyType{ecdsaKey, noKey} {
		for _, way := range []string{"up", "down"} {
			for _, streams := range []int{1, 8} {
				all = append(all, bulkScenario(key, way, streams))
			}
		}
	}
	for _, conns := range []int{100, 1000, 9000} {
		all = append(all, scenario{
			name: "msg-tls-" + fmt.Sprint(conns) + "c", title: fmt.Sprintf("CPU per message through TLS, 10,000 messages/s over %d connections", conns),
			unit: "µs", key: ecdsaKey, long: true, measure: messages(10_000, conns),
		})
	}
	return append(all,
		scenario{name: "grpc-5k", title: "CPU per gRPC call, 5,000 calls/s", unit: "µs", grpc: true, measure: calls(5_000)},
		scenario{name: "grpc-full", title: "CPU per gRPC call, as fast as they are answered", unit: "µs", grpc: true, measure: calls(0)},
		scenario{name: "grpc-idle", title: "memory per idle gRPC connection", unit: "KiB", grpc: true, memory: true, measure: idleCallers},
	)
}

func bulkScenario(key keyType, way string, streams int) scenario {
	layer, through, many := "plain", "plain", "one stream"
	if key != noKey {
		layer, through = "tls", "through TLS"
	}
	if streams > 1 {
		many = fmt.Sprintf("%d streams", streams)
	}
	return scenario{
		name:  fmt.Sprintf("bulk-%s-%s-%d", layer, way, streams),
		title: fmt.Sprintf("CPU per GiB %s, %s, %s", through, way, many),
		unit:  "s/GiB", key: key, buffers: "64k", long: streams == 1, measure: transfer(streams, way == "down"),
	}
}

func names() (all []string) {
	for _, s := range scenarios() {
		all = append(all, s.name)
	}
	return all
}

// takes reports whether a peer has a part: each as it comes, and a tuned variant where its buffers matter. Small buffers
// might matter anywhere but to bulk.
func (s scenario) takes(p peers.Peer, set settings) bool {
	switch {
	case p.Tuned == "":
		return true
	case !set.tuned:
		return false
	case s.grpc || p.Tuned == "grpc":
		return s.grpc && p.Tuned == "grpc"
	case p.Tuned == "4k":
		return s.buffers != "64k"
	default:
		return s.buffers == p.Tuned
	}
}

func (s scenario) rounds(set settings) int {
	if s.memory {
		return min(set.rounds, set.memoryRounds)
	}
	return set.rounds
}

// chosen are the scenarios asked for by name, else all that there is time for.
func (set settings) chosen() []scenario {
	return slices.DeleteFunc(scenarios(), func(s scenario) bool {
		if len(set.only) > 0 {
			return !slices.Contains(set.only, s.name)
		}
		return s.long && set.quick
	})
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
