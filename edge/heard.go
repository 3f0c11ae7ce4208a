package edge

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery"
	"github.com/mqedge/mqedge/discovery/gossip"
)

// judgeEvery is how often gossip is told how suspected endpoints do.
const judgeEvery = 2 * time.Second

// relearn is how long a new member may take until it has heard of all endpoints that the one before knew.
const relearn = 10 * time.Second

// heard is what gossip says of the endpoints of an upstream, and what it is told of them. A nil one hears nothing.
type heard struct {
	settings heardSettings
	e        *Edge
	feed     *feed
	upstream string

	mu        sync.Mutex
	spoke     set // what gossip said last
	kept      set // what the member before knew and this one has not heard of
	keptUntil time.Time

	// Of update alone.
	moving map[string]bool // endpoints that left and whose clients are moved
	alone  map[string]bool // endpoints that left, and there was no other
	differ map[string]bool // endpoints that are known to expect another PROXY header
}

// heardSettings are what it is made of: with others it is another one.
type heardSettings struct {
	node      *gossip.Node
	service   string
	sendProxy string
}

func (e *Edge) newHeard(upstream string, g *generation, f *feed) *heard {
	c := g.config.Upstreams[upstream]
	return &heard{
		settings: heardSettings{node: g.gossip.node, service: c.Gossip, sendProxy: c.SendProxy},
		e:        e, feed: f, upstream: upstream, moving: make(map[string]bool), differ: make(map[string]bool),
	}
}

func (h *heard) run(ctx context.Context) {
	var judging sync.WaitGroup
	judging.Go(func() { h.judge(ctx) })
	judging.Go(func() {
		if wait(ctx, time.Until(h.keptUntil)); ctx.Err() == nil {
			h.learnt()
		}
	})
	h.settings.node.Watch(ctx, h.settings.service, h.update)
	judging.Wait()
}

func (h *heard) update(endpoints []gossip.Endpoint) {
	h.hear(endpoints)
	h.part(endpoints)
	h.compare(endpoints)
}

// hear says nothing before the first endpoint is known: after a reload the pool keeps those it has.
func (h *heard) hear(endpoints []gossip.Endpoint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := len(h.kept)
	h.kept = slices.DeleteFunc(h.kept, func(k balancer.Endpoint) bool {
		return slices.ContainsFunc(endpoints, func(ep gossip.Endpoint) bool { return ep.Addr == k.Addr })
	})
	if next := gossip.Usable(endpoints); !slices.Equal(next, h.spoke) || len(h.kept) != before {
		h.spoke = next
		h.say()
	}
}

// keep is for a member that takes the place of another, before it runs.
func (h *heard) keep(known set) {
	h.kept, h.keptUntil = slices.Clone(known), time.Now().Add(relearn)
}

// learnt is for when what was kept has had its time.
func (h *heard) learnt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.kept) > 0 && len(h.spoke) > 0 {
		h.say()
	}
}

// say tells the pool. h.mu is held.
func (h *heard) say() {
	if len(h.spoke) > 0 && !time.Now().Before(h.keptUntil) {
		h.kept = nil
	}
	h.feed.say(fromGossip, discovery.Merge(h.spoke, h.kept))
}

// part moves clients away from endpoints that left, as for a drain by hand, if there is anywhere to go.
func (h *heard) part(endpoints []gossip.Endpoint) {
	e, pool := h.e, h.feed.pool
	config := e.current.Load().config // nil while the first one is put in force
	if config == nil || e.draining.Load() {
		return
	}
	e.moves.mu.Lock()
	defer e.moves.mu.Unlock()
	members := pool.Members()
	before, alone := h.moving, h.alone
	h.moving, h.alone = make(map[string]bool), make(map[string]bool)
	for _, ep := range endpoints {
		used := slices.ContainsFunc(members, func(m balancer.Member) bool { return m.Addr == ep.Addr })
		left := ep.State == gossip.Left && !used
		switch {
		case left && before[ep.Addr]:
			h.moving[ep.Addr] = true
		case left && len(members) > 0:
			over := config.Drain.Over
			e.log.Info("endpoint was withdrawn", "upstream", h.upstream, "endpoint", ep.Addr, "connections", pool.Connections(ep.Addr), "over", over.String())
			e.move(pool, ep.Addr, over)
			h.moving[ep.Addr] = true
		case left:
			if h.alone[ep.Addr] = true; !alone[ep.Addr] {
				e.log.Warn("endpoint was withdrawn, and there is no other: its clients stay, new ones are refused", "upstream", h.upstream, "endpoint", ep.Addr,
					"connections", pool.Connections(ep.Addr))
			}
		case !left && before[ep.Addr]:
			if _, byHand := e.drains.acted[place{h.upstream, ep.Addr}]; byHand {
				continue
			}
			e.moves.stop(pool, ep.Addr)
			e.log.Info("endpoint is announced again", "upstream", h.upstream, "endpoint", ep.Addr)
		}
	}
}

// compare warns of endpoints that expect another PROXY header than they get.
func (h *heard) compare(endpoints []gossip.Endpoint) {
	before := h.differ
	h.differ = make(map[string]bool)
	for _, ep := range endpoints {
		expects := ep.Facts[factSendProxy]
		if expects == "" || expects == h.settings.sendProxy || expects == sendProxyOn && h.settings.sendProxy != "off" {
			continue
		}
		h.differ[ep.Addr] = true
		if !before[ep.Addr] {
			h.e.log.Warn("endpoint is announced with another send_proxy than the upstream's", "upstream", h.upstream, "endpoint", ep.Addr,
				"announced", expects, "send_proxy", h.settings.sendProxy)
		}
	}
}

// judge tells gossip how the endpoints do that it is not sure of.
func (h *heard) judge(ctx context.Context) {
	t := time.NewTicker(judgeEvery)
	defer t.Stop()
	connected := make(map[string]uint64) // successful connects to those that are suspected
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		before := connected
		connected = make(map[string]uint64)
		var status []balancer.EndpointStatus
		for _, ep := range h.settings.node.Endpoints(h.settings.service) {
			if !ep.Suspect() {
				continue
			}
			if status == nil {
				status = h.feed.pool.Status().Endpoints
			}
			i := slices.IndexFunc(status, func(s balancer.EndpointStatus) bool { return s.Address == ep.Addr })
			if i < 0 {
				continue
			}
			succeeded := status[i].ConnectsTotal - min(status[i].FailuresTotal, status[i].ConnectsTotal)
			connected[ep.Addr] = succeeded
			earlier, seen := before[ep.Addr]
			switch {
			case !status[i].Up:
				h.settings.node.Failed(h.settings.service, ep.Addr)
			case seen && succeeded > earlier, status[i].Connections > 0: // the kernel finds those that are dead
				h.works(ep.Addr)
			}
		}
	}
}

// works is for an endpoint that was seen to.
func (h *heard) works(addr string) {
	if h != nil {
		h.settings.node.Works(h.settings.service, addr)
	}
}

// containers are the names of those that endpoints are in, by address, as far as they are announced.
func (h *heard) containers() map[string]string {
	if h == nil {
		return nil
	}
	var in map[string]string
	for _, ep := range h.settings.node.Endpoints(h.settings.service) {
		if name := ep.Facts[factContainer]; name != "" {
			if in == nil {
				in = make(map[string]string)
			}
			in[ep.Addr] = name
		}
	}
	return in
}
