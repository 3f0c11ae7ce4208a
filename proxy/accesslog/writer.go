package accesslog

import (
	"bytes"
	"context"
	"time"
)

// writer is the one goroutine that writes. Together with Log.waiting its batch is a double buffer.
type writer struct {
	log   *Log
	batch []byte // taken from the log
	rest  []byte // of batch: what the file has not taken
	half  bool   // the file ends within the line that rest begins with
}

// run keeps what the file refuses and tries again until ctx ends; after that it tries once more.
func (w *writer) run(ctx context.Context) {
	for {
		wrote := w.flush()
		if ctx.Err() != nil {
			w.log.lost.Add(countLines(w.rest))
			return
		}
		if len(w.rest) == 0 {
			w.await(ctx, wrote)
			continue
		}
		// New lines are no reason to try again: a full disk is asked at its own pace.
		retry := time.NewTimer(w.log.retryAfter)
		select {
		case <-retry.C:
		case <-w.log.rotated:
		case <-ctx.Done():
		}
		retry.Stop()
	}
}

// await waits for lines, after a write only when others had the time to join them:
// to wake this goroutine for each line costs as much as a tenth of a short plain
// connection, in the Go scheduler and in futex calls. The first line after a
// silence is written at once.
func (w *writer) await(ctx context.Context, wrote bool) {
	l := w.log
	if wrote {
		pause := time.NewTimer(l.gather)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-l.crowded:
			return
		case <-l.rotated:
			return
		case <-ctx.Done():
			return
		}
	}
	select {
	case <-l.lines:
	case <-l.rotated:
	case <-ctx.Done():
	}
}

// flush writes until nothing is waiting or the file refuses. It reports whether
// anything was written.
func (w *writer) flush() (wrote bool) {
	for {
		w.put()
		refused := len(w.rest) > 0
		switched := w.log.switchFile(refused)
		if refused && !switched {
			return wrote
		}
		if refused {
			w.dropHalfLine()
			continue
		}
		if !w.take() {
			return wrote
		}
		wrote = true
	}
}

func (w *writer) put() {
	if len(w.rest) == 0 {
		return
	}
	l := w.log
	l.mu.Lock()
	out := l.out
	l.mu.Unlock()

	n, err := out.Write(w.rest)
	if n > 0 {
		w.half = w.rest[n-1] != '\n'
		l.written.Add(countLines(w.rest[:n]))
		w.rest = w.rest[n:]
	}

	l.mu.Lock()
	l.trouble = err
	l.mu.Unlock()
}

// take takes the waiting lines, of which those logged before a Reopen come first and by themselves.
func (w *writer) take() bool {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.waiting)
	if l.next != nil {
		n, l.upTo = l.upTo, 0
	}
	later := append(w.batch[:0], l.waiting[n:]...)
	w.batch, l.waiting = l.waiting[:n], later
	w.rest = w.batch
	return n > 0
}

// dropHalfLine makes rest begin with a whole line, for a file that does not have the first half.
func (w *writer) dropHalfLine() {
	if !w.half {
		return
	}
	w.rest = w.rest[bytes.IndexByte(w.rest, '\n')+1:]
	w.half = false
	w.log.lost.Add(1)
}

// switchFile lets the file of Reopen take over once the old one has what was logged before, or refuses it.
func (l *Log) switchFile(refused bool) bool {
	l.mu.Lock()
	if l.next == nil || l.upTo > 0 && !refused {
		l.mu.Unlock()
		return false
	}
	old := l.out
	l.out, l.next, l.upTo = l.next, nil, 0
	l.mu.Unlock()
	_ = old.Close() // its writes were checked one by one
	return true
}

func countLines(b []byte) uint64 {
	return uint64(bytes.Count(b, []byte{'\n'}))
}
