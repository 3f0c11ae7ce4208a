package gossip

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"
)

// summaryInterval is how often a kind of refusal that goes on is logged.
const summaryInterval = time.Minute

// refusals counts what others said and was not believed. The first of a kind is logged, then a summary now and then: who
// talks nonsense does so often.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex
	counts map[string]uint64
	recent map[string]*recentRefusals
	named  map[string]bool // what addOnce has counted
}

type recentRefusals struct {
	count  int
	last   string
	logged time.Time
}

// mostNamed bounds the memory of addOnce; beyond it, it begins again.
const mostNamed = 10_000

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{
		log:    log,
		counts: make(map[string]uint64),
		recent: make(map[string]*recentRefusals),
		named:  make(map[string]bool),
	}
}

// add counts one. The reason is one of the constants, what says what was refused and from whom.
func (r *refusals) add(reason, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(reason, what)
}

// addOnce counts what is looked at again and again only once.
func (r *refusals) addOnce(reason, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.named[reason+what] {
		return
	}
	if len(r.named) >= mostNamed {
		clear(r.named)
	}
	r.named[reason+what] = true
	r.count(reason, what)
}

func (r *refusals) count(reason, what string) {
	r.counts[reason]++
	recent := r.recent[reason]
	if recent == nil {
		recent = &recentRefusals{}
		r.recent[reason] = recent
	}
	recent.count++
	recent.last = what
	if time.Since(recent.logged) >= summaryInterval {
		r.report(reason, recent)
	}
}

// report logs what came since the last time.
func (r *refusals) report(reason string, recent *recentRefusals) {
	r.log.LogAttrs(context.Background(), slog.LevelWarn, "gossip refused what others said",
		slog.String("reason", reason), slog.Int("count", recent.count), slog.String("last", recent.last))
	recent.count, recent.logged = 0, time.Now()
}

// summarize logs what add held back.
func (r *refusals) summarize() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for reason, recent := range r.recent {
		if recent.count > 0 && time.Since(recent.logged) >= summaryInterval {
			r.report(reason, recent)
		}
	}
}

func (r *refusals) snapshot() map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}
