package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/discovery/docker"
	"github.com/mqedge/mqedge/discovery/gossip"
	"github.com/mqedge/mqedge/edge/upgrade"
)

// handoverFormat is another number when a process cannot use what one of another number says. New keys need none.
const handoverFormat = 1

// stateTimeout bounds how long an upstream of hooks may take to say what it knows.
const stateTimeout = 2 * time.Second

// handover is what a process tells the one that takes its place. A nil one says nothing.
type handover struct {
	Format    int                         `json:"format"`
	Version   string                      `json:"version"`
	Sockets   []handedSocket              `json:"sockets"` // as the files that go with it
	Tickets   map[string]certs.TicketKeys `json:"tickets,omitempty"`
	Upstreams map[string]handedUpstream   `json:"upstreams,omitempty"`
	Gossip    *handedGossip               `json:"gossip,omitempty"`
	Drains    handedDrains                `json:"drains,omitzero"`
	Upgrades  upgrades                    `json:"upgrades"`
}

type handedSocket struct {
	Role role   `json:"role"`
	Key  string `json:"key"`
}

type handedUpstream struct {
	DNS       set                 `json:"dns,omitempty"`
	Gossip    set                 `json:"gossip,omitempty"`
	Standings []balancer.Standing `json:"standings,omitempty"`
	Hooks     json.RawMessage     `json:"hooks,omitempty"`
}

type handedGossip struct {
	Known  json.RawMessage `json:"known"`
	Offers []handedOffer   `json:"offers,omitempty"`

	Containers []docker.Container `json:"containers,omitempty"` // that were known
}

// handedOffer is an announcement with what its checks say.
type handedOffer struct {
	Service string        `json:"service"`
	Address string        `json:"address"`
	Health  gossip.Health `json:"health"`
	Run     string        `json:"run,omitempty"` // of the container that it is in
}

// parcel is a handover with the files that go with it.
type parcel struct {
	handover
	files []*os.File
	ours  []*os.File // of those, the ones to close
}

func (p *parcel) close() {
	for _, f := range p.ours {
		f.Close()
	}
}

func (p *parcel) add(r role, key string, f *os.File) {
	p.Sockets, p.files, p.ours = append(p.Sockets, handedSocket{r, key}), append(p.files, f), append(p.ours, f)
}

// pack makes up what the next process gets. e.mu is held.
func (e *Edge) pack() (*parcel, error) {
	g := e.current.Load()
	p := &parcel{handover: handover{Format: handoverFormat, Version: e.options.Version, Upgrades: e.upgrades.copy()}}
	if err := e.packSockets(p, g); err != nil {
		p.close()
		return nil, err
	}
	p.Tickets = make(map[string]certs.TicketKeys)
	for name, t := range e.tickets {
		p.Tickets[name] = t.Keys()
	}
	e.moves.mu.Lock() // which also lets no drain begin that the next process would not know
	p.Drains = e.drains.handed()
	e.moves.mu.Unlock()
	p.Upstreams = make(map[string]handedUpstream)
	for name, up := range g.upstreams {
		h := up.feed.handed()
		h.Standings = up.pool.Standings()
		if up.calls != nil {
			ctx, cancel := context.WithTimeout(context.Background(), stateTimeout)
			h.Hooks = up.calls.carrier.State(ctx)
			cancel()
		}
		p.Upstreams[name] = h
	}
	return p, nil
}

func (e *Edge) packSockets(p *parcel, g *generation) error {
	for _, key := range slices.Sorted(maps.Keys(g.sockets)) {
		s := g.sockets[key]
		if s.from != nil && s.from.role == toAny {
			continue // it goes as what systemd passed
		}
		f, err := s.File()
		if err != nil {
			return fmt.Errorf("the socket of %s: %w", key, err)
		}
		p.add(toListeners, key, f)
	}
	if a := g.admin; a != nil && (a.from == nil || a.from.role != toAny) {
		f, err := upgrade.Duplicate(a.listener)
		if err != nil {
			return fmt.Errorf("the socket of the admin address: %w", err)
		}
		p.add(toAdmin, a.config.Bind, f)
	}
	for _, s := range e.passed {
		p.Sockets, p.files = append(p.Sockets, handedSocket{s.role, s.key}), append(p.files, s.file)
	}
	return g.gossip.pack(p)
}

