package relay

// How a loop sends what is written to streams.

// queue is bytes on their way to a socket. An empty one holds no buffer.
type queue struct {
	b    []byte
	sent int // of b
}

const (
	queueLeast = 4 << 10
	// sparesKept is how many bytes of buffers a loop keeps for queues to come.
	sparesKept = 2 << 20
	// queueMost is what is sent before the end of the turn: more at once costs
	// memory and gains nothing, and a writer is to know of a socket that is full.
	queueMost = readMost
)

func (q *queue) size() int { return len(q.b) - q.sent }

func (q *queue) rest() []byte { return q.b[q.sent:] }

func (q *queue) add(l *loop, b []byte) {
	switch {
	case len(b) == 0:
		return
	case q.b == nil:
		q.b = l.borrowBuffer()
	case len(q.b)+len(b) > cap(q.b) && q.sent >= len(q.b)/2: // moving the rest costs no more than sending the first half did
		q.b = q.b[:copy(q.b, q.rest())]
		q.sent = 0
	}
	q.b = append(q.b, b...)
}

// drop takes off the first n bytes.
func (q *queue) drop(l *loop, n int) {
	if q.sent += n; q.sent == len(q.b) {
		l.returnBuffer(q.b)
		*q = queue{}
	}
}

func (l *loop) borrowBuffer() []byte {
	set := &l.streams
	last := len(set.spare) - 1
	if last < 0 {
		return make([]byte, 0, queueLeast)
	}
	b := set.spare[last]
	set.spare[last] = nil
	set.spare = set.spare[:last]
	set.kept -= cap(b)
	return b
}

func (l *loop) returnBuffer(b []byte) {
	set := &l.streams
	if cap(b) > 0 && set.kept+cap(b) <= sparesKept {
		set.spare = append(set.spare, b[:0])
		set.kept += cap(b)
	}
}

// Write implements Stream.
func (s *loopStream) Write(b []byte) {
	if s.closed || s.broken || s.notified || s.gone {
		return
	}
	if s.tls != nil {
		s.text.add(s.group.loop, b)
	} else {
		s.wire.add(s.group.loop, b)
	}
	s.mark()
	if s.unsent() >= queueMost {
		s.flush()
	}
}

// Backlog implements Stream.
func (s *loopStream) Backlog() int {
	if !s.full {
		return 0
	}
	return s.unsent()
}

func (s *loopStream) unsent() int { return s.text.size() + s.wire.size() }

// mark has settle called at the end of the turn.
func (s *loopStream) mark() {
	if !s.dirty {
		s.dirty = true
		s.group.dirty = append(s.group.dirty, s)
	}
}

// answer queues what TLS says by itself.
func (s *loopStream) answer(records []byte) {
	if len(records) == 0 || s.broken || s.notified {
		return
	}
	if s.wire.size()+len(records) > maxBacklog {
		s.writeFailed(errBacklog)
		return
	}
	s.wire.add(s.group.loop, records)
	s.mark()
}

// flush sends what is queued as far as the socket takes it.
func (s *loopStream) flush() {
	l := s.group.loop
	for !s.full && !s.broken {
		switch {
		case s.wire.size() > 0:
			s.wire.drop(l, s.send(s.wire.rest()))
		case s.text.size() > 0:
			s.sendText()
		default:
			return
		}
	}
}

// sendText seals no more at a time than the socket may take.
func (s *loopStream) sendText() {
	l := s.group.loop
	piece := s.text.rest()
	piece = piece[:min(len(piece), readMost)]
	if err := s.tls.seal(l, piece); err != nil {
		s.writeFailed(err)
		return
	}
	s.text.drop(l, len(piece))
	if n := s.send(l.staged); n < len(l.staged) && !s.broken {
		s.wire.add(l, l.staged[n:])
	}
	if cap(l.staged) > 2*readMost {
		l.staged = nil
	}
	l.staged = l.staged[:0]
}

func (s *loopStream) send(b []byte) (n int) {
	n, err := writeSome(int(s.fd), b)
	if err != nil {
		s.writeFailed(err)
		return 0
	}
	s.full = n < len(b)
	return n
}

// resume goes on when a socket that was full takes more.
func (s *loopStream) resume() {
	s.full = false
	s.flush()
	switch {
	case s.full:
	case s.err != nil:
		s.mark()
	default:
		s.group.touched = true
		s.handler.Drained()
	}
}

// writeFailed drops what is written from now on. What the peer sent before it
// broke is still received, unless that takes too long.
func (s *loopStream) writeFailed(err error) {
	s.broken = true
	s.drop()
	s.fail(err)
	s.endWithin(errorLinger)
}

func (s *loopStream) drop() {
	s.full = false
	s.text.drop(s.group.loop, s.text.size())
	s.wire.drop(s.group.loop, s.wire.size())
}
