package edge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery/gossip"
)

const (
	factDrain = "drain"

	// A drain holds until it is undone: edges that have the endpoint prolong it. One of an endpoint that none has had for that long is
	// forgotten, since addresses that come and go would else add up.
	drainFor   = 7 * 24 * time.Hour
	drainAgain = 3 * 24 * time.Hour

	mostLocal = 4096 // drains on this edge alone of endpoints that are gone
)

// drains are the endpoints that are drained by hand, on this edge alone or on all of the cluster. The lock of moves guards them.
type drains struct {
	node   *gossip.Node        // knows those of the cluster; nil while drains are not shared
	label  string              // of its cluster
	local  map[place]handDrain // on this edge alone
	exempt map[place]uint64    // drained on all and enabled on this one, and the stamp of the drain
	acted  map[place]handDrain // those in force
	words  uint64              // given here, to tell them apart
}

// place is an endpoint of an upstream. Edges know an upstream by its name.
type place struct{ upstream, addr string }

func (p place) key() string { return p.upstream + " " + p.addr }

func placeOf(key string) (place, bool) {
	i := strings.LastIndexByte(key, ' ') // there is none in an address
	if i < 0 {
		return place{}, false
	}
	p := place{key[:i], key[i+1:]}
	return p, p.upstream != "" && p.addr != ""
}

// handDrain is one drain.
type handDrain struct {
	reason string // for status
	over   time.Duration
	paced  bool // over is given; else it is drain.over of each edge
	keep   bool
	word   uint64 // another one is another drain
	stays  bool   // it was on all, and this edge has left them
}

// saidDrain is a drain as edges tell each other.
type saidDrain struct {
	Over string `json:"over,omitempty"`
	Keep bool   `json:"keep,omitempty"`
}

func sayDrain(how admin.Drain) []byte {
	said := saidDrain{Keep: how.Keep}
	if how.Over != nil {
		said.Over = how.Over.String()
	}
	b, _ := json.Marshal(said) // of a text and a bool
	return b
}

// hearDrain makes the best of what it does not understand, from a later version perhaps: that the endpoint is drained is clear.
func hearDrain(f gossip.Fact) handDrain {
	d := handDrain{reason: byHand + " on " + f.Host(), word: f.Stamp}
	var said saidDrain
	if json.Unmarshal(f.Value, &said) != nil {
		return d
	}
	d.keep = said.Keep
	if over, err := time.ParseDuration(said.Over); err == nil && over >= 0 {
		d.over, d.paced = over, true
	}
	return d
}

const byHand = "drained by hand"

// wanted are the drains to be in force.
func (d *drains) wanted() map[place]handDrain {
	maps.DeleteFunc(d.local, func(p place, own handDrain) bool { // this edge is back and hears of it, or that it ended
		return own.stays && d.node != nil && d.node.LastWord(factDrain, p.key()) >= own.word
	})
	maps.DeleteFunc(d.exempt, func(p place, word uint64) bool { return d.node != nil && d.node.LastWord(factDrain, p.key()) > word })
	wanted := make(map[place]handDrain)
	for _, f := range d.shared() {
		p, ok := placeOf(f.Key)
		if !ok {
			continue
		}
		if d.exempt[p] != f.Stamp {
			wanted[p] = hearDrain(f)
		}
	}
	maps.Copy(wanted, d.local)
	return wanted
}

func (d *drains) shared() []gossip.Fact {
	if d.node == nil {
		return nil
	}
	return d.node.Shared(factDrain)
}

// follow makes the member the one that knows what is drained on all. What is drained stays so, whatever a reload changes: it goes
// along to a new member of the same cluster, and otherwise stays drained on this edge.
func (d *drains) follow(m *member) {
	if m != nil && m.node == d.node && m.shares(shareDrains) {
		return
	}
	same := m != nil && m.shares(shareDrains) && m.config.Label == d.label
	if d.node != nil && !same {
		for p, drain := range d.wanted() {
			if _, own := d.local[p]; !own {
				drain.stays = true
				d.local[p] = drain
			}
		}
	}
	d.node = nil
	if m != nil && m.shares(shareDrains) {
		d.node, d.label = m.node, m.config.Label
	}
}

// follow is drains.follow for m in place of before, of whose drains none is missing between, nor one that is said meanwhile.
func (e *Edge) follow(m, before *member) {
	e.moves.mu.Lock()
	defer e.moves.mu.Unlock()
	if m != nil && before != nil && m.node != before.node && m.config.Label == before.config.Label {
		m.node.Adopt(before.node)
	}
	e.drains.follow(m)
}

// settle puts in force what is to be drained: pools first, then clients are moved. The caller holds the lock of moves.
func (e *Edge) settle(upstreams map[string]*upstream, over time.Duration) {
	before, wanted := e.drains.acted, e.drains.wanted()
	e.drains.acted = make(map[place]handDrain)
	reasons := make(map[string]map[string]string)
	for p, d := range wanted {
		if upstreams[p.upstream] == nil {
			continue
		}
		e.drains.acted[p] = d
		if reasons[p.upstream] == nil {
			reasons[p.upstream] = make(map[string]string)
		}
		reasons[p.upstream][p.addr] = d.reason
	}
	for name, up := range upstreams {
		up.pool.SetDrains(reasons[name])
	}
	for p, d := range e.drains.acted {
		if was, known := before[p]; !known || was.word != d.word {
			e.act(upstreams[p.upstream].pool, p, d, over)
		}
	}
	for p := range before {
		if _, still := e.drains.acted[p]; !still && upstreams[p.upstream] != nil {
			e.moves.stop(upstreams[p.upstream].pool, p.addr)
			e.log.Info("endpoint enabled by hand", "upstream", p.upstream, "endpoint", p.addr)
		}
	}
}

