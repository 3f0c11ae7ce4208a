package edge

import (
	"context"
	"reflect"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/docker"
	"github.com/mqedge/mqedge/discovery/gossip"
)

const (
	// gossipFarewell is what a farewell takes at most, and a moment more.
	gossipFarewell = 6 * time.Second

	listenTimeout = 5 * time.Second // for names that have to be resolved first
	listenAgain   = 2 * time.Second
	firstMeeting  = 2 * time.Second
)

// member is this process in the cluster of gossip. It goes on over a reload that changes only what it announces.
type member struct {
	config *configs.Gossip
	node   *gossip.Node
	run    *task         // nil until commit
	offers *offers       // likewise
	shared *task         // likewise
	docker *docker.Agent // nil: containers are not looked at
}

// prepareGossip returns the member that the section asks for, or nil. Its sockets are open, unless it is to take those of old.
func (e *Edge) prepareGossip(c *configs.Gossip, old *member) (*member, error) {
	if c == nil {
		return nil, nil
	}
	var before gossip.Predecessor
	if old == nil {
		var err error
		if before, err = e.predecessor(c.Bind); err != nil {
			return nil, err
		}
	}
	node, err := gossip.New(gossip.Options{
		Predecessor: before,
		Name:        c.Name, Bind: c.Bind, Advertise: c.Advertise, Join: c.Join, KeyFile: c.KeyFile, Label: c.Label,
		Allow: c.Allow, StateFile: c.StateFile, Log: e.log,
	})
	if err != nil {
		return nil, err
	}
	if err := node.Announce(announcements(c.Announce)); err != nil {
		return nil, err
	}
	if old != nil && sameMember(old.config, c) {
		m := &member{config: c, node: old.node, run: old.run, offers: old.offers, shared: old.shared}
		m.docker, err = e.prepareDocker(c.Docker, m.node)
		return m, err
	}
	agent, err := e.prepareDocker(c.Docker, node)
	if err != nil {
		return nil, err
	}
	if old == nil {
		<-e.parted // whose port it may be
	}
	if old == nil || old.config.Bind != c.Bind {
		ctx, cancel := context.WithTimeout(context.Background(), listenTimeout)
		defer cancel()
		if err := node.Listen(ctx); err != nil {
			return nil, err
		}
	}
	return &member{config: c, node: node, docker: agent}, nil
}

func sameMember(a, b *configs.Gossip) bool {
	x, y := *a, *b
	x.Announce, y.Announce = nil, nil
	x.Share, y.Share = nil, nil
	x.Docker, y.Docker = nil, nil
	return reflect.DeepEqual(x, y)
}

// beginGossip puts m in force in place of before. One that replaces another says no farewell for it: what that announced is
// announced again under a new name, and must not be taken out of use between.
func (e *Edge) beginGossip(g, old *generation) {
	m, before := g.gossip, old.gossip
	if before != nil {
		before.shared.stop()
	}
	if m == nil {
		e.follow(nil, before)
		e.settleFor(g)
		e.secrets.Set(nil)
		e.leaveGossip(before)
		return
	}
	if m.run != nil {
		if err := m.node.Reload(); err != nil {
			e.log.Error("the keys of gossip stay as they were", "error", err)
		}
	}
	if before != nil && m.node != before.node {
		before.offers.stop()
		before.run.stop()
	}
	e.follow(m, before)
	m.offers = e.beginOffers(m, before)
	if m.run == nil {
		m.run = start(func(ctx context.Context) { e.takePart(ctx, m.node) })
	}
	if old.config == nil && len(m.config.Join) > 0 && e.inherited == nil { // who was given what is known meets nobody before it serves
		m.meet()
	}
	e.settleFor(g)
	if m.shares(shareTickets) && m.node.Encrypted() { // else anybody may have said them
		e.secrets.Set(secretsOf(m.node.Shared(factTickets)))
	} else {
		e.secrets.Set(nil)
	}
}

// meet waits for what others know, as for what is drained, before the first client is served; not for long, since others may
// be down.
func (m *member) meet() {
	select {
	case <-m.node.Met():
	case <-time.After(firstMeeting):
	}
}

// takePart runs a node until ctx ends. Only one that took over the address of another can find it taken.
func (e *Edge) takePart(ctx context.Context, node *gossip.Node) {
	select {
	case <-e.released: // by the member whose place this one takes
	case <-ctx.Done():
		node.Close()
		return
	}
	for {
		err := node.Listen(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		e.log.Error("gossip cannot begin yet", "error", err)
		wait(ctx, listenAgain)
	}
	if err := node.Run(ctx); err != nil && ctx.Err() == nil {
		e.log.Error("gossip has ended", "error", err)
	}
}

// leaveGossip is for a section that a reload removed.
func (e *Edge) leaveGossip(m *member) {
	if m == nil {
		return
	}
	e.lingering.Add(1)
	parted := make(chan struct{})
	e.parted = parted
	go func() {
		defer e.lingering.Done()
		defer close(parted)
		m.leave(e.living)
		m.stop()
	}()
}

// leave says farewell, after which nothing that this process announced is used any more. It takes up to some seconds.
func (m *member) leave(ctx context.Context) error {
	if m == nil {
		return nil
	}
	return m.node.Leave(ctx)
}

func (m *member) stop() {
	if m != nil {
		m.shared.stop()
		m.offers.stop()
		m.run.stop()
	}
}
