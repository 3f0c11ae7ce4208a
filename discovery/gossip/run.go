package gossip

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	tendInterval = time.Second     // how often things are looked at that only time changes
	saveInterval = 5 * time.Second // how often the state file may be written
	senders      = 4
	leaveTimeout = 5 * time.Second
)

// Run takes part in the cluster until ctx ends. Without Leave before, the others take this node for dead, not for gone. A node
// runs once. When Run returns its sockets are closed and its goroutines have ended, except that some of memberlist's own sleep
// until their timers run out, which takes seconds.
func (n *Node) Run(ctx context.Context) error {
	if err := n.Listen(ctx); err != nil {
		return err
	}
	if n.o.StateFile != "" || n.o.Predecessor.Known != nil {
		n.restore()
	}
	n.transport.start()
	defer n.transport.Shutdown()
	list, err := memberlist.Create(n.config())
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	n.mu.Lock()
	n.list = list
	n.stir(time.Now(), 0)
	n.mu.Unlock()
	n.log.Info("gossip runs", "name", n.name, "bind", n.bind, "advertise", n.catalog.ownAddr, "encrypted", n.Encrypted())

	var wg sync.WaitGroup
	working, stop := context.WithCancel(ctx)
	for range senders {
		wg.Go(func() { n.deliver(working) })
	}
	wg.Go(func() { n.rejoin(working) })
	if n.o.StateFile != "" {
		wg.Go(func() { n.keepState(working) })
	}
	n.loop(ctx)

	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
	stop()
	n.leaving.Wait()
	err = list.Shutdown()
	wg.Wait()
	return err
}

func (n *Node) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = n.name
	c.Label = n.o.Label
	c.Transport = n.transport
	c.Keyring = n.ring
	c.EnableCompression = false // it costs more for every packet than it saves
	c.HandoffQueueDepth = 8192
	c.DelegateProtocolVersion, c.DelegateProtocolMin, c.DelegateProtocolMax = format, format, format
	d := delegate{n}
	c.Delegate, c.Events, c.Alive = d, d, d
	c.Logger = log.New(&bridge{node: n}, "", 0)
	if n.o.tune != nil {
		n.o.tune(c)
	}
	return c
}

// loop does what is due until ctx ends.
func (n *Node) loop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		case <-timer.C:
		}
		timer.Reset(n.turn(time.Now()))
	}
}

// turn does what is due and returns for how long there is nothing more to do.
func (n *Node) turn(now time.Time) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	next := now.Add(tendInterval)
	soon := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if n.wanted != nil {
		if at := n.published.Add(batchInterval); now.Before(at) {
			soon(at)
		} else {
			n.publish(now)
		}
	}
	if now.Sub(n.tended) >= tendInterval {
		n.tend(now)
	}
	if !n.due.IsZero() {
		if now.Before(n.due) {
			soon(n.due)
		} else {
			n.refresh(now)
		}
	}
	if at := n.silent.report(n.log, now); !at.IsZero() {
		soon(at)
	}
	if at := n.fetch(now); !at.IsZero() {
		soon(at)
	}
	return max(next.Sub(now), time.Millisecond)
}

// publish announces what Announce was told. n.mu is held.
func (n *Node) publish(now time.Time) {
	offers := make(map[place]offer, len(n.wanted))
	for _, a := range n.wanted {
		if o, err := a.offer(n.catalog.ownAddr.Addr()); err == nil {
			offers[o.place()] = o
		}
	}
	n.wanted = nil
	if n.left {
		return
	}
	own := &n.catalog.own
	n.catalog.touch(&own.set)
	if !own.become(offers, false) {
		return
	}
	n.published = now
	n.catalog.touch(&own.set)
	n.relay("set "+n.name, own.delta(), nil)
	n.stir(now, 0)
}

// tend does what time alone makes necessary. n.mu is held.
func (n *Node) tend(now time.Time) {
	n.tended = now
	n.catalog.expire(now, n.needed(now))
	for origin := range n.relayed {
		if n.catalog.sets[origin] == nil && n.lacking[origin] == nil {
			delete(n.relayed, origin)
		}
	}
	n.facts.expire(now)
	n.refusals.summarize()
	for service, v := range n.views {
		if len(v.current)+len(v.seen) == 0 {
			delete(n.views, service) // nobody may ever ask again; who does gets a new one
		}
		if !v.due.IsZero() && !now.Before(v.due) {
			n.catalog.dirty[service] = true
		}
	}
	if len(n.catalog.dirty) > 0 || len(n.facts.dirty) > 0 {
		n.stir(now, 0)
	}
}

// needed says of a set that has been silent for too long whether it is to stay: when one of its services has nothing
// better, or when one of its endpoints is known to work.
func (n *Node) needed(now time.Time) func(*set) bool {
	return func(s *set) bool {
		for _, o := range s.offers {
			v := n.view(o.service, now)
			if !v.present {
				return true
			}
			if seen := v.seen[o.addr]; seen != nil && now.Sub(seen.worked) < n.o.SuspectLimit {
				return true
			}
		}
		return false
	}
}

// refresh makes the views anew that may have changed, and tells who watches. n.mu is held.
func (n *Node) refresh(now time.Time) {
	n.due = time.Time{}
	for service := range n.catalog.dirty {
		v := n.views[service]
		if v == nil && n.watchers.any(service) {
			n.view(service, now)
			n.watchers.tell(service)
		}
		if v != nil && v.rebuild(n.catalog, now) {
			n.watchers.tell(service)
		}
	}
	clear(n.catalog.dirty)
	for kind := range n.facts.dirty {
		n.factWatchers.tell(kind)
	}
	clear(n.facts.dirty)
}

// view is that of a service, made when it is first asked for. What is news in it is told from here, since refresh then finds no
// difference any more. n.mu is held.
func (n *Node) view(service string, now time.Time) *view {
	v := n.views[service]
	if v == nil {
		v = newView(service)
		n.views[service] = v
		if v.rebuild(n.catalog, now) {
			n.watchers.tell(service)
		}
	}
	return v
}

// Leave says goodbye: the others take the endpoints of this node out of use at once. It returns when enough of them were
// told, or nobody is there, and then Run can be ended. The error is ErrNotRunning, or that the farewell may not have been heard
// before ctx ended or 5 s had passed.
func (n *Node) Leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	n.mu.Lock()
	list := n.list
	if list == nil || n.ended {
		n.mu.Unlock()
		return ErrNotRunning
	}
	n.leaving.Add(1)
	heard := make(chan struct{})
	n.left = true
	own := &n.catalog.own
	n.catalog.touch(&own.set)
	own.become(nil, true)
	n.relay("set "+n.name, own.delta(), heard)
	n.stir(time.Now(), 0)
	n.mu.Unlock()

	gone := make(chan error, 1)
	go func() {
		defer n.leaving.Done()
		gone <- list.Leave(leaveTimeout)
	}()
	if n.living.Load() == 0 {
		return <-gone
	}
	select {
	case <-heard:
	case <-ctx.Done():
		return errors.New("gossip: left, but perhaps not all members have heard of it")
	}
	select {
	case err := <-gone:
		return err
	case <-ctx.Done():
		return errors.New("gossip: left, but perhaps not all members have heard of it")
	}
}
