package discovery

import (
	"context"

	"github.com/mqedge/mqedge/balancer"
)

// Source is where endpoints come from.
type Source interface {
	// Run gives sink the whole set whenever it changes, until ctx ends. It says nothing while it knows nothing. Calls of
	// sink do not overlap, and there are none after Run has returned. The error is nil when ctx ended it.
	Run(ctx context.Context, sink Sink) error
}

// Sink is told the whole set of endpoints each time. It must not keep or change the slice.
type Sink interface {
	Update([]balancer.Endpoint)
}

// SinkFunc is a function as a Sink.
type SinkFunc func([]balancer.Endpoint)

func (f SinkFunc) Update(endpoints []balancer.Endpoint) { f(endpoints) }
