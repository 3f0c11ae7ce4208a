package edge

import (
	"context"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/proxy"
)

// rebalance sheds the surplus of an upstream's endpoints. A nil one sheds nothing.
type rebalance struct {
	proxy.Rebalancing
	run *task // nil until commit
}

func newRebalance(u *configs.Upstream) *rebalance {
	if u.Rebalance.DisconnectsPerSecond == 0 {
		return nil
	}
	return &rebalance{Rebalancing: proxy.Rebalancing{
		PerSecond: u.Rebalance.DisconnectsPerSecond, Threshold: u.Rebalance.ThresholdPercent, HashKey: hashKey(u),
	}}
}

// beginRebalance starts it in place of what the generation before has.
func (e *Edge) beginRebalance(up, before *upstream) {
	if before != nil {
		before.rebalance.stop()
	}
	if r := up.rebalance; r != nil {
		r.run = start(func(ctx context.Context) { proxy.Rebalance(ctx, e.open, up.pool, r.Rebalancing) })
	}
}

// open returns all listeners, or none while those that are parted with could not
// come back.
func (e *Edge) open() []*proxy.Listener {
	if e.draining.Load() || e.memory.Load().short {
		return nil
	}
	return e.all()
}

func (r *rebalance) stop() {
	if r != nil {
		r.run.stop()
	}
}
