package relay

import (
	"sync"
	"time"
)

// How two goroutines take leave of a client. Only the one that carries to the
// client writes there, so it has the last words too: whoever finds that the
// moment has come makes it stop reading.

// parting is what a portable pair with a follower has for that.
type parting struct {
	mu      sync.Mutex
	follow  Follower
	lost    [2]bool
	waiting *farewell
	words   []byte    // to be sent
	parted  bool      // nothing more is passed on
	over    bool      // nothing more can be said: the client was sent the end
	by      time.Time // until then, once parted, it may take
}

// Farewell implements Pair.
func (p *portablePair) Farewell(why Reason, words []byte, patience time.Duration) {
	if p.parting == nil || !p.await(newFarewell(words, patience, p.relay.tick(time.Now())), why) {
		p.Close(why)
		return
	}
	p.relay.wheel.put(p, p.next())
}

// await has w wait for its moment, or begin. It returns false if nothing can be
// said any more.
func (p *portablePair) await(w *farewell, why Reason) bool {
	t := p.parting
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over && !t.parted {
		return false
	}
	p.conclude(why, nil)
	switch {
	case t.parted:
		return true
	case t.waiting != nil:
		t.waiting.yield(w)
	default:
		t.waiting = w
	}
	p.part()
	return true
}

// part takes leave if the moment for it has come. The caller holds the lock.
func (p *portablePair) part() {
	t := p.parting
	if w := t.waiting; w != nil && w.due(t.follow) {
		t.waiting, t.words, t.parted = nil, w.words, true
		t.by = time.Now().Add(abortGrace)
		p.interrupt(t.by)
	}
}

// giveUp closes without words. The caller holds the lock.
func (p *portablePair) giveUp() {
	p.parting.waiting, p.parting.over = nil, true
	p.interrupt(time.Now().Add(abortGrace))
}

// show shows the follower what a side sent, and returns what of it is to be
// passed on.
func (p *portablePair) show(from int, b []byte) []byte {
	t := p.parting
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parted {
		return nil
	}
	if !t.lost[from] {
		var messages int
		var ok bool
		b, messages, ok = show(t.follow, t.waiting, from, b)
		t.lost[from] = !ok
		p.options.counters.addMessages(from, messages)
	}
	p.part()
	return b
}

// partAtEnd is for a direction that is about to send its end; the one to the
// client says the words. It reports whether the pair parts.
func (p *portablePair) partAtEnd(f *flow) bool {
	t := p.parting
	if t == nil {
		return false
	}
	t.mu.Lock()
	if f.from() == client {
		defer t.mu.Unlock()
		return t.parted
	}
	if t.waiting != nil { // the endpoint has ended, and finishes no exchange any more
		t.waiting.impatient = true
		if p.part(); !t.parted {
			p.giveUp()
		}
	}
	t.over = true
	words, parted := t.words, t.parted
	t.words = nil
	t.mu.Unlock()
	if len(words) > 0 {
		f.deliver(words)
	}
	return parted
}

// drain drops what src still sends.
func (f *flow) drain() {
	c := f.src.conn
	c.SetReadDeadline(f.pair.parting.by)
	for {
		_, err := c.portable.receive()
		c.portable.release()
		if err != nil {
			return
		}
	}
}

// lookAgain is for when the time of a farewell may be over, its patience first.
func (p *portablePair) lookAgain(now int64) {
	t := p.parting
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch w := t.waiting; {
	case w == nil || now < w.look:
	case w.impatient:
		p.giveUp()
	default:
		w.hurry(now)
		p.part()
	}
}

// look is when to look at the farewell again, or 0.
func (t *parting) look() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waiting == nil {
		return 0
	}
	return t.waiting.look
}

// forget is for a pair that is closed.
func (t *parting) forget() {
	t.mu.Lock()
	t.waiting, t.over = nil, true
	t.mu.Unlock()
}
