package demo

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mqedge/mqedge/demo/hooks"
)

// calls is the account of the hook calls of all brokers.
type calls struct {
	mu       sync.Mutex
	underWay int
	all      account
	window   account // since mark
	latency  latencies
}

// account is what came of calls. One that was cut off, as its broker was killed,
// is neither answered nor lost.
type account struct {
	answered, cutOff, lost int

	inPlace int           // of those answered: by the edge itself, in place of a hook server
	slowest time.Duration // of those answered and lost
	why     string        // the first was lost
}

func newCalls() *calls { return &calls{latency: latencies{limit: 1000}} }

func (c *calls) began() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.underWay++
}

func (c *calls) ended(r hooks.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.underWay--
	c.all.add(r)
	c.window.add(r)
	if !errors.Is(r.Err, hooks.ErrClosed) {
		c.latency.add(r.Took)
	}
}

func (a *account) add(r hooks.Result) {
	switch {
	case errors.Is(r.Err, hooks.ErrClosed):
		a.cutOff++
		return
	case r.Err != nil:
		a.lost++
		if a.why == "" {
			a.why = fmt.Sprintf("%s: %v", r.Method, r.Err)
		}
	default:
		a.answered++
	}
	if r.Ignored {
		a.inPlace++
	}
	a.slowest = max(a.slowest, r.Took)
}

// mark begins a new window.
func (c *calls) mark() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window = account{}
}

func (c *calls) sinceMark() account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.window
}

// total is all calls that have ended, with the latency of the latest of them.
func (c *calls) total() (a account, p50, p99 time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all, c.latency.quantile(0.5), c.latency.quantile(0.99)
}

func (c *calls) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.underWay
}

// String is the account in words.
func (a account) String() string {
	text := fmt.Sprintf("%s calls, %d lost, the slowest took %s", count(a.answered+a.lost), a.lost, brief(a.slowest))
	if a.inPlace > 0 {
		text += fmt.Sprintf(", %d answered by the edge in place of a hook server", a.inPlace)
	}
	if a.why != "" {
		text += "; the first lost was " + a.why
	}
	return text
}