// act begins a drain.
func (e *Edge) act(pool *balancer.Pool, p place, d handDrain, over time.Duration) {
	if d.keep {
		e.moves.stop(pool, p.addr)
		e.log.Info("endpoint drained by hand; its connections stay", "upstream", p.upstream, "endpoint", p.addr, "reason", d.reason)
		return
	}
	if d.paced {
		over = d.over
	}
	e.log.Info("endpoint drained by hand", "upstream", p.upstream, "endpoint", p.addr, "reason", d.reason,
		"connections", pool.Connections(p.addr), "over", over.String())
	e.move(pool, p.addr, over)
}

// settleNow is settle for what is in force.
func (e *Edge) settleNow() {
	e.moves.mu.Lock()
	defer e.moves.mu.Unlock()
	e.settleLocked()
}

func (e *Edge) settleLocked() {
	if g := e.current.Load(); g.config != nil { // else the first one is being put in force
		e.settle(g.upstreams, g.config.Drain.Over)
	}
}

// settleFor is settle for a generation that is being put in force.
func (e *Edge) settleFor(g *generation) {
	e.moves.mu.Lock()
	defer e.moves.mu.Unlock()
	e.settle(g.upstreams, g.config.Drain.Over)
}

// prolongDrains makes those last that this edge has a use for.
func (e *Edge) prolongDrains(node *gossip.Node) {
	upstreams := e.current.Load().upstreams
	for _, f := range node.Shared(factDrain) {
		p, ok := placeOf(f.Key)
		if !ok || time.Until(f.Expires) >= drainAgain {
			continue
		}
		if up := upstreams[p.upstream]; up != nil && has(up.pool, p.addr) {
			node.Prolong(factDrain, f.Key, drainFor)
		}
	}
}

func (c control) Drain(upstream, endpoint string, how admin.Drain) error {
	pool, err := c.pool(upstream)
	if err != nil {
		return err
	}
	e, d, at := c.e, &c.e.drains, place{upstream, endpoint}
	e.moves.mu.Lock()
	defer e.moves.mu.Unlock()
	if e.handing.Load() {
		return errHanding
	}
	if _, drained := d.acted[at]; !drained && !has(pool, endpoint) {
		return noSuchEndpoint(upstream, endpoint)
	}
	if d.node != nil && !how.Local {
		if err := d.node.Share(factDrain, at.key(), sayDrain(how), drainFor); err != nil {
			return fmt.Errorf("%w; mqedge drain --local is of this edge alone", err)
		}
		delete(d.local, at)
	} else {
		d.words++
		own := handDrain{reason: byHand, keep: how.Keep, word: d.words}
		if d.node != nil {
			own.reason += " on this edge alone"
		}
		if how.Over != nil {
			own.over, own.paced = *how.Over, true
		}
		if len(d.local) >= mostLocal {
			maps.DeleteFunc(d.local, func(p place, _ handDrain) bool { return p.upstream == upstream && !has(pool, p.addr) })
		}
		d.local[at] = own
	}
	e.settleLocked()
	return nil
}

func (c control) DrainsOn(local bool) string {
	c.e.moves.mu.Lock()
	defer c.e.moves.mu.Unlock()
	switch {
	case c.e.drains.node != nil && !local:
		return "all edges"
	case c.e.current.Load().gossip != nil:
		return "this edge alone"
	}
	return ""
}

func (c control) Enable(upstream, endpoint string, local bool) error {
	p, err := c.pool(upstream)
	if err != nil {
		return err
	}
	e, d, at := c.e, &c.e.drains, place{upstream, endpoint}
	e.moves.mu.Lock()
	defer e.moves.mu.Unlock()
	if e.handing.Load() {
		return errHanding
	}
	if _, drained := d.acted[at]; !drained && !has(p, endpoint) {
		return noSuchEndpoint(upstream, endpoint)
	}
	if d.node != nil && !local {
		if err := d.node.Unshare(factDrain, at.key()); err != nil {
			return fmt.Errorf("%w; mqedge enable --local is of this edge alone", err)
		}
	}
	for _, f := range d.shared() {
		if f.Key == at.key() { // it is still drained on others
			d.exemptFrom(at, f.Stamp)
		}
	}
	if was := d.local[at]; was.stays && d.node != nil { // likewise, though nothing was heard of it yet
		d.exemptFrom(at, was.word)
	}
	delete(d.local, at)
	e.settleLocked()
	return nil
}

// exemptFrom leaves a drain of all out on this edge. What nobody hears of any more makes room.
func (d *drains) exemptFrom(at place, word uint64) {
	if len(d.exempt) >= mostLocal {
		maps.DeleteFunc(d.exempt, func(p place, _ uint64) bool { return d.node.LastWord(factDrain, p.key()) == 0 })
	}
	d.exempt[at] = word
}

func (c control) pool(upstream string) (*balancer.Pool, error) {
	up := c.e.current.Load().upstreams[upstream]
	if up == nil {
		return nil, fmt.Errorf("there is no upstream %q", upstream)
	}
	return up.pool, nil
}

func has(p *balancer.Pool, addr string) bool {
	return slices.ContainsFunc(p.Members(), func(m balancer.Member) bool { return m.Addr == addr })
}

func noSuchEndpoint(upstream, endpoint string) error {
	return fmt.Errorf("upstream %q has no endpoint %q; `mqedge status` lists them", upstream, endpoint)
}
