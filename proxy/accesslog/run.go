package accesslog

import (
	"context"
	"errors"
	"time"
)

var errSlow = errors.New("it does not take lines as fast as they come")

// Run writes lines until ctx ends, then flushes what is buffered within two seconds, closes the file and returns.
// It is called once. Only a write that the kernel cannot interrupt (standard output as a pipe whose reader is stuck)
// outlives it: the goroutine in that write ends when the write does.
func (l *Log) Run(ctx context.Context) {
	if l == nil {
		<-ctx.Done()
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w := writer{log: l}
		w.run(ctx)
	}()

	// Reports come from here, since the writer may be stuck in a write.
	ticker := time.NewTicker(l.reportEvery)
	defer ticker.Stop()
	var reported uint64
	for running := true; running; {
		select {
		case <-ticker.C:
			reported = l.report(reported)
		case <-ctx.Done():
			running = false
		}
	}

	timer := time.NewTimer(l.flushWithin)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	}
	l.Close()
	l.report(reported)
}

// report tells of the lines lost beyond the given count and of a file that refuses; it returns the new count.
func (l *Log) report(before uint64) uint64 {
	lost := l.lost.Load()
	l.mu.Lock()
	cause := l.trouble
	l.mu.Unlock()
	if lost == before && cause == nil {
		return before
	}
	if cause == nil {
		cause = errSlow
	}
	l.logger.Warn("access log: lines are lost or wait; traffic is not affected",
		"path", l.path, "lost", lost-before, "lost_total", lost, "cause", cause)
	return lost
}
