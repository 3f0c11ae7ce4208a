package edge

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"
)

// An edge that runs out of memory loses all its clients at once, and when they
// come back they take the next edge down. So it takes no more of them before
// that: they wait in the kernel's queue, or a load balancer sends them elsewhere.
const (
	// stopAt and resumeAt are shares of a limit, in percent. What lies between
	// keeps accepting from going on and off with every connection.
	stopAt   = 90
	resumeAt = 85

	// lookEvery is how often memory is looked at, and lookSoon how often above
	// closeTo percent while connections are accepted: a storm of handshakes takes
	// a few percent in a second.
	lookEvery = time.Second
	lookSoon  = 200 * time.Millisecond
	closeTo   = 75

	// freeEvery is the least time between two collections that are forced, and
	// freeShare how many times as long as the last one took it is at the least.
	freeEvery = 5 * time.Second
	freeShare = 20
)

// pressure stops accepting while memory is short.
type pressure struct {
	read        func() []budget
	free        func() // gives back what can be given back; takes seconds where there is much
	hold        func(bool)
	connections func() int
	log         *slog.Logger

	mayFree time.Time
	latest  *atomic.Pointer[memory]
}

// memory is what the last look found.
type memory struct {
	budget    // the fullest one; its limit is 0 if there is none
	short     bool
	shortFrom time.Time
}

// watchMemory stops accepting while memory is short, until ctx ends.
func (e *Edge) watchMemory(ctx context.Context) {
	b := newBudgets(e.options.LimitMemory)
	if b.none() {
		return
	}
	defer b.close()
	p := &pressure{
		read: b.read, free: debug.FreeOSMemory, hold: e.relay.Hold,
		connections: func() int { return active(e.all()) }, log: e.log, latest: &e.memory,
	}
	p.run(ctx)
}

// run looks until ctx ends.
func (p *pressure) run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		t.Reset(p.look())
	}
}

// look decides whether connections are accepted, and says when to look again.
func (p *pressure) look() time.Duration {
	before := p.latest.Load()
	all := p.read()
	if slices.ContainsFunc(all, func(b budget) bool { return short(before.short, b.used, b.limit) }) && p.tryFree() {
		all = p.read()
	}
	now := memory{shortFrom: before.shortFrom}
	for _, b := range all {
		now.short = now.short || short(before.short, b.needed(), b.limit)
		if now.limit == 0 || b.share() > now.share() {
			now.budget = b
		}
	}
	if now.short != before.short {
		now.shortFrom = time.Now()
		p.hold(now.short)
		p.tell(&now, now.shortFrom.Sub(before.shortFrom))
	}
	p.latest.Store(&now)
	if !now.short && now.used > percentOf(now.limit, closeTo) {
		return lookSoon
	}
	return lookEvery
}

// short is the decision for one budget, given what it was before.
func short(before bool, used, limit uint64) bool {
	if before {
		return used > percentOf(limit, resumeAt)
	}
	return used >= percentOf(limit, stopAt)
}

// tryFree frees memory, unless it did so lately: a collection costs a second of
// CPU time for each few gigabytes.
func (p *pressure) tryFree() bool {
	began := time.Now()
	if began.Before(p.mayFree) {
		return false
	}
	p.free()
	p.mayFree = time.Now().Add(max(freeEvery, freeShare*time.Since(began)))
	return true
}

func (p *pressure) tell(m *memory, lasted time.Duration) {
	if m.short {
		p.log.Warn("memory is short: no more connections are accepted, they wait in the kernel's queue; those there are go on",
			"used", mebibytes(m.needed()), "limit", mebibytes(m.limit), "of", m.of, "connections", p.connections(),
			"until", mebibytes(percentOf(m.limit, resumeAt)), "remedy", "raise the limit, or spread the clients over more edges")
		return
	}
	p.log.Info("memory is no longer short: connections are accepted again",
		"used", mebibytes(m.needed()), "limit", mebibytes(m.limit), "of", m.of, "connections", p.connections(), "after", lasted.Round(time.Second).String())
}

// reason is why the edge is not ready, or "".
func (m *memory) reason() string {
	if !m.short {
		return ""
	}
	return fmt.Sprintf("memory is short, so no more connections are accepted: %v in use, to be at most %s", m.budget, mebibytes(percentOf(m.limit, resumeAt)))
}
