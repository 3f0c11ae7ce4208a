package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mqedge/mqedge/edge/upgrade"
)

// UpgradeOptions say how the process that is to take this one's place is started.
type UpgradeOptions struct {
	Program string        // its path
	Args    []string      // without the program
	Without []string      // variables of the environment that it must not get
	Within  time.Duration // the most it may take until it serves
	// Serving is called when the new process serves and this one has let go of what there can be only one of, before the
	// new one goes on. Nil: nobody is told.
	Serving func(pid int)
}

// Upgrade starts another process that serves in this one's place, on the same sockets. When it returns nil that one does, and
// [Edge.Run]'s drain is owed. On error this process goes on as if nothing had happened; the end of ctx is one, until the new
// process serves. Meanwhile there are no reloads. One at a time.
func (e *Edge) Upgrade(ctx context.Context, o UpgradeOptions) error {
	e.log.Info("upgrading", "program", o.Program)
	pid, err := e.upgrade(ctx, o)
	if err != nil {
		e.upgrades.failed.Add(1)
		e.handing.Store(false)
		e.log.Error("upgrade failed, this process goes on", "program", o.Program, "error", err)
		return err
	}
	e.upgrades.ok.Add(1)
	e.log.Info("upgraded: the new process serves, this one takes leave of its clients", "pid", pid)
	return nil
}

func (e *Edge) upgrade(ctx context.Context, o UpgradeOptions) (pid int, err error) {
	p, err := e.handOver()
	if err != nil {
		return 0, err
	}
	defer p.close()
	state, err := json.Marshal(p.handover)
	if err != nil {
		return 0, fmt.Errorf("what the new process is to know: %w", err)
	}
	s, err := upgrade.Start(upgrade.Options{Path: o.Program, Args: o.Args, State: state, Sockets: p.files, Without: o.Without})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Within)
	defer cancel()
	if err := s.Serves(ctx); err != nil {
		return 0, err
	}
	if !e.giveWay() {
		s.Abandon()
		return 0, errDraining
	}
	if o.Serving != nil {
		o.Serving(s.Pid())
	}
	s.Release()
	go e.watchSuccessor(s)
	return s.Pid(), nil
}

// watchSuccessor tells of a new process that ends while this one still takes leave of its clients: nobody serves then.
func (e *Edge) watchSuccessor(s *upgrade.Successor) {
	select {
	case <-s.Ended():
		e.log.Error("the new process has ended, and this one accepts nobody any more: start mqedge", "pid", s.Pid(), "how", s.End())
	case <-e.living.Done():
	}
}

// handOver makes up what the next process gets, and lets no reload change it any more.
func (e *Edge) handOver() (*parcel, error) {
	if e.draining.Load() {
		return nil, errDraining // without waiting for the end of the drain
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.Load() {
		return nil, errDraining
	}
	e.handing.Store(true)
	return e.pack()
}

// giveWay lets go of what there can be only one of: the member of gossip, which says no farewell, since the next announces the
// same; the files of state; and the admin address, so that questions go to the process that serves. It reports false if this
// process has begun to drain: then it does as it was told, and there is no new process.
func (e *Edge) giveWay() bool {
	e.leaving.Lock() // a drain begins before this or after it
	defer e.leaving.Unlock()
	if e.draining.Load() {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.succeeded.Store(true)
	g := e.current.Load()
	g.gossip.stop()
	for name, c := range e.calls {
		if u := g.config.Upstreams[name]; c.carrier != nil && u != nil && u.ExHook != nil {
			silent, hooks := *u, *u.ExHook
			hooks.StateFile, silent.ExHook = "", &hooks
			c.carrier.Configure(callSettings(&silent, c.certs.Load))
		}
	}
	if g.admin != nil {
		g.admin.listener.Mute()
		e.lingering.Go(func() {
			<-time.After(overlap) // also if all else ends sooner: somebody may have asked and not been answered
			g.admin.stop()
		})
	}
	return true
}

// Succeeded reports whether another process serves in this one's place.
func (e *Edge) Succeeded() bool { return e.succeeded.Load() }
