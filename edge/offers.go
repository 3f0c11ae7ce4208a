package edge

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/docker"
	"github.com/mqedge/mqedge/discovery/gossip"
)

// What an announcement says beside the endpoint itself.
const (
	factSendProxy = "send_proxy" // what its endpoint expects
	factContainer = "container"  // the name of the container that it is in
)

// askSoon is how often one is asked that was never announced: it is likely to be starting.
const askSoon = time.Second

const containerGrace = 15 // failures, about as many seconds

// offers are what this host announces, with what its own checks say of it: the announcements of the file and those of
// containers. They go on over reloads, as long as the member does. Nil ones are none.
type offers struct {
	node     *gossip.Node
	log      *slog.Logger
	clientID string // of probes

	changing   sync.Mutex // held while the list is changed
	file       []configs.Announcement
	engine     *engine // nil: containers are not looked at
	containers []docker.Container
	before     *handover // of the process before, until all there is has been heard of; nil: none

	mu   sync.Mutex // held while the node is told, so that it is told in order
	list []*offer
	out  []refusal
}

// offering is what is offered. One that differs is another.
type offering struct {
	configs.Announcement
	container, run string // "": of the file
	ask            string // where its check asks; "": its address
	note           string // what is to be said of it
}

// offer is an offering with what is known of it.
type offer struct {
	offering
	check *task // nil: none

	// Guarded by offers.mu.
	standing standing
	failure  string // what the latest check said; "": good
}

// refusal is what cannot be announced.
type refusal struct {
	offering
	reason string
}

func (r refusal) text() string {
	return strings.Join([]string{r.container, r.Service, r.Address, r.reason}, "\n")
}

// place is where the offering says it is, as written.
func (w offering) place() place { return place{w.Service, w.Address} }

// beginOffers starts to announce what the section of m says. What was announced before stays announced.
func (e *Edge) beginOffers(m, before *member) *offers {
	var old *offers
	if before != nil {
		old = before.offers
	}
	if old != nil && old.node == m.node {
		old.use(m.config, m.docker)
		return old
	}
	o := &offers{node: m.node, log: e.log, clientID: e.probeName}
	if old == nil {
		o.inherit(e.inherited, m)
	} else {
		old.stop()
		o.list = old.list
		o.containers = old.containers
		for _, one := range o.list {
			one.check = nil // it has ended
		}
	}
	o.use(m.config, m.docker)
	return o
}

// use puts a section in force; agent is nil when it has no containers.
func (o *offers) use(c *configs.Gossip, agent *docker.Agent) {
	engine := o.engine.become(c.Docker, agent)
	o.changing.Lock()
	o.file = c.Announce
	o.engine = engine
	if engine == nil {
		o.containers = nil
	}
	o.change()
	if engine == nil {
		o.before = nil
	}
	known := o.containers
	o.changing.Unlock()
	engine.begin(known, o.heardOf)
}

// heardOf is told all containers.
func (o *offers) heardOf(containers []docker.Container) {
	o.changing.Lock()
	defer o.changing.Unlock()
	o.containers = containers
	o.change()
	o.before = nil
}

// change makes the list what it is to be. o.changing is held.
func (o *offers) change() {
	wanted, out := o.wanted()
	o.mu.Lock()
	known := make(map[string]bool, len(o.out))
	for _, r := range o.out {
		known[r.text()] = true
	}
	for _, r := range out {
		if !known[r.text()] {
			o.log.Warn("container cannot be announced", "container", r.container, "service", r.Service, "address", r.Address, "reason", r.reason)
		}
	}
	before, at := o.list, make(map[place][]*offer, len(o.list))
	for _, b := range before {
		at[b.place()] = append(at[b.place()], b)
	}
	o.list, o.out = make([]*offer, 0, len(wanted)), out
	var begin []*offer
	for _, w := range wanted {
		here := at[w.place()]
		i := slices.IndexFunc(here, func(b *offer) bool { return reflect.DeepEqual(b.offering, w) })
		if i >= 0 && (here[i].check != nil || w.Check.Type == "none") {
			o.list = append(o.list, here[i])
			continue
		}
		next := &offer{offering: w}
		next.standing, next.failure = o.standingOf(w, here)
		o.list = append(o.list, next)
		if w.Check.Type != "none" {
			begin = append(begin, next)
		}
	}
	o.tell()
	o.mu.Unlock()
	stays := make(map[*offer]bool, len(o.list))
	for _, one := range o.list {
		stays[one] = true
	}
	for _, b := range before {
		if !stays[b] {
			b.check.stop()
		}
	}
	for _, b := range begin {
		b.check = start(func(ctx context.Context) { o.keepAsking(ctx, b) })
	}
}

// wanted is all there is to offer, and what cannot be.
func (o *offers) wanted() (wanted []offering, out []refusal) {
	taken := make(map[place]string) // by what
	add := func(w offering) {
		wanted = append(wanted, w)
		if p := o.placeOf(w); taken[p] == "" {
			taken[p] = w.origin()
		}
	}
	for _, a := range o.file {
		add(offering{Announcement: a})
	}
	for _, c := range o.containers {
		for _, offered := range c.Offers {
			w := offeringOf(c, offered)
			if reason := o.refuse(w, taken[o.placeOf(w)], len(wanted)); reason != "" {
				out = append(out, refusal{w, reason})
				continue
			}
			add(w)
		}
	}
	return wanted, out
}

