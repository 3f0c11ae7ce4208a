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
	slot [slots]*Pair // heads of doubly linked lists
}

func (w *wheel) init() { w.now = 0 }

// put files p under tick at, which is clamped to the future within the horizon.
func (w *wheel) put(p *Pair, at int64) {
	w.mu.Lock()
	w.link(p, at)
	w.mu.Unlock()
}

func (w *wheel) link(p *Pair, at int64) {
	if p.ended {
		return
	}
	w.unlink(p)
	at = min(max(at, w.now+1), w.now+slots-1)
	p.slot = int32(at % slots)
	p.filed = true
	head := w.slot[p.slot]
	p.next, p.prev = head, nil
	if head != nil {
		head.prev = p
	}
	w.slot[p.slot] = p
}

func (w *wheel) unlink(p *Pair) {
	if !p.filed {
		return
	}
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		w.slot[p.slot] = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	}
	p.next, p.prev, p.filed = nil, nil, false
}

// remove takes p off the wheel for good.
func (w *wheel) remove(p *Pair) {
	w.mu.Lock()
	w.unlink(p)
	p.ended = true
	w.mu.Unlock()
}

// advance moves the wheel to tick now and looks at the pairs that came up.
func (w *wheel) advance(now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from := max(w.now+1, now-slots+1)
	w.now = now
	for t := from; t <= now; t++ {
		for p := w.slot[t%slots]; p != nil; {
			next := p.next
			w.unlink(p)
			if due := p.check(now); due > 0 {
				w.link(p, due)
			}
			p = next
		}
	}
}
