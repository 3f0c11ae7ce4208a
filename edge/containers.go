package edge

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"strconv"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/docker"
	"github.com/mqedge/mqedge/discovery/gossip"
)

// sendProxyOn is what EMQX's environment tells of a listener: PROXY protocol of whichever version.
const sendProxyOn = "on"

// longestContainer bounds what travels of a container's name.
const longestContainer = 64

// engine is where containers are asked for. A nil one is none.
type engine struct {
	config configs.Docker
	agent  *docker.Agent
	run    *task // nil until begin
}

// prepareDocker returns the agent that the section asks for, or nil.
func (e *Edge) prepareDocker(c *configs.Docker, node *gossip.Node) (*docker.Agent, error) {
	if c == nil {
		return nil, nil
	}
	host, _ := netip.ParseAddr(c.Host) // "" is not valid, which leaves it to the node
	return docker.New(docker.Options{
		Socket: c.Socket, Host: host, Log: e.log,
		Own: func() netip.Addr { return node.Addr().Addr() },
	})
}

// become returns the engine of a section, and ends this one if it is another.
func (e *engine) become(c *configs.Docker, agent *docker.Agent) *engine {
	if e != nil && c != nil && e.config == *c {
		return e
	}
	e.stop()
	if c == nil {
		return nil
	}
	return &engine{config: *c, agent: agent}
}

func (e *engine) begin(known []docker.Container, tell func([]docker.Container)) {
	if e != nil && e.run == nil {
		e.run = start(func(ctx context.Context) { e.agent.Run(ctx, known, tell) })
	}
}

func (e *engine) stop() {
	if e != nil {
		e.run.stop()
	}
}

// offeringOf is an offer of a container as if it stood in the file.
func offeringOf(c docker.Container, o docker.Offer) offering {
	a := configs.DefaultAnnouncement()
	a.Service, a.Address, a.Tags, a.SendProxy = o.Service, o.Addr, o.Tags, o.SendProxy
	a.Weight = cmp.Or(o.Weight, a.Weight)
	a.Check.Type, a.Check.Path = o.Check.Type, o.Check.Path
	a.Check.Interval = cmp.Or(o.Check.Interval, a.Check.Interval)
	a.Check.Timeout = cmp.Or(o.Check.Timeout, min(a.Check.Timeout, a.Check.Interval))
	a.Check.Rise = cmp.Or(o.Check.Rise, a.Check.Rise)
	a.Check.Fall = cmp.Or(o.Check.Fall, a.Check.Fall)
	ask := o.Check.Addr
	if ask != "" && a.Check.Type == "emqx" {
		_, port, _ := net.SplitHostPort(ask)
		a.Check.Port, _ = strconv.Atoi(port) // or it would ask at 18083
	}
	return offering{Announcement: a, container: c.Name, run: runOf(c), ask: ask, note: o.Note}
}

func withContainer(facts map[string]string, name string) map[string]string {
	facts = maps.Clone(facts)
	if facts == nil {
		facts = make(map[string]string)
	}
	facts[factContainer] = string([]rune(name)[:min(len([]rune(name)), longestContainer)])
	return facts
}

// runOf tells one run of a container from all others.
func runOf(c docker.Container) string { return c.ID + " " + c.Run }

// looked is what is known of the Engine and its containers; false means that they are not looked at.
func (o *offers) looked() (configs.Docker, docker.State, []docker.Container, bool) {
	o.changing.Lock()
	defer o.changing.Unlock()
	if o.engine == nil {
		return configs.Docker{}, docker.State{}, nil, false
	}
	return o.engine.config, o.engine.agent.State(), o.containers, true
}
