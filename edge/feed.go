package edge

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery"
	"github.com/mqedge/mqedge/discovery/dns"
)

// feed keeps a pool at what its sources say together. It goes on over reloads: a source that is replaced counts with what it
// said last until its successor speaks, so that a reload takes no endpoint away that is still there.
type feed struct {
	pool        *balancer.Pool
	dns, gossip *learning // nil: no such source. Changed by reloads alone

	mu    sync.Mutex // held while the pool is told, so that it is told in order
	known [sources]set
}

type set = []balancer.Endpoint

// The sources, in order: of an endpoint that several know, the first one's counts.
const (
	fromFile = iota
	fromDNS
	fromGossip
	sources
)

// learning is a source at work.
type learning struct {
	of  any // what it learns; a source with the same goes on over a reload. Comparable
	run *task
}

// prepareDNS returns the source that the section asks for, or nil.
func (e *Edge) prepareDNS(upstream string, c *configs.DNS) (*dns.Source, error) {
	if c == nil {
		return nil, nil
	}
	source, err := dns.New(dns.Options{
		Name: c.Name, Port: uint16(c.Port), Type: dns.Type(c.Type), Interval: c.Interval, Resolver: c.Resolver, Log: e.log.With("upstream", upstream),
	})
	if err != nil {
		return nil, fmt.Errorf("upstreams.%s.dns: %w", upstream, err)
	}
	return source, nil
}

// beginFeed puts the sources of an upstream in force, in place of those of the generation before.
func (e *Edge) beginFeed(name string, g *generation, before *upstream) {
	up, c := g.upstreams[name], g.config.Upstreams[name]
	up.feed = &feed{pool: up.pool}
	if before != nil && before.feed != nil {
		up.feed, up.heard = before.feed, before.heard
	}
	f := up.feed
	if h := e.inherited.upstream(name); before == nil {
		f.known[fromDNS], f.known[fromGossip] = h.DNS, h.Gossip
	}
	var asked any
	if c.DNS != nil {
		asked = *c.DNS
	}
	var heard *heard
	var listened any
	if c.Gossip != "" {
		heard = e.newHeard(name, g, f)
		listened = heard.settings
	}
	newDNS, newGossip := f.dns.replace(asked), f.gossip.replace(listened)
	f.begin(up.endpoints, c.DNS != nil, heard != nil)
	if newDNS {
		f.dns = learn(asked, func(ctx context.Context) {
			// It ends with the context alone.
			up.dns.Run(ctx, discovery.SinkFunc(func(endpoints []balancer.Endpoint) { f.say(fromDNS, endpoints) }))
		})
	}
	if newGossip {
		if was := up.heard; was != nil && heard != nil && was.settings.service == heard.settings.service && was.settings.node != heard.settings.node {
			heard.keep(f.known[fromGossip])
		}
		if heard != nil && e.inherited != nil {
			heard.keep(f.known[fromGossip])
		}
		up.heard = heard
		f.gossip = learn(listened, func(ctx context.Context) { heard.run(ctx) })
	}
}

// replace reports whether a source for this is another than l, and then ends l.
func (l *learning) replace(of any) bool {
	if l != nil && l.of == of || l == nil && of == nil {
		return false
	}
	l.stop()
	return true
}

// learn starts a source, unless there is nothing to learn.
func learn(of any, run func(context.Context)) *learning {
	if of == nil {
		return nil
	}
	return &learning{of: of, run: start(run)}
}

func (l *learning) stop() {
	if l != nil {
		l.run.stop()
	}
}

// begin is what the file says, and of which other sources something may be known.
func (f *feed) begin(static []balancer.Endpoint, dns, gossip bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[fromFile] = static
	if !dns {
		f.known[fromDNS] = nil
	}
	if !gossip {
		f.known[fromGossip] = nil
	}
	f.pool.Update(discovery.Merge(f.known[:]...))
}

// say is what one of the sources knows now.
func (f *feed) say(source int, endpoints []balancer.Endpoint) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[source] = slices.Clone(endpoints)
	f.pool.Update(discovery.Merge(f.known[:]...))
}

func (f *feed) stop() {
	if f != nil {
		f.dns.stop()
		f.gossip.stop()
	}
}
