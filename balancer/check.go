package balancer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Prober asks an endpoint how it is. It returns nil for a healthy one, a [Draining] for one that wants no new
// connections, and any other error for one that is not to be used. It heeds the context, which bounds its time. An error
// that this host has no file, port or memory left tells nothing of the endpoint.
type Prober interface {
	Probe(ctx context.Context, addr string) error
}

// Draining is the error of a [Prober] whose endpoint answered that it wants no new connections but serves those it has.
type Draining struct {
	Reason string
}

func (d Draining) Error() string {
	return "draining: " + d.Reason
}

// CheckOptions is how [Pool.Check] checks. What is 0 or less takes the default.
type CheckOptions struct {
	Prober      Prober
	Interval    time.Duration // 5 s
	Timeout     time.Duration // of one probe; 2 s
	Rise        int           // successes in a row that bring an endpoint up; 2
	Fall        int           // failures in a row that take it down; 3
	Concurrency int           // probes at one time; 16
}

func (o CheckOptions) withDefaults() CheckOptions {
	if o.Interval <= 0 {
		o.Interval = 5 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Rise <= 0 {
		o.Rise = 2
	}
	if o.Fall <= 0 {
		o.Fall = 3
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 16
	}
	return o
}

// Check probes every endpoint each Interval until the context ends, and keeps those from use that fail. Endpoints that
// come and go by Update are followed at once; a new one is up until its probes say otherwise. When Check returns all
// it started has ended, and its verdicts are void. One at a time.
func (p *Pool) Check(ctx context.Context, o CheckOptions) {
	c := &checker{CheckOptions: o.withDefaults()}
	c.slots = make(chan struct{}, c.Concurrency)
	p.checked.Store(true)
	defer p.checked.Store(false)
	watched := make(map[*node]context.CancelFunc)
	var watchers sync.WaitGroup
	for ctx.Err() == nil {
		present := make(map[*node]bool)
		for _, m := range p.current.Load().members {
			present[m.node] = true
			if watched[m.node] == nil {
				while, leave := context.WithCancel(ctx)
				watched[m.node] = leave
				watchers.Go(func() { c.watch(while, m.node) })
			}
		}
		for n, leave := range watched {
			if !present[n] {
				leave()
				delete(watched, n)
			}
		}
		select {
		case <-ctx.Done():
		case <-p.updated:
		}
	}
	watchers.Wait()
	for n, leave := range watched {
		leave()
		n.unchecked()
	}
}

// checker is one Check under way.
type checker struct {
	CheckOptions
	slots chan struct{} // holds one element for each probe under way
}

// watch probes one endpoint until the context ends. It begins anywhere within the interval, and the interval varies by a
// tenth, so that neither endpoints nor edges fall into step.
func (c *checker) watch(ctx context.Context, n *node) {
	next := time.NewTimer(rand.N(c.Interval))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(c.Interval*9/10 + rand.N(c.Interval/5+1))
		select {
		case <-ctx.Done():
			return
		case c.slots <- struct{}{}:
		}
		err := c.probe(ctx, n.addr)
		<-c.slots
		if ctx.Err() != nil {
			return // the probe was interrupted, which tells nothing of the endpoint
		}
		if isLocal(err) {
			continue
		}
		n.probed(err, c.Rise, c.Fall)
	}
}

func (c *checker) probe(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	err := c.Prober.Probe(ctx, addr)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("no answer within %v", c.Timeout)
	}
	return err
}

// isLocal reports whether a probe failed for want of something on this host. Each endpoint would look the same then, and
// to take one out of use would put its load on those that are left.
func isLocal(err error) bool {
	return slices.ContainsFunc([]error{
		syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM,
	}, func(e error) bool { return errors.Is(err, e) })
}

// verdict is what the active check makes of an endpoint. Only one that is passing gets connections.
type verdict uint32

const (
	passing verdict = iota
	leaving         // asks for no new connections
	failing
)

// check is what the probes of an endpoint have told so far. The zero value is a new endpoint.
type check struct {
	verdict verdict
	rises   int    // successes in a row
	falls   int    // failures in a row
	reason  string // of the latest probe that was no success; empty when all is well
}

// after is the state after one more probe. What an endpoint says itself needs no second hearing: it is leaving at
// the first Draining, and stays at the first success after it.
func (c check) after(err error, rise, fall int) check {
	draining, leaves := errors.AsType[Draining](err)
	switch {
	case err == nil:
		c.rises, c.falls = c.rises+1, 0
		if c.verdict != failing || c.rises >= rise {
			c.verdict, c.reason = passing, ""
		}
	case leaves:
		return check{verdict: leaving, reason: "draining: " + draining.Reason}
	default:
		c.rises, c.falls = 0, c.falls+1
		if c.falls >= fall {
			c.verdict = failing
		}
		if c.verdict != leaving {
			c.reason = fmt.Sprintf("check failed: %s (%d of %d)", words(err), min(c.falls, fall), fall)
		}
	}
	return c
}

// probed takes note of a probe.
//
// A probe proves that the endpoint can be reached, not that it serves. So it does not end an ejection, but Rise
// successes since the latest failure make an endpoint that was ejected because it could not be reached due for its
// trial at once: a connection is the judge. One that refused or was slow waits its time.
func (n *node) probed(err error, rise, fall int) {
	n.mu.Lock()
	if !n.present.Load() {
		n.mu.Unlock()
		return
	}
	n.saw(err)
	before := n.check.verdict
	n.check = n.check.after(err, rise, fall)
	if retryAt := n.retryAt.Load(); retryAt != 0 && n.why == ConnectFailed && n.check.rises == rise {
		n.retryAt.CompareAndSwap(retryAt, min(retryAt, int64(n.pool.now())))
	}
	changed := n.decide(before)
	reason := n.check.reason
	n.mu.Unlock()
	if changed {
		n.tellOfCheck(reason, "the check succeeded")
	}
}

// unchecked makes the verdict void.
func (n *node) unchecked() {
	n.mu.Lock()
	before := n.check.verdict
	n.check = check{}
	changed := n.decide(before)
	n.mu.Unlock()
	if changed {
		n.tellOfCheck("", "it is not checked any more")
	}
}

// decide puts the verdict in force and reports whether it is another than before. n.mu is held.
func (n *node) decide(before verdict) bool {
	now := n.check.verdict
	if now == before {
		return false
	}
	if now == passing {
		n.startSlowly() // first, so that no pick comes between
	}
	n.verdict.Store(uint32(now))
	return true
}

// tellOfCheck tells of a verdict: against the endpoint with a reason, or for it if nothing else keeps it out.
func (n *node) tellOfCheck(against, pro string) {
	switch {
	case against != "":
		n.pool.tell([]Change{{n.pool.name, n.addr, false, against}})
	case !n.out():
		n.pool.tell([]Change{{n.pool.name, n.addr, true, pro}})
	}
}
