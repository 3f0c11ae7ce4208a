package exhook

import (
	"time"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// early has the notifications that EMQX was answered before they are delivered: a lane for each client, in which one is
// under way at a time, so that they come in order.
type early struct {
	lanes  map[balancer.Key]*lane
	first  *lane // of those whose first letter can be sent
	last   *lane
	queued int // letters, those under way among them
	bytes  int
	paused []*lane // that wait for another attempt
	free   []*letter
}

// lane is the letters of one client.
type lane struct {
	key         balancer.Key
	first, last *letter
	next        *lane
	again       time.Time
}

// letter is one notification.
type letter struct {
	want
	u       *Upstream
	lane    *lane
	header  *grpcrelay.Header
	message []byte
	sends   int
	link    *link
	lease   balancer.Lease
	done    func(grpcrelay.Answer)
	next    *letter
}

const (
	earlyBytes   = 64 << 20 // of all letters
	earlySends   = 3        // attempts at providers that may have got it
	earlyPause   = 200 * time.Millisecond
	lettersKept  = 1024
	letterKept   = 4 << 10 // bytes
	letterHeader = 256     // bytes that a letter costs beside its message
)

// idle tells whether everything is delivered.
func (e *early) idle() bool { return e.queued == 0 }

// postEarly answers a notification and has it delivered.
func (u *Upstream) postEarly(s *call) {
	e := &u.early
	size := len(s.c.Message()) + letterHeader
	if e.queued >= u.rules.earlyMost || e.bytes+size > earlyBytes {
		u.stats.earlyDropped[s.hook].Add(1)
		s.c.Reply([]byte(hook.EmptySuccess))
		return
	}
	u.stats.earlyQueued[s.hook].Add(1)
	w := e.letter(u)
	w.message = append(w.message[:0], s.c.Message()...)
	w.header, w.sends = s.c.Header(), 0
	w.hook, w.as, w.class, w.key, w.node = s.hook, s.as, s.class, s.key, s.node
	if fields, ok := hook.Scan(s.method, w.message); ok {
		w.topic = fields.Topic
	}
	e.queued++
	e.bytes += size
	s.c.Reply([]byte(hook.EmptySuccess))

	a := e.lanes[w.key]
	if a == nil {
		a = &lane{key: w.key}
		e.lanes[w.key] = a
	}
	w.lane = a
	if a.first == nil {
		a.first, a.last = w, w
		e.line(a)
		u.stir()
		return
	}
	a.last.next, a.last = w, w
}

func (e *early) letter(u *Upstream) *letter {
	if n := len(e.free); n > 0 {
		w := e.free[n-1]
		e.free = e.free[:n-1]
		return w
	}
	w := &letter{u: u}
	w.done = w.answered
	return w
}

// line has a lane wait for a provider.
func (e *early) line(a *lane) {
	if e.last != nil {
		e.last.next = a
	} else {
		e.first = a
	}
	e.last = a
}

// deliver sends what can be sent. What must wait goes to the end, so that those who wait for one provider do not hide those whose
// provider has room.
func (u *Upstream) deliver() {
	e := &u.early
	misses := 0
	var first, last *lane // those that must wait on
	for a := e.first; a != nil && misses < stuck && u.worthATry(notifying); a = e.first {
		if e.first, a.next = a.next, nil; e.first == nil {
			e.last = nil
		}
		if u.post(a) {
			misses = 0
			continue
		}
		misses++
		if last != nil {
			last.next = a
		} else {
			first = a
		}
		last = a
	}
	if last == nil {
		return
	}
	if e.last != nil {
		e.last.next = first
	} else {
		e.first = first
	}
	e.last = last
}

// post sends the first letter of a lane. It is false when that must wait.
func (u *Upstream) post(a *lane) bool {
	w := a.first
	l, lease, p := u.pick(&w.want, true)
	switch p {
	case fits:
	case unwanted:
		u.delivered(w)
		return true
	default:
		w.tried = w.tried[:0] // they may do better next time
		return false
	}
	w.link, w.lease = l, lease
	l.begin(w.class)
	err := u.group.Call(l.p, grpcrelay.OwnCall{
		Header: w.header, Path: hook.Method{Version: w.as, Hook: w.hook}.Path(), Message: w.message, Timeout: earlyTimeout, Done: w.done,
	})
	if err != nil {
		l.end(w.class)
		w.lease.Done(balancer.Broken)
		return false
	}
	return true
}

// answered is told how an attempt at delivering it ended.
func (w *letter) answered(a grpcrelay.Answer) {
	u, l := w.u, w.link
	u.enter()
	defer u.leave()
	u.stir()
	l.end(w.class)
	v := verdict{good: a.Code == codes.OK, code: a.Code, text: a.Text}
	closed := l.p == nil || !l.p.Ready()
	switch {
	case v.good:
	case a.Unprocessed, closed && a.Code == codes.Unavailable:
		v.lost = true
	default:
		v.failure = ofProvider(a.Code) || a.Code == codes.Canceled
		v.said = a.Code == codes.Internal || a.Code == codes.Unknown || a.Code == codes.ResourceExhausted
	}
	l.learn(w.hook, v, a.Took, &w.lease)
	if v.good {
		u.delivered(w)
		return
	}
	if !a.Unprocessed {
		w.sends++
		w.tried = append(w.tried, l.id)
	}
	again := v.lost || elsewhere(a.Code) || a.Code == codes.DeadlineExceeded
	if !again || w.sends >= earlySends {
		u.stats.earlyDropped[w.hook].Add(1)
		u.delivered(w)
		return
	}
	w.lane.again = time.Now().Add(earlyPause << w.sends)
	u.early.paused = append(u.early.paused, w.lane)
}

// tick lines up the lanes whose pause is over.
func (e *early) tick(now time.Time) {
	waiting := e.paused[:0]
	for _, a := range e.paused {
		if now.Before(a.again) {
			waiting = append(waiting, a)
		} else {
			e.line(a)
		}
	}
	clear(e.paused[len(waiting):])
	e.paused = waiting
}

// delivered is the end of a letter, however it came about. It is the first of its lane.
func (u *Upstream) delivered(w *letter) {
	e, a := &u.early, w.lane
	if a.first = w.next; a.first != nil {
		e.line(a)
	} else {
		delete(e.lanes, a.key)
	}
	e.queued--
	e.bytes -= len(w.message) + letterHeader
	w.want = want{tried: w.tried[:0]}
	w.lane, w.header, w.link, w.next = nil, nil, nil, nil
	if cap(w.message) <= letterKept && len(e.free) < lettersKept {
		e.free = append(e.free, w)
	}
}

// abandon counts what is not delivered when the upstream ends.
func (e *early) abandon(u *Upstream) {
	for _, a := range e.lanes {
		for w := a.first; w != nil; w = w.next {
			u.stats.earlyDropped[w.hook].Add(1)
		}
	}
	e.lanes, e.first, e.last, e.paused = make(map[balancer.Key]*lane), nil, nil, nil
}
