package demo

import "time"

const (
	shortest = 10 * time.Second // in less time the story cannot be told
	round    = 30 * time.Second // of a demo without an end

	// patience is how long something promised may take before it counts as
	// broken. On an idle machine all of it takes a fraction of a second; this is for
	// one that has ten times as much to do as it can.
	patience = 10 * time.Second

	// longestOutage is that of a hook server. The longer it is away, the more rarely
	// the edge tries to connect; after this time within less than patience.
	longestOutage = 3 * time.Second
)

// plan is when what happens, from the start of a round.
type plan struct {
	reload, kill, revive, add, withdraw, killHooks, reviveHooks, end time.Duration

	failTimeout time.Duration // of the edge's passive health
	drainOver   time.Duration // likewise of a broker that is withdrawn
}

// planFor scales the story to a duration. Zero means rounds without an end.
func planFor(d time.Duration) plan {
	if d == 0 {
		p := planFor(round)
		p.end = round
		p.drainOver = time.Second // whoever presses Ctrl-C does not want to wait
		return p
	}
	d = max(d, shortest)
	unit := d / 24
	drainOver := min(max(2*unit, time.Second), 3*time.Second)
	return plan{
		reload: 2*unit + unit/2, kill: 5 * unit, revive: 8 * unit, add: 10 * unit, withdraw: 12 * unit,
		killHooks: 15 * unit, reviveHooks: 15*unit + min(11*unit/4, longestOutage), end: d - drainOver - unit/2,
		failTimeout: min(max(2*unit, time.Second), 3*time.Second),
		drainOver:   drainOver,
	}
}
