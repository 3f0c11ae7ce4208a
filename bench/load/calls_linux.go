package load

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/bench/stats"
)

// CallOptions describe a stretch of calls.
type CallOptions struct {
	Rate  float64       `json:"rate"` // calls per second over all connections; 0 is as fast as they are answered
	For   time.Duration `json:"for"`
	Seed  uint64        `json:"seed"` // equal seeds give equal schedules
	Grace time.Duration `json:"grace"`
}

// CallResult is what became of the calls. Latency counts from the time a call was due; without a rate it was when there was a
// free stream for it.
type CallResult struct {
	Due      int64          `json:"due"`
	Answered int64          `json:"answered"` // rightly
	Failed   map[string]int `json:"failed,omitempty"`
	P50      time.Duration  `json:"p50"`
	P99      time.Duration  `json:"p99"`
	LateP99  time.Duration  `json:"late_p99"` // the generator's own share, of calls at a rate
	Took     time.Duration  `json:"took"`     // until the last call ended
}

// callRun is a stretch. Each call knows its own, so those of an earlier one that are answered late count for nothing.
type callRun struct {
	opts  CallOptions
	epoch time.Time
	over  atomic.Bool // the grace has passed: what still waits is dropped

	due, answered, ended atomic.Int64
	last                 atomic.Int64 // since epoch, when a call ended
	latency, late        stats.Histogram
	failed               failures
}

// Run makes calls and waits until all have ended, or for Grace after the last.
func (cs *Callers) Run(opts CallOptions) (CallResult, error) {
	if len(cs.conns) == 0 {
		return CallResult{}, errors.New("load: no connection to call over")
	}
	r := &callRun{opts: opts, epoch: time.Now()}
	for _, c := range cs.conns {
		_ = c.SetWriteDeadline(r.epoch.Add(opts.For + 2*opts.Grace))
	}
	cs.readers.Do(func() {
		for _, c := range cs.conns {
			cs.wg.Go(c.receive)
		}
	})
	if opts.Rate > 0 {
		cs.send(r)
	} else {
		cs.fill(r)
	}
	awaitAll(func() bool { return r.ended.Load() == r.due.Load() }, opts.Grace)
	r.over.Store(true)
	for _, c := range cs.conns {
		_ = c.SetWriteDeadline(time.Time{})
	}
	return CallResult{
		Due: r.due.Load(), Answered: r.answered.Load(), Failed: r.failed.byError(),
		P50: r.latency.Quantile(0.5), P99: r.latency.Quantile(0.99), LateP99: r.late.Quantile(0.99), Took: time.Duration(r.last.Load()),
	}, nil
}

// send works through a schedule of Poisson arrivals.
func (cs *Callers) send(r *callRun) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpenTimer()
	random := rand.New(rand.NewPCG(r.opts.Seed, 2))
	for due := time.Duration(0); ; {
		due += time.Duration(random.ExpFloat64() / r.opts.Rate * float64(time.Second))
		if due >= r.opts.For {
			return
		}
		i := random.IntN(len(cs.targets))
		sleepUntil(r.epoch.Add(due))
		r.due.Add(1)
		cs.conns[cs.homes[i]].submit(dueCall{target: &cs.targets[i], run: r, due: due})
		r.late.Record(time.Since(r.epoch) - due)
	}
}

// fill has as many calls under way as there are streams, until the time is over.
func (cs *Callers) fill(r *callRun) {
	for _, c := range cs.conns {
		c.mu.Lock()
		var calls []dueCall
		for range c.slots {
			calls = append(calls, c.following(r))
		}
		c.mu.Unlock()
		c.submit(calls...)
	}
	sleepUntil(r.epoch.Add(r.opts.For))
}

// begin counts a call that is due now.
func (r *callRun) begin() time.Duration {
	r.due.Add(1)
	return time.Since(r.epoch)
}

// end counts a call that has ended, and reports whether another one is to follow.
func (r *callRun) end(d dueCall, err error) (another bool) {
	now := time.Since(r.epoch)
	r.last.Store(int64(now))
	if err == nil {
		r.latency.Record(now - d.due)
		r.answered.Add(1)
	} else {
		r.failed.add(err)
	}
	r.ended.Add(1)
	return r.opts.Rate == 0 && now < r.opts.For
}

func (c *caller) submit(calls ...dueCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range calls {
		if c.dead != nil {
			d.run.end(d, c.dead)
			continue
		}
		c.call(d)
	}
	if c.dead == nil {
		c.lose(c.flush())
	}
}

// receive ends with the connection. What came together is answered together.
func (c *caller) receive() {
	for {
		f, err := c.in.Next()
		c.mu.Lock()
		for err == nil {
			if err = c.handle(f); err != nil || !c.in.Ready() {
				break
			}
			f, err = c.in.Next()
		}
		if err == nil {
			err = c.flush()
		}
		c.lose(err)
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// lose ends all calls of a connection that an error has befallen; nil is none.
func (c *caller) lose(err error) {
	if err == nil || c.dead != nil {
		return
	}
	c.dead = err
	_ = c.Close()
	for i := range c.slots {
		if s := &c.slots[i]; s.stream != 0 && s.run != nil {
			s.run.end(s.dueCall, err)
		}
	}
	for _, d := range c.waiting[c.first:] {
		if d.run != nil {
			d.run.end(d, err)
		}
	}
	c.waiting, c.first = nil, 0
}
