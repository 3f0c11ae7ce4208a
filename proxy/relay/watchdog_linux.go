package relay

import "time"

// stallAfter is how long a loop may be at one turn. A turn is bounded work, a
// few milliseconds at most; a loop that is longer at one is stuck, and all its
// pairs with it.
const stallAfter = time.Second

// watchdog looks at the loops from outside.
type watchdog struct {
	relay *Relay
	told  []int64 // by loop: the turn that was reported last
}

func (w *watchdog) look() {
	if w.told == nil {
		w.told = make([]int64, len(w.relay.loops))
	}
	for i, l := range w.relay.loops {
		since := l.workingSince.Load()
		if since == 0 || since == w.told[i] {
			continue
		}
		if d := w.relay.stuck(l); d > 0 {
			w.told[i] = since
			if f := w.relay.options.OnStall; f != nil {
				f(i, d)
			}
		}
	}
}

// stuck is for how long a loop has been at its turn, if that is too long.
func (r *Relay) stuck(l *loop) time.Duration {
	since := l.workingSince.Load()
	if since == 0 {
		return 0
	}
	if d := time.Since(r.began) - time.Duration(since); d >= stallAfter {
		return d
	}
	return 0
}
