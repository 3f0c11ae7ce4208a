package exhook

import (
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// load is what has become of one node's OnProviderLoaded on one connection to a provider.
type load struct {
	state loadState
	tries int
	again time.Time // after it has failed
	why   string
}

type loadState uint8

const (
	unheard  loadState = iota
	asked              // it is under way
	failed             // to be tried again
	answered           // also by not knowing the version: then nothing is wanted
)

// loading is an OnProviderLoaded or OnProviderUnloaded of EMQX that is not answered yet.
type loading struct {
	node   *node
	unload int  // providers that have not answered OnProviderUnloaded; -1: it is OnProviderLoaded
	woken  bool // has waited long enough for those that may not answer at all
}

// heard is what has become of a node's OnProviderLoaded. Of a node that is not known, or not any more, it is that of all nodes.
func (l *link) heard(n *node) loadState {
	switch {
	case n != nil && n.place >= 0 && n.left.IsZero():
		return l.loads[n.place].state
	case l.opened:
		return answered
	}
	return asked
}

// loadedCalled takes EMQX's OnProviderLoaded: every provider is to hear it.
func (u *Upstream) loadedCalled(s *call) {
	request := slices.Clone(s.c.Message())
	b, ok := hook.ParseLoaded(request)
	if !ok {
		s.c.Fail(codes.InvalidArgument, "the request is not an OnProviderLoaded of EMQX")
		return
	}
	for v := hook.V1; v <= hook.V3; v++ { // it may have been upgraded
		if old := u.nodes.named[v][b.Node]; old != nil && v != s.method.Version && old.broker.Cluster == b.Cluster {
			u.dropNode(old)
		}
	}
	if u.nodes.named[s.method.Version][b.Node] == nil {
		u.makeRoom()
	}
	n := u.addNode(s.method.Version, b, request)
	n.calls.Add(1)
	n.heard = u.ticks
	u.tell(slog.LevelInfo, "an EMQX node loads its hooks", "node", b.Node, "version", b.Version, "protocol", s.method.Version.String())
	s.loading = &loading{node: n, unload: -1}
	u.loading = append(u.loading, s)
	wait := u.patience
	if left, ok := s.c.Left(); ok {
		wait = min(wait, left/2)
	}
	s.c.Wake(max(wait, time.Millisecond))
	u.unsaved = true
	u.loadEverywhere(n)
	u.checkLoading()
}

// loadEverywhere has all providers that are connected hear a node's OnProviderLoaded.
func (u *Upstream) loadEverywhere(n *node) {
	for _, l := range u.links {
		if l.ready && l.loads[n.place].state != asked {
			u.load(l, n)
		}
	}
}

// loadAll has a provider hear what it has not heard yet.
func (u *Upstream) loadAll(l *link, now time.Time) {
	opened := true
	for _, n := range u.nodes.all {
		s := &l.loads[n.place]
		if n.left.IsZero() && (s.state == unheard || s.state == failed && !now.Before(s.again)) {
			u.load(l, n)
		}
		opened = opened && (s.state > asked || !n.left.IsZero())
	}
	if opened && !l.opened {
		l.opened = true
		u.stir()
	}
}

// reload has all providers hear everything again.
func (u *Upstream) reload() {
	for _, l := range u.links {
		clear(l.loads)
		if l.opened = false; l.ready {
			u.loadAll(l, time.Now())
		}
	}
	u.relearn()
}

func (u *Upstream) load(l *link, n *node) {
	s, p := &l.loads[n.place], l.p
	if p == nil {
		return
	}
	as := u.rules.as(hook.Method{Version: n.version, Hook: hook.ProviderLoaded})
	err := u.group.Call(p, grpcrelay.OwnCall{
		Header: u.headers[as], Path: hook.Method{Version: as, Hook: hook.ProviderLoaded}.Path(),
		Message: n.request, Timeout: loadTimeout,
		Done: func(a grpcrelay.Answer) {
			u.enter()
			defer u.leave()
			if l.p == p && n.place >= 0 {
				u.loadAnswered(l, n, as, a)
			}
		},
	})
	if err == nil {
		s.state = asked
	}
}

// loadAnswered takes a provider's answer to OnProviderLoaded.
func (u *Upstream) loadAnswered(l *link, n *node, as hook.Version, a grpcrelay.Answer) {
	s := &l.loads[n.place]
	var specs []hook.Spec
	var err error
	if a.Code == codes.OK {
		if specs, err = hook.DecodeLoaded(a.Message); err != nil {
			a.Code, a.Text = codes.Internal, err.Error()
		}
	}
	switch a.Code {
	case codes.OK:
		*s = load{state: answered}
		u.registered(l, as, specs, true)
	case codes.Unimplemented:
		*s = load{state: answered, why: "it does not serve " + as.String()}
		u.tell(slog.LevelWarn, "a provider does not serve the protocol of an EMQX node", "endpoint", l.addr, "protocol", as.String(), "node", n.broker.Node)
		u.registered(l, as, nil, false)
	default:
		const first, most = 500 * time.Millisecond, 30 * time.Second
		pause := min(first<<min(s.tries, 10), most)
		*s = load{state: failed, tries: s.tries + 1, again: time.Now().Add(pause), why: "OnProviderLoaded: " + failure{a.Code, a.Text}.Error()}
		if s.tries == 1 {
			u.tell(slog.LevelWarn, "a provider failed OnProviderLoaded", "endpoint", l.addr, "node", n.broker.Node, "code", a.Code.String(), "reason", a.Text)
		}
	}
	u.loadAll(l, time.Now())
	u.checkLoading()
	u.stir()
}

// registered takes what a provider wants.
func (u *Upstream) registered(l *link, as hook.Version, specs []hook.Spec, serves bool) {
	if l.interests[as] != nil && l.serves[as] == serves && slices.EqualFunc(l.specs[as], specs, sameSpec) {
		return
	}
	l.interests[as], l.specs[as], l.serves[as] = hook.NewInterest(as, specs), specs, serves
	_, remarks := hook.Merge(as, []hook.Answer{{Provider: l.addr, Specs: specs}})
	for _, r := range remarks {
		u.tell(slog.LevelWarn, "a provider registers a hook that EMQX would not take", "endpoint", r.Provider, "hook", r.Hook, "reason", r.Text)
	}
	u.relearn()
}

func sameSpec(a, b hook.Spec) bool { return a.Name == b.Name && slices.Equal(a.Topics, b.Topics) }

// checkLoading answers the OnProviderLoaded of EMQX for which there is nothing more to wait for.
func (u *Upstream) checkLoading() {
	for _, s := range slices.Clone(u.loading) {
		if s.loading.unload < 0 && u.settled(s.loading) {
			u.answerLoading(s, false)
		}
	}
}

// settled tells whether every provider that may answer soon has. One that is down is waited for until Wake.
func (u *Upstream) settled(o *loading) bool {
	if len(u.links) == 0 {
		return o.woken // there will be some in a moment, or never
	}
	for _, l := range u.links {
		switch {
		case l.ready && l.heard(o.node) > asked:
		case o.woken, !l.ready && u.coming(l) == down:
		default:
			return false
		}
	}
	return true
}

func (u *Upstream) loadingWoken(s *call) {
	s.loading.woken = true
	u.answerLoading(s, s.loading.unload >= 0)
}

// answerLoading answers EMQX with what there is. When that is nothing it waits on, unless this is the last moment.
func (u *Upstream) answerLoading(s *call, last bool) {
	o := s.loading
	if o.unload >= 0 {
		s.c.Reply([]byte(hook.EmptySuccess))
		return
	}
	specs, ok := u.answer(o.node.version)
	switch {
	case ok:
		u.told(o.node, specs)
		s.c.Reply(hook.AppendLoaded(nil, specs))
	case last:
		s.c.Fail(codes.Unavailable, "no provider answered OnProviderLoaded, and no hooks are remembered or configured")
	}
}

// forgetLoading is called when the call has ended.
func (u *Upstream) forgetLoading(s *call) {
	u.loading = slices.DeleteFunc(u.loading, func(other *call) bool { return other == s })
}

// unloadedCalled takes EMQX's OnProviderUnloaded: every provider that has heard of the node is to hear it.
func (u *Upstream) unloadedCalled(s *call, name []byte) {
	n := u.nodes.named[s.method.Version][string(name)]
	if n == nil || !n.left.IsZero() {
		s.c.Reply([]byte(hook.EmptySuccess))
		return
	}
	n.left = time.Now()
	u.unsaved = true
	u.tell(slog.LevelInfo, "an EMQX node unloads its hooks", "node", n.broker.Node)
	o := &loading{node: n}
	s.loading = o
	u.loading = append(u.loading, s)
	method := hook.Method{Version: s.as, Hook: hook.ProviderUnloaded}
	c := s.c
	for _, l := range u.links {
		if !l.ready || l.loads[n.place].state == unheard {
			continue
		}
		err := u.group.Call(l.p, grpcrelay.OwnCall{
			Header: u.headers[s.as], Path: method.Path(), Message: c.Message(), Timeout: loadTimeout,
			Done: func(grpcrelay.Answer) {
				u.enter()
				defer u.leave()
				if o.unload--; o.unload == 0 && s.loading == o {
					c.Reply([]byte(hook.EmptySuccess))
				}
			},
		})
		if err == nil {
			o.unload++
		}
		l.loads[n.place].state = unheard
	}
	if o.unload == 0 {
		c.Reply([]byte(hook.EmptySuccess))
		return
	}
	c.Wake(u.patience)
}
