package relay

import "sync"

// slots times tick is the horizon of the wheel, 102 s: what lies beyond it is
// looked at once on the way.
const slots = 1024

// wheel is a coarse timer wheel: one ticker for all pairs instead of a timer
// for each. A pair is put where it could first be due; when its slot comes up
// and it has been busy meanwhile it is put further ahead, so activity costs no
// work on the wheel.
type wheel struct {
	mu   sync.Mutex
	now  int64
	slot [slots]*timer // heads of doubly linked lists
}

// timer is what a pair has on a wheel. All of it belongs to the wheel.
type timer struct {
	owner checker

	next, prev   *timer
	slot         int32
	filed, ended bool
}

// checker is a pair as the wheel sees it.
type checker interface {
	// check looks at the pair at tick now and returns the tick at which to look
	// again, or 0 for never. It must not call the wheel.
	check(now int64) (again int64)
}

// put files t under tick at, which is clamped to the future within the horizon.
func (w *wheel) put(t *timer, at int64) {
	w.mu.Lock()
	w.link(t, at)
	w.mu.Unlock()
}

func (w *wheel) link(t *timer, at int64) {
	if t.ended {
		return
	}
	w.unlink(t)
	at = min(max(at, w.now+1), w.now+slots-1)
	t.slot = int32(at % slots)
	t.filed = true
	head := w.slot[t.slot]
	t.next, t.prev = head, nil
	if head != nil {
		head.prev = t
	}
	w.slot[t.slot] = t
}

func (w *wheel) unlink(t *timer) {
	if !t.filed {
		return
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		w.slot[t.slot] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev, t.filed = nil, nil, false
}

// take takes t off the wheel; it may be put on another.
func (w *wheel) take(t *timer) {
	w.mu.Lock()
	w.unlink(t)
	w.mu.Unlock()
}

// remove takes t off the wheel for good.
func (w *wheel) remove(t *timer) {
	w.mu.Lock()
	w.unlink(t)
	t.ended = true
	w.mu.Unlock()
}

// advance moves the wheel to tick now and looks at the pairs that came up.
func (w *wheel) advance(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := max(w.now+1, now-slots+1)
	w.now = now
	for i := from; i <= now; i++ {
		for t := w.slot[i%slots]; t != nil; {
			next := t.next
			w.unlink(t)
			if again := t.owner.check(now); again > 0 {
				w.link(t, again)
			}
			t = next
		}
	}
}
