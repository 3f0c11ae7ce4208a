package balancer_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// prober answers as it is told, and takes note of who asked when.
type prober struct {
	mu      sync.Mutex
	answers map[string]error
	asked   map[string][]time.Time
	takes   time.Duration // how long a probe takes, unless the context ends it
	now     int           // probes under way
	most    int           // of those, the most at one time
}

func (p *prober) Probe(ctx context.Context, addr string) error {
	p.mu.Lock()
	p.now++
	p.most = max(p.most, p.now)
	p.asked[addr] = append(p.asked[addr], time.Now())
	answer, takes := p.answers[addr], p.takes
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	select {
	case <-ctx.Done():
		return fmt.Errorf("probing: %w", ctx.Err())
	case <-time.After(takes):
		return answer
	}
}

func (p *prober) answer(addr string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[addr] = err
}

func (p *prober) take(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.takes = d
}

func (p *prober) times(addr string) []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked[addr])
}
