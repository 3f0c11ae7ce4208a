package grpcrelay

import (
	"time"

	"google.golang.org/grpc/codes"
)

// wheel has the calls that wait for a time, in slots of one tick. What lies
// beyond the last slot is looked at on the way and put further ahead.
type wheel struct {
	tick int64
	slot [wheelSlots]*Call // heads of doubly linked lists
}

// timer is what a call has on the wheel.
type timer struct {
	next, prev *Call
	slot       int32
	filed      bool
}

const (
	wheelSlots = 1024 // ten seconds
	wheelTick  = int64(10 * time.Millisecond)
)

// put files c for the time at, in nanoseconds.
func (w *wheel) put(c *Call, at int64) {
	w.remove(c)
	tick := min(max((at+wheelTick-1)/wheelTick, w.tick+1), w.tick+wheelSlots-1)
	t := &c.timer
	t.slot, t.filed = int32(tick%wheelSlots), true
	head := w.slot[t.slot]
	if t.next = head; head != nil {
		head.timer.prev = c
	}
	w.slot[t.slot] = c
}

func (w *wheel) remove(c *Call) {
	t := &c.timer
	if !t.filed {
		return
	}
	if t.prev != nil {
		t.prev.timer.next = t.next
	} else {
		w.slot[t.slot] = t.next
	}
	if t.next != nil {
		t.next.timer.prev = t.prev
	}
	*t = timer{}
}

// advance looks at the calls whose time has come. They are taken off one at a
// time, since looking at one may end others.
func (w *wheel) advance(now int64) {
	to := now / wheelTick
	for from := max(w.tick+1, to-wheelSlots+1); from <= to; from++ {
		w.tick = from
		for c := w.slot[from%wheelSlots]; c != nil; c = w.slot[from%wheelSlots] {
			w.remove(c)
			c.due(now)
		}
	}
	w.tick = max(w.tick, to)
}

// arm files the call for the next time at which something is due.
func (c *Call) arm() {
	at := earliest(c.deadline, c.wake)
	for _, f := range c.forwards {
		if f != nil {
			at = earliest(at, f.deadline)
		}
	}
	if at == 0 {
		c.group.wheel.remove(c)
		return
	}
	c.group.wheel.put(c, at)
}

// earliest takes 0 for never.
func earliest(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// due does what is due for a call.
func (c *Call) due(now int64) {
	if c.over {
		if now < c.deadline {
			c.group.wheel.put(c, c.deadline)
		} else if c.client != nil {
			// The answer is complete; only the rest of the request is not wanted.
			c.client.cut(c)
		}
		return
	}
	if c.deadline != 0 && now >= c.deadline {
		c.expire()
		return
	}
	for _, f := range c.forwards {
		if f != nil && f.deadline != 0 && now >= f.deadline {
			f.cancel(codeCancel, Outcome{Code: codes.DeadlineExceeded, Text: "the provider did not answer in its time"})
		}
	}
	if !c.over && c.wake != 0 && now >= c.wake {
		c.wake = 0
		if c.client != nil {
			c.group.o.Handler.Woken(c)
		}
	}
	if !c.over {
		c.arm()
	}
}

// expire ends a call whose time is up.
func (c *Call) expire() {
	c.late = true
	s := status{codes.DeadlineExceeded, "the deadline of the call has passed"}
	c.cancelForwards(s)
	if c.begun && !c.over {
		c.abort(s)
		return
	}
	if c.client != nil && c.told && !c.answered && !c.over {
		c.group.o.Handler.Late(c)
	}
	if !c.over && !c.answered {
		c.end(s, nil)
	} else if !c.over && c.begun {
		c.deadline = c.group.now + int64(time.Second) // for the client to take it
		c.arm()
	}
}
