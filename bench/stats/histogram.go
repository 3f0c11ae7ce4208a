package stats

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	subBits = 5 // 32 steps to a power of two: values are at most about 3 % off
	buckets = (64 - subBits) << subBits
)

// Histogram counts durations in logarithmic buckets. Record may be called from many goroutines. The zero value is ready.
type Histogram struct {
	counts [buckets]atomic.Uint64
}

// Record counts d; below zero counts as zero.
func (h *Histogram) Record(d time.Duration) { h.counts[bucket(uint64(max(d, 0)))].Add(1) }

// Quantile is the upper edge of the bucket that holds the q-th part (0 to 1) of what was recorded, 0 when that is nothing.
func (h *Histogram) Quantile(q float64) time.Duration {
	var total uint64
	for i := range h.counts {
		total += h.counts[i].Load()
	}
	rank := max(uint64(q*float64(total)+0.5), 1)
	var seen uint64
	for i := range h.counts {
		seen += h.counts[i].Load()
		if seen >= rank {
			return time.Duration(upperEdge(i))
		}
	}
	return 0
}

func bucket(v uint64) int {
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift) - 1<<subBits
}

func upperEdge(i int) uint64 {
	if i < 1<<subBits {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return (uint64(i&(1<<subBits-1))+1<<subBits+1)<<shift - 1
}
