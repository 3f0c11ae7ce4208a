package relay

import (
	"net"
	"time"
)

// closeGrace is how long a stream that was told to close, or whose peer has
// ended, may send what is queued and wait for the peer's end.
const closeGrace = 5 * time.Second

// Group is a set of streams whose events come one at a time: the methods of
// their handlers, what Do runs, Turn and Tick never overlap, so what they share
// needs no lock. All of them must not wait. A group lives as long as its relay.
type Group interface {
	// Add takes ownership of c, a [*Conn], or a [*TLS] or *tls.Conn over one with
	// its handshake complete. It is called from the function given to [Relay.Go]
	// for c or for what c was dialled by; or, for a connection that [NewConn] has
	// wrapped, from any goroutine, also one that the group runs. It does not wait.
	//
	// begin is the first event of the stream: it is given the stream, may use it,
	// and returns its handler. What was read of c before comes right after it.
	//
	// If Add returns an error begin is not called, and the caller still has c; but
	// with net.ErrClosed, after the relay has ended, c is closed.
	Add(c net.Conn, begin func(Stream) Handler) error
	// Do runs f among the group's events, as soon as the relay runs. It may be
	// called from anywhere and does not wait; what one goroutine does comes in its
	// order. It returns false, and f is dropped, when the relay has ended.
	Do(f func()) bool
}

// GroupOptions say how a group works.
type GroupOptions struct {
	// Loop is the index of the loop that carries the group, modulo [Relay.Loops].
	Loop int
	// Turn, if not nil, is called at the end of every turn of the loop in which
	// the group had an event. What it writes goes out in the same turn.
	Turn func()
	// Tick, if not nil, is called about every 100 ms while the relay runs.
	Tick func()
}

// Stream is a connection whose bytes go to a handler. Its methods may be called
// among the events of its group only. After Ended they do nothing.
type Stream interface {
	// Write queues a copy of b. What a turn has queued is sent at its end, in one
	// write; what is large may go sooner. Nothing is refused: the writer keeps an
	// eye on Backlog. After Close, or when the connection broke, b is dropped.
	Write(b []byte)
	// Backlog is how many bytes wait for the peer to take them, those that are
	// encrypted already as such. While it is not 0 Drained is still to come, unless
	// the stream ends.
	Backlog() int
	// Pause stops reading while on. What was taken off the socket before may still
	// be received; what waits there is received when Pause is off again, and so is
	// the peer's end or reset.
	Pause(on bool)
	// Close receives nothing more, sends what is queued and the end of the stream
	// (close_notify, FIN), and waits for the peer's, all of it for 5 s at most.
	Close()
	// Abort closes the connection at the end of the turn, and drops what is queued.
	Abort()
}

// Handler is told what becomes of a stream.
type Handler interface {
	// Receive is given payload. It must not keep b, nor write to it.
	Receive(b []byte)
	// Drained is called when a backlog has gone, all of it.
	Drained()
	// Ended is called once, the last of all: with io.EOF after the peer's end, when
	// what was queued then has been sent, if that took not too long; with
	// net.ErrClosed after Close and Abort; else with what broke. An end of TCP
	// without one of TLS is an ordinary one: what is sent must say where it ends.
	Ended(err error)
}

// NewGroup makes an empty group.
func (r *Relay) NewGroup(o GroupOptions) Group {
	if len(r.loops) > 0 {
		return r.newLoopGroup(o)
	}
	return r.newPortableGroup(o)
}

// Loops is how many loops there are to have groups, 1 where there are none.
func (r *Relay) Loops() int { return max(len(r.loops), 1) }