// placeOf is where others would find it.
func (o *offers) placeOf(w offering) place {
	return place{w.Service, cmp.Or(o.address(w.Address), w.Address)}
}

// refuse says why a container's offer cannot be announced, or "". One that could not would take all others with it.
func (o *offers) refuse(w offering, takenBy string, before int) string {
	if err := o.node.Accepts(announcement(w.Announcement)); err != nil {
		return err.Error()
	}
	if takenBy != "" {
		return "is announced already, by " + takenBy
	}
	if before >= gossip.MostAnnouncements {
		return "there are too many"
	}
	return ""
}

func (w offering) origin() string {
	if w.container != "" {
		return "container " + w.container
	}
	return "gossip.announce of the file"
}

// standingOf is what is known of an offer that may be new. What is announced stays so until its check has said otherwise, also when
// that is a new one, or the container has another name.
func (o *offers) standingOf(w offering, here []*offer) (standing, string) {
	if w.Check.Type == "none" {
		return standing{known: true}, ""
	}
	for _, b := range here {
		if b.run == w.run {
			return b.standing, b.failure
		}
	}
	return o.before.standingOf(w), ""
}

// keepAsking checks an offer until ctx ends.
func (o *offers) keepAsking(ctx context.Context, a *offer) {
	c := check{settings: checkSettings{Active: a.Check, proxy: sendProxy(a.SendProxy)}}
	if a.SendProxy == sendProxyOn {
		c.settings.proxy = sendProxy("v2")
	}
	prober := c.newProber(o.clientID + "-" + a.Service)
	for {
		if addr := o.address(cmp.Or(a.ask, a.Address)); addr != "" {
			err := ask(ctx, prober, addr, a.Check.Timeout)
			if ctx.Err() != nil {
				return
			}
			if _, other := errors.AsType[*probe.ProxyMismatch](err); other && a.SendProxy == "" {
				err = nil // it was not said what it expects, and it answers
			}
			o.checked(a, err)
		}
		wait(ctx, o.pause(a))
		if ctx.Err() != nil {
			return
		}
	}
}

func (o *offers) pause(a *offer) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !a.standing.known {
		return min(askSoon, a.Check.Interval)
	}
	return a.Check.Interval
}

func ask(ctx context.Context, p balancer.Prober, addr string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return p.Probe(ctx, addr)
}

// address is where others would connect to, or "" while it is not known yet.
func (o *offers) address(announced string) string {
	host, port, err := net.SplitHostPort(announced)
	if err != nil || host != "" {
		return announced
	}
	own := o.node.Addr()
	if !own.IsValid() {
		return ""
	}
	return net.JoinHostPort(own.Addr().String(), port)
}

// checked takes note of what a check of one offer said.
func (o *offers) checked(a *offer, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := a.standing
	now := before.after(err, a.Check.Rise, a.Check.Fall)
	a.standing, a.failure = now, ""
	if err != nil {
		a.failure = err.Error()
	}
	if !slices.Contains(o.list, a) {
		return // it is about to end
	}
	log := o.log.With("service", a.Service, "address", a.Address)
	if a.container != "" {
		log = log.With("container", a.container)
	}
	if now.known == before.known && now.health == before.health {
		if !now.known && now.falls == a.grace() {
			log.Warn("not announced before its check succeeds", "error", err)
		}
		return
	}
	level := slog.LevelInfo
	reason := "the check succeeded"
	if err != nil {
		level, reason = slog.LevelWarn, err.Error()
	}
	log.Log(context.Background(), level, "endpoint is announced as "+now.health.String(), "reason", reason)
	o.tell()
}

// tell announces what is known to work, or did. o.mu is held.
func (o *offers) tell() {
	var known []gossip.Announcement
	for _, one := range o.list {
		if !one.standing.known {
			continue
		}
		a := announcement(one.Announcement)
		a.Health = one.standing.health
		if one.container != "" {
			a.Facts = withContainer(a.Facts, one.container)
		}
		known = append(known, a)
	}
	if err := o.node.Announce(known); err != nil { // all of them were tried
		o.log.Error("announcements stay as they were", "error", err)
	}
}

func (o *offers) stop() {
	if o == nil {
		return
	}
	o.engine.stop()
	o.changing.Lock()
	defer o.changing.Unlock()
	for _, one := range o.list {
		one.check.stop()
	}
}

func announcements(list []configs.Announcement) []gossip.Announcement {
	out := make([]gossip.Announcement, len(list))
	for i, a := range list {
		out[i] = announcement(a)
	}
	return out
}

func announcement(a configs.Announcement) gossip.Announcement {
	out := gossip.Announcement{Service: a.Service, Addr: a.Address, Weight: uint32(a.Weight), Tags: a.Tags}
	if a.SendProxy != "" {
		out.Facts = map[string]string{factSendProxy: a.SendProxy}
	}
	return out
}
