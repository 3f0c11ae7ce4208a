package exhook

// queue has the calls of one class that wait for a provider, the longest waiting first.
type queue struct {
	first, last *call
	length      int
}

func (q *queue) push(s *call) {
	s.queued, s.prev = true, q.last
	if q.last != nil {
		q.last.next = s
	} else {
		q.first = s
	}
	q.last = s
	q.length++
}

func (q *queue) remove(s *call) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		q.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		q.last = s.prev
	}
	s.queued, s.next, s.prev = false, nil, nil
	q.length--
}

// stuck is after how many calls in a row that still must wait a queue is left alone until something changes again.
const stuck = 256

// pump gives what waits a try: deciding calls first. What must wait on goes to the end, so that those who wait for one provider do
// not hide those whose provider has room.
func (u *Upstream) pump() {
	for c := range u.queues {
		q := &u.queues[c]
		misses := 0
		for n := q.length; n > 0 && q.first != nil && misses < stuck && u.worthATry(class(c)); n-- {
			s := q.first
			if u.retry(q, s) {
				misses = 0
				continue
			}
			misses++
			q.remove(s)
			q.push(s)
		}
	}
}

// worthATry tells whether some provider takes calls of a class, without which looking at all that waits is left to the next tick.
func (u *Upstream) worthATry(c class) bool {
	if u.thorough {
		return true
	}
	for _, l := range u.links {
		if l.ready && l.p.Room() > 0 && !u.full(l, c) {
			return true
		}
	}
	return false
}

// retry sends a call that waits if it need not wait any more.
func (u *Upstream) retry(q *queue, s *call) bool {
	l, lease, p := u.pick(&s.want, true)
	switch {
	case p == waits:
		return false
	case p == fits:
		q.remove(s)
		if !u.forward(s, l, lease) {
			u.send(s)
		}
	default:
		q.remove(s)
		u.send(s) // which answers it
	}
	return true
}