// pack adds the member's part. A member that has no sockets yet has nothing that the next could not find itself.
func (m *member) pack(p *parcel) error {
	if m == nil {
		return nil
	}
	tcp, udp := m.node.Sockets()
	if tcp == nil {
		return nil
	}
	streams, err := upgrade.Duplicate(tcp)
	if err != nil {
		return fmt.Errorf("the socket of gossip: %w", err)
	}
	p.add(toStreams, m.config.Bind, streams)
	packets, err := upgrade.Duplicate(udp)
	if err != nil {
		return fmt.Errorf("the socket of gossip: %w", err)
	}
	p.add(toPackets, m.config.Bind, packets)
	known, err := m.node.Known()
	if err != nil {
		return fmt.Errorf("what is known by gossip: %w", err)
	}
	p.Gossip = &handedGossip{Known: known, Offers: m.offers.handed(), Containers: m.offers.known()}
	return nil
}

// inherit takes what this process was given before it loads the first configuration.
func (e *Edge) inherit() error {
	for _, f := range e.options.Sockets {
		e.passed = append(e.passed, newPassed(toAny, f.Name(), f))
	}
	before := e.options.Predecessor
	e.released = before.Released()
	if before == nil {
		return nil
	}
	h := &handover{}
	if err := json.Unmarshal(before.State, h); err != nil {
		return fmt.Errorf("what the process before has to say: %w", err)
	}
	before.State = nil // keys are in it: they go when they are replaced
	if h.Format != handoverFormat {
		return fmt.Errorf("the process before speaks format %d of upgrades, this one %d: restart it instead", h.Format, handoverFormat)
	}
	if len(h.Sockets) != len(before.Sockets) {
		return fmt.Errorf("the process before names %d sockets and passed %d", len(h.Sockets), len(before.Sockets))
	}
	for i, s := range h.Sockets {
		e.passed = append(e.passed, newPassed(s.Role, s.Key, before.Sockets[i]))
	}
	h.Upgrades.OK++
	e.upgrades.restore(h.Upgrades)
	e.drains.restore(h.Drains)
	e.inherited = h
	e.log.Info("taking the place of the process before", "its_version", h.Version, "sockets", len(h.Sockets))
	return nil
}

// upstream is what was known of one.
func (h *handover) upstream(name string) handedUpstream {
	if h == nil {
		return handedUpstream{}
	}
	return h.Upstreams[name]
}

// predecessor is the gossip node whose place one at bind takes.
func (e *Edge) predecessor(bind string) (p gossip.Predecessor, err error) {
	h := e.inherited
	if h == nil || h.Gossip == nil {
		return p, nil
	}
	p.Known = h.Gossip.Known
	streams, packets := e.passedFile(toStreams, bind), e.passedFile(toPackets, bind)
	if streams == nil || packets == nil {
		return p, nil
	}
	l, err := net.FileListener(streams)
	if err != nil {
		return p, fmt.Errorf("gossip.bind: the socket of the process before: %w", err)
	}
	c, err := net.FilePacketConn(packets)
	if err != nil {
		l.Close()
		return p, fmt.Errorf("gossip.bind: the socket of the process before: %w", err)
	}
	p.Streams, p.Packets = l.(*net.TCPListener), c.(*net.UDPConn)
	return p, nil
}

// standingOf is what the process before knew of an offer.
func (h *handover) standingOf(w offering) standing {
	if h == nil || h.Gossip == nil {
		return standing{}
	}
	for _, o := range h.Gossip.Offers {
		if o.Service == w.Service && o.Address == w.Address && o.Run == w.run {
			return standing{known: true, health: o.Health}
		}
	}
	return standing{}
}

// inherit takes over what the process before announced, so that nothing is withdrawn before this one has seen for itself.
func (o *offers) inherit(h *handover, m *member) {
	o.before = h
	if h != nil && h.Gossip != nil && m.docker != nil {
		o.containers = h.Gossip.Containers
	}
}

// known are the containers that were last heard of.
func (o *offers) known() []docker.Container {
	if o == nil {
		return nil
	}
	o.changing.Lock()
	defer o.changing.Unlock()
	return o.containers
}

// handed are the offers that are announced.
func (o *offers) handed() []handedOffer {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []handedOffer
	for _, a := range o.list {
		if a.standing.known {
			out = append(out, handedOffer{a.Service, a.Address, a.standing.health, a.run})
		}
	}
	return out
}

// handed is what the sources of the feed said last.
func (f *feed) handed() handedUpstream {
	f.mu.Lock()
	defer f.mu.Unlock()
	return handedUpstream{DNS: f.known[fromDNS], Gossip: f.known[fromGossip]}
}
