package edge

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
	"github.com/mqedge/mqedge/discovery/gossip"
)

const (
	agreeEvery = 2 * time.Second
	opinionFor = 30 * time.Second // how long what was seen of an endpoint counts
	voteFor    = 30 * time.Second // and how long a vote does
	voteAgain  = 10 * time.Second
	doubtAgain = 10 * time.Second // between two probes of an endpoint that others hold as down
	doubtLimit = 2 * time.Second  // of one probe, where no check says it
	mostDoubts = 8                // probes at a time
)

// agreement tells other edges what this one has seen of endpoints, and has a look for itself where they agree that one is down and this
// edge has not seen anything of it lately. What others say alone takes nothing out of use: see [balancer.Pool.Corroborate].
type agreement struct {
	e      *Edge
	node   *gossip.Node
	said   map[string]saidVote // by upstream
	looked map[place]time.Time
	slots  chan struct{}
	probes sync.WaitGroup
}

type saidVote struct {
	value []byte
	at    time.Time
}

func (e *Edge) agree(ctx context.Context, node *gossip.Node) {
	a := &agreement{e: e, node: node, said: make(map[string]saidVote), looked: make(map[place]time.Time), slots: make(chan struct{}, mostDoubts)}
	defer a.probes.Wait()
	for ctx.Err() == nil {
		a.round(ctx, time.Now())
		wait(ctx, agreeEvery)
	}
}

func (a *agreement) round(ctx context.Context, now time.Time) {
	facts := a.node.Shared(factVote)
	alive := make(map[string]bool)
	if len(facts) > 0 {
		for _, m := range a.node.Members() {
			alive[m.Name] = m.Alive
		}
	}
	for p, at := range a.looked {
		if now.Sub(at) >= doubtAgain {
			delete(a.looked, p)
		}
	}
	for name, up := range a.e.current.Load().upstreams {
		others := ballotsOn(name, a.node.Name(), facts, alive)
		opinions := up.pool.Opinions(opinionFor)
		a.say(name, vote(opinions, others), now)
		if len(others) >= fewestBad {
			a.look(ctx, name, up, opinions, others, now)
		}
	}
}

// say shares a vote when it is another one, or about to end.
func (a *agreement) say(upstream string, value []byte, now time.Time) {
	before, key := a.said[upstream], voteKey(upstream, a.node.Name())
	switch {
	case len(value) == 0 && before.value == nil, bytes.Equal(value, before.value) && now.Sub(before.at) < voteAgain:
	case len(value) == 0:
		delete(a.said, upstream)
		a.unsaid(a.node.Unshare(factVote, key))
	default:
		a.said[upstream] = saidVote{value, now}
		a.unsaid(a.node.Share(factVote, key, value, voteFor))
	}
}

// unsaid is no more than a pity: others find out for themselves. The node counts what does not fit.
func (a *agreement) unsaid(err error) {
	if err != nil {
		a.e.log.Debug("other edges are not told which endpoints fail", "error", err)
	}
}

func (a *agreement) look(ctx context.Context, upstream string, up *upstream, opinions []balancer.Opinion, others []ballot, now time.Time) {
	addrs := make([]string, len(opinions))
	knows := make(map[string]bool)
	for i, o := range opinions {
		addrs[i] = o.Addr
		knows[o.Addr] = o.Good || o.Bad
	}
	for _, addr := range doubted(addrs, others) {
		p := place{upstream, addr}
		if _, lately := a.looked[p]; lately || knows[addr] {
			continue
		}
		select {
		case a.slots <- struct{}{}:
		default:
			return // the next round goes on
		}
		a.looked[p] = now
		prober, limit := up.prober()
		a.probes.Go(func() {
			defer func() { <-a.slots }()
			a.probe(ctx, up.pool, addr, prober, limit)
		})
	}
}

func (a *agreement) probe(ctx context.Context, pool *balancer.Pool, addr string, prober balancer.Prober, limit time.Duration) {
	limited, cancel := context.WithTimeout(ctx, limit)
	err := prober.Probe(limited, addr)
	cancel()
	if ctx.Err() != nil {
		return // it was interrupted
	}
	result := "ok"
	if err != nil {
		result = "failed"
	}
	a.e.doubts.WithLabelValues(result).Inc()
	pool.Corroborate(addr, err)
}

// prober is the check's, or connects.
func (up *upstream) prober() (balancer.Prober, time.Duration) {
	if up.check != nil {
		return up.check, up.check.settings.Timeout
	}
	return probe.TCP{Proxy: up.probeProxy}, doubtLimit
}
