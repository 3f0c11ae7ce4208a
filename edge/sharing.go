package edge

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mqedge/mqedge/discovery/gossip"
)

// What edges share beside endpoints: the words of gossip.share.
const (
	shareDrains  = "drains"
	shareHealth  = "health"
	shareTickets = "tickets"
)

// tendFacts is how often drains are looked at that may have to be prolonged.
const tendFacts = time.Hour

func (m *member) shares(what string) bool { return slices.Contains(m.config.Share, what) }

// beginSharing is for a member whose generation is in force.
func (e *Edge) beginSharing(m *member) {
	if m != nil {
		m.shared = start(func(ctx context.Context) { e.share(ctx, m) })
	}
}

// share tells others, and heeds, what the configuration says, until ctx ends.
func (e *Edge) share(ctx context.Context, m *member) {
	var all sync.WaitGroup
	if m.shares(shareDrains) {
		all.Go(func() { m.node.WatchShared(ctx, factDrain, func([]gossip.Fact) { e.settleNow() }) })
		all.Go(func() {
			for ctx.Err() == nil {
				e.prolongDrains(m.node)
				wait(ctx, tendFacts)
			}
		})
	}
	if m.shares(shareHealth) {
		all.Go(func() { e.agree(ctx, m.node) })
	}
	if m.shares(shareTickets) && m.node.Encrypted() {
		all.Go(func() { e.shareTickets(ctx, m.node) })
	}
	all.Wait()
}
