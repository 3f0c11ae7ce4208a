package exhook

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// dialling is a connection to be made.
type dialling struct {
	link  *link
	lease balancer.Lease
	dial  func(ctx context.Context, addr string) (net.Conn, error)
	tls   bool
}

// note is a line for the log.
type note struct {
	level slog.Level
	text  string
	attrs []any
}

// saving is a state to be written.
type saving struct {
	file  string
	state hook.State
}

// Run connects to the endpoints and keeps connected, reads and writes the state file and the log, until ctx ends. Then it
// closes the connections, and returns when all of that has ended.
func (u *Upstream) Run(ctx context.Context) {
	var working, clerk sync.WaitGroup
	over := make(chan struct{})
	clerk.Go(func() { u.clerk(over) })
	u.restore()

	t := time.NewTicker(tickEvery)
	defer t.Stop()
	u.do(u.tick)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-t.C:
			u.do(u.tick)
		case d := <-u.dials:
			working.Go(func() { u.dial(ctx, d) })
		}
	}
	stopped := make(chan struct{})
	if u.do(func() {
		u.stop()
		close(stopped)
	}) {
		<-stopped
	}
	working.Wait()
	close(over)
	clerk.Wait()
}

// stop closes the connections, and makes no more.
func (u *Upstream) stop() {
	u.stopping = true
	u.early.abandon(u)
	for p := range u.conns {
		p.Close()
	}
	for {
		select {
		case d := <-u.dials:
			d.lease.Done(balancer.Broken)
		default:
			u.remember()
			u.publish(time.Now())
			return
		}
	}
}

// dial makes a connection, and carries it where the loop has that done by whoever brings it.
func (u *Upstream) dial(ctx context.Context, d dialling) {
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, dialTimeout)
	nc, err := d.dial(within, d.link.addr)
	cancel()
	took := time.Since(began)
	if err == nil {
		o := grpcrelay.ProviderOptions{TLS: d.tls, Authority: d.link.addr, Changed: func(p *grpcrelay.Provider) {
			u.enter()
			u.changed(d.link, p)
			u.leave()
		}}
		err = u.loop.AddProvider(nc, o, func(p *grpcrelay.Provider) {
			u.enter()
			u.attached(d, p, took)
			u.leave()
		})
	}
	if err != nil {
		u.do(func() { u.notReached(d, err) })
	}
}

// restore takes the state of the process before, or else reads the state file.
func (u *Upstream) restore() {
	if data := u.inherited; data != nil {
		u.inherited = nil
		if state, err := hook.ParseState(data); err == nil {
			u.do(func() { u.recall(state) })
			return
		}
	}
	asked := make(chan string, 1)
	if !u.do(func() { asked <- u.rules.stateFile }) {
		return
	}
	file := <-asked
	if file == "" {
		return
	}
	state, err := hook.LoadState(file)
	if err != nil {
		u.log.Warn(err.Error(), "upstream", u.name)
	}
	u.do(func() { u.recall(state) })
}

// clerk does what takes time and must not be done in the group.
func (u *Upstream) clerk(over <-chan struct{}) {
	const pause = time.Second // between writes of the state
	var wait <-chan time.Time
	failed := ""
	write := func() {
		s := u.saving.Swap(nil)
		if s == nil {
			return
		}
		wait = time.After(pause)
		text := ""
		if err := s.state.Save(s.file); err != nil {
			if text = err.Error(); text != failed {
				u.log.Error(text, "upstream", u.name)
			}
		}
		failed = text
	}
	for {
		select {
		case n := <-u.notes:
			u.say(n)
		case <-u.save:
			if wait == nil {
				write()
			}
		case <-wait:
			wait = nil
			write()
		case <-over:
			write()
			for {
				select {
				case n := <-u.notes:
					u.say(n)
				default:
					return
				}
			}
		}
	}
}

func (u *Upstream) say(n note) {
	u.log.Log(context.Background(), n.level, n.text, append(n.attrs, "upstream", u.name)...)
	if lost := u.lost.Swap(0); lost > 0 {
		u.log.Warn(fmt.Sprintf("%d lines left out of the log", lost), "upstream", u.name)
	}
}

// tell has a line logged. It is for changes of state, which are rare.
func (u *Upstream) tell(level slog.Level, text string, attrs ...any) {
	select {
	case u.notes <- note{level, text, attrs}:
	default:
		u.lost.Add(1)
	}
}
