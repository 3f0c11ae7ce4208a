package relay

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// inboxKept is for how many messages an empty inbox keeps room.
const inboxKept = 256

// message is what others want of a loop.
type message struct {
	pair     *loopPair
	rest     *[2]leftOver // nil if there is nothing
	heard    [2]bool      // sides that the loop hears of already
	moved    bool         // a loop had the pair before
	close    bool         // else: carry it
	farewell *farewell    // how to close it; nil is at once

	group *loopGroup // run is its next event

	// Where there is neither:
	conn   *Conn
	run    func() // to be a strand of conn
	abort  bool   // end what conn's strand waits for
	helped bool   // the goroutine that helped conn's strand has ended
	woken  bool   // continue conn's strand, if it has one
}

// post hands a message over and wakes the loop if it sleeps. A pair that is to
// be carried belongs to the loop from then on: nobody's Close gets there before
// the pair does. It returns false when the loop has ended or is about to.
func (l *loop) post(m message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		return false
	}
	if m.pair != nil && !m.close {
		m.pair.loop.Store(l)
	}
	l.inbox = append(l.inbox, m)
	if l.asleep {
		l.asleep = false
		l.wake()
	}
	return true
}

func (l *loop) wake() {
	one := uint64(1)
	unix.Write(l.wakes, (*[8]byte)(unsafe.Pointer(&one))[:])
}

// stop makes run return. No pair may be left.
func (l *loop) stop() {
	l.mu.Lock()
	l.stopping = true
	l.wake() // in the lock: afterwards the loop may end and close what is written to
	l.mu.Unlock()
}

// lieDown announces that the loop is about to wait, unless there is a message.
func (l *loop) lieDown() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asleep = len(l.inbox) == 0 && !l.stopping
	return l.asleep
}

// readInbox takes the messages; it reports whether the loop is to end.
func (l *loop) readInbox() (end bool) {
	l.mu.Lock()
	l.asleep = false
	messages := l.inbox
	l.inbox, l.read = l.read, nil
	end = l.stopping
	l.mu.Unlock()
	for i := range messages {
		m := &messages[i]
		switch {
		case m.group != nil:
			m.group.touched = true
			m.run()
		case m.run != nil:
			l.start(m.conn, m.run)
		case m.abort:
			l.abort(m.conn)
		case m.helped:
			l.helped(m.conn)
		case m.woken:
			if st := m.conn.socket.strand; st != nil && st.run != nil {
				st.ready()
			}
		case !m.close:
			l.carry(m)
		case m.pair.loop.Load() != l:
			m.pair.loop.Load().post(*m) // it was handed over meanwhile
		case m.pair.gone:
		case m.farewell != nil:
			m.pair.await(m.farewell)
		default:
			m.pair.abort()
		}
	}
	clear(messages)
	if cap(messages) <= inboxKept {
		l.read = messages[:0]
	}
	return end
}

// carryAdded carries the pairs that strands have added in this turn.
func (l *loop) carryAdded() {
	for i := range l.added {
		l.carry(&l.added[i])
	}
	clear(l.added)
	l.added = l.added[:0]
}
