package relay

import (
	"math"
	"time"
)

// Follower finds a moment at which a stream can be ended, and counts messages. It
// knows where the packets of both sides begin and end, which of them are messages,
// and which exchanges they belong to. Bytes
// count in the order in which they are shown. Its methods are called one at a
// time; they must not keep what they are shown, nor wait.
type Follower interface {
	// FromClient is shown the next bytes that the client sent, and FromServer
	// those that the endpoint sent. They return how many messages became known by
	// them, each once. False means that this stream is lost: nothing more is shown
	// of it.
	FromClient(p []byte) (messages int, ok bool)
	FromServer(p []byte) (messages int, ok bool)
	// ClientLeft and ServerLeft return how many of the next bytes may pass
	// unseen; SkipClient and SkipServer account for those that did.
	ClientLeft() int
	SkipClient(n int)
	ServerLeft() int
	SkipServer(n int)
	// AtServerBoundary reports whether words may be put in behind what the
	// endpoint has sent. It never may once that stream is lost.
	AtServerBoundary() bool
	// QoS2Open reports whether an exchange is worth waiting for.
	QoS2Open() bool
}

// farewell is one that waits for its moment.
type farewell struct {
	words     []byte
	look      int64 // tick at which patience is over, and when impatient, the farewell
	impatient bool  // only the packet boundary counts
}

func newFarewell(words []byte, patience time.Duration, now int64) *farewell {
	w := &farewell{words: words}
	if patience <= 0 {
		w.hurry(now)
		return w
	}
	w.look = now + ticks(min(patience, math.MaxInt64-tick))
	return w
}

// hurry ends the patience.
func (w *farewell) hurry(now int64) {
	w.impatient = true
	w.look = now + ticks(abortGrace)
}

// yield takes over the time of a later farewell, where that has less of it.
func (w *farewell) yield(later *farewell) {
	if later.impatient && !w.impatient || later.look < w.look {
		w.impatient, w.look = w.impatient || later.impatient, later.look
	}
}

// due reports whether the moment has come.
func (w *farewell) due(f Follower) bool {
	return f.AtServerBoundary() && (w.impatient || !f.QoS2Open())
}

// show shows f what a side sent and returns what of it is to be passed on: less
// than b only where the moment of w, which may be nil, comes first. It returns how
// many messages became known, and false once the stream is lost.
func show(f Follower, w *farewell, side int, b []byte) (passed []byte, messages int, ok bool) {
	switch {
	case side == client:
		messages, ok = f.FromClient(b)
		return b, messages, ok
	case w == nil:
		messages, ok = f.FromServer(b)
		return b, messages, ok
	}
	// The reads of a busy stream may end within a packet every time.
	n := 0
	for n < len(b) && !w.due(f) {
		step := min(max(f.ServerLeft(), 1), len(b)-n)
		more, ok := f.FromServer(b[n : n+step])
		messages += more
		if !ok {
			return b, messages, false
		}
		n += step
	}
	return b[:n], messages, true
}
