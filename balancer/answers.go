package balancer

import (
	"fmt"
	"slices"
	"time"
)

const (
	// samples is how many answers must be known of an endpoint before it is judged by their median. It is odd, so that
	// the median is one of them.
	samples = 11
	// An endpoint is slow when its answers take longer than both bounds.
	slowTimes = 5 // × the pool's median
	slowFrom  = time.Second
)

// answers is how long the latest answers of an endpoint took.
type answers struct {
	took  [samples]time.Duration
	count int
}

// add returns the median once there are enough samples. The median, unlike a mean, does not move for one lost packet.
func (a *answers) add(took time.Duration) (median time.Duration, known bool) {
	a.took[a.count%samples] = took
	a.count++
	if a.count < samples {
		return 0, false
	}
	sorted := a.took
	slices.Sort(sorted[:])
	return sorted[samples/2], true
}

// answered takes note of an answer, which ejects an endpoint that has become slow. The connection that is to end an
// ejection is judged by its own answer alone.
func (n *node) answered(took time.Duration, ejection uint32) {
	own, known := n.medianAfter(took)
	if known && own > slowFrom {
		if pool, ok := n.pool.current.Load().medianAnswer(); ok && own > slowTimes*pool {
			n.blame(late, fmt.Sprintf("slow: answers after %v, the pool after %v", rounded(own), rounded(pool)))
			return
		}
	}
	n.succeed(ejection, true)
}

func (n *node) medianAfter(took time.Duration) (median time.Duration, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.retryAt.Load() != 0 {
		return took, true
	}
	median, known = n.answers.add(took)
	n.answer.Store(int64(median))
	return median, known
}

// medianAnswer is the median over the endpoints' own medians, which ejected ones do not have; of an even number the lower of the two in the
// middle, so that of two endpoints one can be slow.
func (s *snapshot) medianAnswer() (median time.Duration, known bool) {
	var all []time.Duration
	for _, t := range s.tiers {
		for _, c := range t.candidates {
			if answer := c.node.answer.Load(); answer != 0 {
				all = append(all, time.Duration(answer))
			}
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[(len(all)-1)/2], true
}

// rounded is short enough to read: three digits of it, as far as that goes.
func rounded(d time.Duration) time.Duration {
	if d > time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(10 * time.Microsecond)
}
