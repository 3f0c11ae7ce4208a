package relay

import "time"

// How a loop takes leave of a client.

// Farewell implements Pair.
func (p *loopPair) Farewell(why Reason, words []byte, patience time.Duration) {
	if p.follow == nil {
		p.Close(why)
		return
	}
	p.conclude(why, nil)
	l := p.loop.Load()
	l.post(message{pair: p, close: true, farewell: newFarewell(words, patience, l.relay.tick(time.Now()))})
}

// await takes leave of the client as soon as the moment for it comes.
func (p *loopPair) await(w *farewell) {
	switch {
	case p.parted:
		return
	case p.farewell != nil:
		p.farewell.yield(w)
	default:
		p.farewell = w
	}
	p.settle()
	if p.farewell != nil {
		p.at().wheel.put(p, p.next())
	}
}

// show shows the follower what side i sent, and returns what of it is to be
// passed on.
func (p *loopPair) show(i int, b []byte) []byte {
	if p.lost[i] {
		return b
	}
	b, messages, ok := show(p.follow, p.farewell, i, b)
	p.lost[i] = !ok
	p.options.counters.addMessages(i, messages)
	return b
}

// skip accounts for n bytes of side i that the follower did not see.
func (p *loopPair) skip(i, n int) {
	switch {
	case p.follow == nil || p.lost[i]:
	case i == client:
		p.follow.SkipClient(n)
	default:
		p.follow.SkipServer(n)
	}
}

// part takes leave of the client that a farewell waits for, if the moment has
// come. The pair is there afterwards: whoever calls it is in the middle of
// something, or settles next.
func (p *loopPair) part() {
	w, s := p.farewell, &p.sides[client]
	w.impatient = w.impatient || p.sides[upstream].over // which finishes no exchange any more
	switch b := s.backlog; {
	case s.shut || s.notified:
		p.stop() // nothing can be said
	case b != nil && b.pipe != nil && b.pipe.n > 0: // words would overtake it
	case w.due(p.follow):
		if b != nil && b.pipe != nil {
			p.endSplice(upstream)
		}
		if len(w.words) > 0 {
			p.deliver(s, w.words)
		}
		p.end()
	case p.sides[upstream].over:
		p.stop() // in the middle of a packet
	}
}

// lookAgain is for when the time of a farewell is over, its patience first.
func (p *loopPair) lookAgain() {
	w := p.farewell
	if w.impatient {
		p.abort()
		return
	}
	w.hurry(p.at().now)
	p.settle()
	if p.farewell != nil {
		p.at().wheel.put(p, p.next())
	}
}
