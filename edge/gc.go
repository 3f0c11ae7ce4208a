package edge

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// A heap may hold this much garbage before it is collected, as a share of what
// is in use (GOGC) and at the least. Relaying allocates nothing, so half is
// enough; but a young process has so little in use that half of it would have a
// storm of handshakes collect garbage all the time, a tenth of their cost.
const (
	garbageShare = 50 // percent
	garbageLeast = 24 << 20
)

// pacer sets GOGC anew after each collection.
type pacer struct {
	percent int
	stopped atomic.Bool
}

// paceGC begins to do so; the function it returns ends it.
func paceGC() (stop func()) {
	p := &pacer{}
	before := debug.SetGCPercent(garbageShare)
	p.set()
	return func() {
		p.stopped.Store(true)
		debug.SetGCPercent(before)
	}
}

// set adapts to what was in use at the last collection, and comes again after
// the next.
func (p *pacer) set() {
	if p.stopped.Load() {
		return
	}
	if percent := percentFor(inUse()); percent != p.percent {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.AddCleanup(new([2]*pacer), (*pacer).set, p) // an object that nobody has: the next collection finds it
}

func percentFor(inUse uint64) int {
	const least = 4 << 20 // the runtime lets no heap be smaller before it collects
	return int(max(garbageShare, garbageLeast*100/max(inUse, least)))
}

func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
