package discovery

import (
	"context"
	"sync"

	"github.com/mqedge/mqedge/balancer"
)

// Static is a set that never changes.
func Static(endpoints []balancer.Endpoint) Source { return static(endpoints) }

type static []balancer.Endpoint

func (s static) Run(ctx context.Context, sink Sink) error {
	if len(s) > 0 {
		sink.Update(s)
	}
	<-ctx.Done()
	return nil
}

// Union is what all of the sources know together, in their order; of an address that several know, the first one's
// endpoint counts. A source that has not spoken yet takes nothing away from the others. When one fails all end.
func Union(sources ...Source) Source {
	if len(sources) == 1 {
		return sources[0]
	}
	return union(sources)
}

type union []Source

func (u union) Run(ctx context.Context, sink Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		mu     sync.Mutex
		known  = make([][]balancer.Endpoint, len(u))
		wg     sync.WaitGroup
		failed error
	)
	for i, source := range u {
		wg.Go(func() {
			err := source.Run(ctx, SinkFunc(func(endpoints []balancer.Endpoint) {
				mu.Lock()
				defer mu.Unlock()
				known[i] = append([]balancer.Endpoint(nil), endpoints...)
				sink.Update(Merge(known...))
			}))
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				if failed == nil {
					failed = err
				}
				cancel()
			}
		})
	}
	wg.Wait()
	return failed
}

// Merge is what sets of endpoints are together, in their order; of an address that is in several, the first one's endpoint
// counts.
func Merge(sets ...[]balancer.Endpoint) []balancer.Endpoint {
	var all []balancer.Endpoint
	seen := make(map[string]bool)
	for _, endpoints := range sets {
		for _, e := range endpoints {
			if !seen[e.Addr] {
				seen[e.Addr] = true
				all = append(all, e)
			}
		}
	}
	return all
}
