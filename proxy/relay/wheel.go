package relay

import "sync"

// slots times tick is the horizon of the wheel, 102 s: what lies beyond it is
// looked at once on the way.
const slots = 1024

// wheel is a coarse timer wheel: one ticker for all pairs instead of a timer
// for each. A pair is put where it could first be due; when its slot comes up
// and it has been busy meanwhile it is put further ahead, so activity costs no
// work on the wheel.
type wheel[P timed[P]] struct {
	mu   sync.Mutex
	now  int64
	slot [slots]P // heads of doubly linked lists
}

// timed is a pair as the wheel sees it; its zero value is no pair.
type timed[P any] interface {
	comparable
	timer() *timer[P]
	// check looks at the pair at tick now and returns the tick at which to look
	// again, or 0 for never. It must not call the wheel.
	check(now int64) (again int64)
}

// timer is what a pair has on a wheel. All of it belongs to the wheel.
type timer[P any] struct {
	next, prev   P
	slot         int32
	filed, ended bool
}

// put files p under tick at, which is clamped to the future within the horizon.
func (w *wheel[P]) put(p P, at int64) {
	w.mu.Lock()
	w.link(p, at)
	w.mu.Unlock()
}

func (w *wheel[P]) link(p P, at int64) {
	t := p.timer()
	if t.ended {
		return
	}
	w.unlink(p)
	at = min(max(at, w.now+1), w.now+slots-1)
	t.slot = int32(at % slots)
	t.filed = true
	var none P
	head := w.slot[t.slot]
	t.next, t.prev = head, none
	if head != none {
		head.timer().prev = p
	}
	w.slot[t.slot] = p
}

func (w *wheel[P]) unlink(p P) {
	t := p.timer()
	if !t.filed {
		return
	}
	var none P
	if t.prev != none {
		t.prev.timer().next = t.next
	} else {
		w.slot[t.slot] = t.next
	}
	if t.next != none {
		t.next.timer().prev = t.prev
	}
	t.next, t.prev, t.filed = none, none, false
}

// take takes p off the wheel; it may be put on another.
func (w *wheel[P]) take(p P) {
	w.mu.Lock()
	w.unlink(p)
	w.mu.Unlock()
}

// remove takes p off the wheel for good.
func (w *wheel[P]) remove(p P) {
	w.mu.Lock()
	w.unlink(p)
	p.timer().ended = true
	w.mu.Unlock()
}

// advance moves the wheel to tick now and looks at the pairs that came up.
func (w *wheel[P]) advance(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var none P
	from := max(w.now+1, now-slots+1)
	w.now = now
	for i := from; i <= now; i++ {
		for p := w.slot[i%slots]; p != none; {
			next := p.timer().next
			w.unlink(p)
			if again := p.check(now); again > 0 {
				w.link(p, again)
			}
			p = next
		}
	}
}
