package edge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	// logLines is how many lines may wait for a slow reader of the log.
	logLines = 1024
	// logFlush is how long the last lines may take at the end.
	logFlush = time.Second
)

// logWriter keeps whoever logs from waiting for whoever reads the log: once it
// runs, lines go through a bounded queue, and what does not fit is lost and
// counted.
type logWriter struct {
	out   io.Writer
	lines chan []byte
	runs  atomic.Bool
	lost  atomic.Uint64
}

func newLogWriter(out io.Writer) *logWriter {
	return &logWriter{out: out, lines: make(chan []byte, logLines)}
}

func (w *logWriter) Write(line []byte) (int, error) {
	if !w.runs.Load() {
		return w.out.Write(line)
	}
	select {
	case w.lines <- bytes.Clone(line):
	default:
		w.lost.Add(1)
	}
	return len(line), nil
}

// run writes what is queued until ctx ends, and then the rest unless the reader
// is stuck.
func (w *logWriter) run(ctx context.Context) {
	w.runs.Store(true)
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.write(ctx.Done())
	}()
	<-ctx.Done()
	select {
	case <-written:
	case <-time.After(logFlush):
	}
}

func (w *logWriter) write(done <-chan struct{}) {
	var told uint64
	for {
		select {
		case line := <-w.lines:
			w.out.Write(line)
			if lost := w.lost.Load(); lost > told && len(w.lines) == 0 {
				fmt.Fprintf(w.out, "level=WARN msg=\"log lines were lost, since nobody read them\" lines=%d\n", lost-told)
				told = lost
			}
			continue
		default:
		}
		select {
		case line := <-w.lines:
			w.out.Write(line)
		case <-done:
			if len(w.lines) == 0 {
				return
			}
		}
	}
}
