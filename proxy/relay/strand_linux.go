package relay

import (
	"context"
	"fmt"
	"iter"
	"net"
	"os"
	"runtime/debug"
	"time"
)

// strand is blocking code that runs in a loop: a coroutine that gives way
// wherever it has to wait. It costs no goroutine to wake and none of Go's
// netpoller, and reads top to bottom. Strands are used again and again, with the
// stacks that they have grown.
type strand struct {
	loop  *loop
	next  func() (struct{}, bool)
	yield func(struct{}) bool
	stop  func()

	conn *Conn // whose strand it is
	run  func()

	onWheel timer[*strand]
	due     int64 // tick at which the present wait ends in vain; 0 for never, or while nothing waits
	queued  bool  // in loop.runnable
	aborted bool
	helped  bool // the goroutine that helped it has ended
}

const (
	// strandShare bounds what strands take of a turn, up to the one that exceeds
	// it: a full handshake takes 0.2 ms, with an RSA key 1 ms.
	strandShare = 2 * time.Millisecond
	// strandsKept is how many strands a loop keeps for the next.
	strandsKept = 64
)

// abort ends the waiting of c's strand.
func (l *loop) abort(c *Conn) {
	c.socket.doomed = true
	if st := c.socket.strand; st != nil {
		st.aborted = true
		st.ready()
	}
}

// helper has ended for the strand of c.
func (l *loop) helped(c *Conn) {
	st := c.socket.strand
	st.helped = true
	st.ready()
}

// start gives c a strand.
func (l *loop) start(c *Conn, f func()) {
	var st *strand
	if n := len(l.strands); n > 0 {
		st = l.strands[n-1]
		l.strands = l.strands[:n-1]
	} else {
		st = &strand{loop: l}
		st.next, st.stop = iter.Pull(st.body)
	}
	st.conn, st.run, st.aborted = c, f, c.socket.doomed
	c.socket.strand = st
	st.ready()
}

func (st *strand) body(yield func(struct{}) bool) {
	defer func() {
		if p := recover(); p != nil { // iter.Pull would throw the stack away
			panic(fmt.Sprintf("%v\n\nin a strand:\n%s", p, debug.Stack()))
		}
	}()
	st.yield = yield
	for {
		st.run()
		st.end()
		if !yield(struct{}{}) {
			return
		}
	}
}

// end makes the strand ready for another connection.
func (st *strand) end() {
	l := st.loop
	st.conn.socket.strand = nil
	st.conn, st.run, st.aborted, st.due = nil, nil, false, 0
	l.running.Add(-1)
	l.strands = append(l.strands, st)
	l.relay.pairs.Done()
}

// ready queues the strand to be continued.
func (st *strand) ready() {
	if !st.queued {
		st.queued = true
		st.loop.runnable = append(st.loop.runnable, st)
	}
}

// runStrands continues strands, at most for their share of a turn.
func (l *loop) runStrands() {
	if len(l.runnable) == 0 {
		return
	}
	began := time.Now()
	n := 0
	for n < len(l.runnable) {
		st := l.runnable[n]
		n++
		st.queued = false
		st.next()
		if time.Since(began) > strandShare {
			break
		}
	}
	rest := copy(l.runnable, l.runnable[n:])
	clear(l.runnable[rest:])
	l.runnable = l.runnable[:rest]
	for len(l.strands) > strandsKept {
		l.dismiss()
	}
}

// dismiss ends an unemployed strand. One goes each tick, until a new connection
// needs them again.
func (l *loop) dismiss() {
	if last := len(l.strands) - 1; last >= 0 {
		l.strands[last].stop()
		l.strands[last] = nil
		l.strands = l.strands[:last]
	}
}

func (st *strand) timer() *timer[*strand] { return &st.onWheel }

// check implements timed.
func (st *strand) check(now int64) (again int64) {
	if st.due != 0 && now >= st.due {
		st.ready()
		return 0
	}
	return st.due
}

// wait gives way until the strand is continued, at tick by at the latest, or 0
// for never. It says no more than that: the caller looks why.
func (st *strand) wait(by int64) error {
	if err := st.over(by); err != nil {
		return err
	}
	if st.due = by; by != 0 {
		st.loop.deadlines.put(st, by)
	}
	st.yield(struct{}{})
	st.due = 0
	return st.over(by)
}

func (st *strand) over(by int64) error {
	switch {
	case st.aborted:
		return net.ErrClosed
	case by != 0 && st.loop.now >= by:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// help lets a goroutine do what would hold up the loop, and waits for it. f has
// to end soon when its context does.
func (st *strand) help(by int64, f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l, c := st.loop, st.conn
	st.helped = false
	go func() {
		f(ctx)
		l.post(message{conn: c, helped: true})
	}()
	for !st.helped {
		if st.wait(by) != nil {
			cancel()
			by = 0
			if st.aborted && !st.helped {
				st.yield(struct{}{})
			}
		}
	}
}
