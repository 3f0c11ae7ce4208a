package demo

import (
	"slices"
	"time"
)

// ledger knows of every message from when it is published until its fate is
// known. It counts a message as lost when it was not both acknowledged to its
// sender and delivered to its receiver within [patience], although the
// connections of both lasted from before it was published. When one of them
// ended in between, QoS 1 without a lasting session promises nothing, and the
// message is cut off: unless it arrives all the same, it counts as neither
// delivered nor lost.
//
// It is not safe for use by several goroutines at once.
type ledger struct {
	open    map[message]*entry
	counts  tally
	latency latencies
}

// message names a message for as long as its fate is unknown.
type message struct {
	sender int
	id     uint16 // the packet identifier
}

type entry struct {
	published                time.Time
	receiver                 int
	acked, delivered, cutOff bool
}

// tally is the fate of all messages so far.
type tally struct {
	published, acknowledged, delivered, cutOff, lost int
}

func newLedger() *ledger {
	return &ledger{open: make(map[message]*entry), latency: latencies{limit: 1000}}
}

// published is told before the message is sent, and whether both connections are there.
func (l *ledger) published(m message, receiver int, connected bool, now time.Time) {
	l.counts.published++
	l.open[m] = &entry{published: now, receiver: receiver, cutOff: !connected}
}

func (l *ledger) acknowledged(m message) {
	if e := l.open[m]; e != nil && !e.acked {
		e.acked = true
		l.counts.acknowledged++
		l.settle(m, e)
	}
}

// delivered ignores what came twice, as QoS 1 may.
func (l *ledger) delivered(m message, now time.Time) {
	if e := l.open[m]; e != nil && !e.delivered {
		e.delivered = true
		l.counts.delivered++
		l.latency.add(now.Sub(e.published))
		l.settle(m, e)
	}
}

func (l *ledger) settle(m message, e *entry) {
	if e.acked && e.delivered {
		delete(l.open, m)
	}
}

// disconnected is told when the connection of a device ended.
func (l *ledger) disconnected(device int) {
	for m, e := range l.open {
		if m.sender == device || e.receiver == device {
			e.cutOff = true
		}
	}
}

// pending is the number of messages that are still to arrive.
func (l *ledger) pending() int {
	n := 0
	for _, e := range l.open {
		if !e.cutOff {
			n++
		}
	}
	return n
}

// tally decides what has been open for longer than patience and counts.
func (l *ledger) tally(now time.Time) tally {
	for m, e := range l.open {
		if now.Sub(e.published) < patience {
			continue
		}
		delete(l.open, m)
		switch {
		case !e.cutOff:
			l.counts.lost++
		case !e.delivered:
			l.counts.cutOff++
		}
	}
	return l.counts
}

// latencies keeps the latest of them.
type latencies struct {
	limit int
	ring  []time.Duration
	next  int
}

func (l *latencies) add(d time.Duration) {
	if len(l.ring) < l.limit {
		l.ring = append(l.ring, d)
		return
	}
	l.ring[l.next] = d
	l.next = (l.next + 1) % l.limit
}

// quantile is the least latency that the share q of them do not exceed; zero
// when there are none.
func (l *latencies) quantile(q float64) time.Duration {
	if len(l.ring) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.ring))
	rank := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// rate is how fast a count grew over the last few moments.
type rate struct {
	moments []moment
}

type moment struct {
	at    time.Time
	count int
}

const rateWindow = 3 * time.Second

// perSecond adds a moment and gives the rate over the window before it.
func (r *rate) perSecond(now time.Time, count int) float64 {
	r.moments = append(r.moments, moment{now, count})
	for len(r.moments) > 2 && now.Sub(r.moments[0].at) > rateWindow {
		r.moments = r.moments[1:]
	}
	first := r.moments[0]
	if elapsed := now.Sub(first.at).Seconds(); elapsed > 0 {
		return float64(count-first.count) / elapsed
	}
	return 0
}
