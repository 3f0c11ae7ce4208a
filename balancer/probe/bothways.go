package probe

import (
	"context"
	"sync"
	"time"
)

// try is one conversation. It calls answered, once, when the endpoint has made sense of what it got: what fails after
// that has nothing to do with PROXY.
type try func(ctx context.Context, answered func()) error

// bothWays makes the configured try and, if that fails unanswered or goes unanswered for half of the time left, another
// the other way round beside it: EMQX waits longer for a missing PROXY header than a probe has time. The second try only
// tells why the first failed; its own failure means nothing. Both have ended when bothWays returns; cancel ends ctx.
func bothWays(ctx context.Context, cancel context.CancelFunc, withHeader bool, configured, reverse try) error {
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	secondCtx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	start := func(ctx context.Context, t try) (chan struct{}, chan error) {
		answered, end := make(chan struct{}), make(chan error, 1)
		running.Go(func() { end <- t(ctx, func() { close(answered) }) })
		return answered, end
	}

	deadline, _ := ctx.Deadline()
	late := time.NewTimer(time.Until(deadline) / 2)
	defer late.Stop()
	answered, end := start(ctx, configured)
	var otherAnswered chan struct{}
	var otherEnd chan error
	var failed error // of the configured try
	for {
		select {
		case <-answered:
			giveUp()
			return <-end
		case <-otherAnswered:
			if isClosed(answered) { // it takes both
				continue
			}
			return &ProxyMismatch{Expects: !withHeader}
		case <-late.C:
		case failed = <-end:
			if isClosed(answered) || otherAnswered != nil && otherEnd == nil {
				return failed
			}
			end = nil
		case <-otherEnd:
			if isClosed(otherAnswered) {
				continue
			}
			if end == nil {
				return failed
			}
			otherEnd = nil
		}
		if otherAnswered == nil {
			otherAnswered, otherEnd = start(secondCtx, reverse)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
