package edge

import "context"

// task is a goroutine that ends when it is told to.
type task struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func start(run func(context.Context)) *task {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		run(ctx)
	}()
	return t
}

func (t *task) hasEnded() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// stop ends the task and waits for it. A nil task has ended.
func (t *task) stop() {
	if t != nil {
		t.cancel()
		<-t.done
	}
}
