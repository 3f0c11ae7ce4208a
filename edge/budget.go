package edge

import (
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"

	"github.com/mqedge/mqedge/edge/cgroup"
)

// budget is a limit on memory and what counts against it.
type budget struct {
	of    string // GOMEMLIMIT, or the file that has the limit
	limit uint64 // bytes
	used  uint64
	slack uint64 // of that, what Go could give back, as far as is known without collecting garbage
}

// needed is what would be left of used if Go gave back what it can.
func (b budget) needed() uint64 { return b.used - min(b.slack, b.used) }

func (b budget) share() float64 { return float64(b.needed()) / float64(b.limit) }

func (b budget) String() string {
	return fmt.Sprintf("%s of %s (%s)", mebibytes(b.needed()), mebibytes(b.limit), b.of)
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// budgets reads all that limit this process.
type budgets struct {
	goLimit uint64 // GOMEMLIMIT; 0 for none
	groups  []cgroup.Memory
	setGo   bool // whether the Go memory limit is ours to set
	set     uint64
}

// ourShare of a control group's limit is what Go may use before it collects
// garbage more often than GOGC asks for. The rest is for what Go does not count:
// sockets most of all.
const ourShare = 90 // percent

func newBudgets(setGo bool) *budgets {
	b := &budgets{groups: cgroup.Groups("/"), setGo: setGo}
	if limit := debug.SetMemoryLimit(-1); limit > 0 && limit != math.MaxInt64 {
		b.goLimit, b.setGo = uint64(limit), false
	}
	return b
}

// none reports whether there is nothing that could have a limit.
func (b *budgets) none() bool { return b.goLimit == 0 && len(b.groups) == 0 }

// read returns the budgets as they are now. A control group's limit may come, go
// and change.
func (b *budgets) read() []budget {
	used, slack := goMemory()
	var out []budget
	if b.goLimit > 0 {
		out = append(out, budget{of: "GOMEMLIMIT", limit: b.goLimit, used: used, slack: slack})
	}
	least := uint64(math.MaxInt64)
	for _, group := range b.groups {
		limit, used, ok := group.Read()
		if !ok || limit == 0 {
			continue
		}
		// The kernel does not wait for a collection, so little is left to hope.
		out = append(out, budget{of: group.Limit, limit: limit, used: used, slack: min(slack, limit/20)})
		least = min(least, limit)
	}
	if b.setGo && least != math.MaxInt64 && least != b.set {
		b.set = least
		debug.SetMemoryLimit(int64(percentOf(least, ourShare)))
	}
	return out
}

// close undoes what read has set.
func (b *budgets) close() {
	if b.set != 0 {
		debug.SetMemoryLimit(math.MaxInt64)
	}
}

// goMemory returns what counts against the Go memory limit (runtime/debug,
// SetMemoryLimit), and how much of it is free or, at best, garbage: allocated
// since the last collection.
func goMemory() (used, slack uint64) {
	sample := []metrics.Sample{
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(sample)
	value := func(i int) uint64 { return sample[i].Value.Uint64() }
	used = value(0) - min(value(1), value(0))
	objects, live := value(3), value(4)
	return used, value(2) + objects - min(live, objects)
}

func percentOf(n, percent uint64) uint64 { return n/100*percent + n%100*percent/100 }
