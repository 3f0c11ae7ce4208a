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
		if d := time.Since(w.relay.began) - time.Duration(since); d >= stallAfter {
			w.told[i] = since
			if f := w.relay.options.OnStall; f != nil {
				f(i, d)
			}
		}
	}
}
