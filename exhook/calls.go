package exhook

import (
	"time"

	"google.golang.org/grpc/codes"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// call is a call of a client, from handler.Call to handler.Ended.
type call struct {
	want
	c        *grpcrelay.Call
	method   hook.Method // of a call that is no hook: none
	attempts [2]attempt
	sends    int // that count against the retries
	hedged   bool
	gaveUp   bool       // its own time is up, before the client's
	won      bool       // an attempt has
	code     codes.Code // of the latest failure; OK: none yet
	text     string

	loading *loading // of OnProviderLoaded and OnProviderUnloaded

	queued     bool
	next, prev *call
}

// attempt is a call at a provider.
type attempt struct {
	call  *call
	link  *link
	lease balancer.Lease
}

// handler hears of the group's calls. It is a type of its own so that its methods are none of Upstream.
type handler struct{ *Upstream }

// Call implements grpcrelay.Handler.
func (h handler) Call(c *grpcrelay.Call) {
	h.enter()
	defer h.leave()
	u := h.Upstream
	s := u.newCall(c)
	u.live++
	if !c.Whole() {
		s.class = general
		if name := u.rules.HashHeader; name != "" {
			s.key = balancer.KeyOf(c.Header().Value(name))
		}
		u.send(s)
		return
	}
	s.method, _ = hook.ParseMethod(c.Method())
	if c.Compressed() {
		c.Fail(codes.Unimplemented, "calls of ExHook must not be compressed")
		return
	}
	fields, ok := hook.Scan(s.method, c.Message())
	if !ok {
		c.Fail(codes.InvalidArgument, "the request is not a protobuf message")
		return
	}
	s.hook, s.as, s.class = s.method.Hook, u.rules.as(s.method), classOf(s.method.Hook)
	switch s.hook {
	case hook.ProviderLoaded:
		u.loadedCalled(s)
		return
	case hook.ProviderUnloaded:
		u.unloadedCalled(s, fields.Node)
		return
	}
	s.key, s.topic = balancer.KeyOfBytes(fields.ClientID), fields.Topic
	s.node = u.nodeOf(s.method, fields.Node, c.Message())
	if s.node != nil {
		s.node.calls.Add(1)
		s.node.heard = u.ticks
	}
	if u.rules.early[s.hook] {
		u.postEarly(s)
		return
	}
	if u.rules.timeout > 0 {
		c.Wake(u.rules.timeout)
	}
	u.send(s)
}

func (u *Upstream) newCall(c *grpcrelay.Call) *call {
	var s *call
	if n := len(u.free); n > 0 {
		s, u.free = u.free[n-1], u.free[:n-1]
	} else {
		s = &call{}
	}
	s.c, c.Data = c, s
	return s
}

// send has a provider get the call, or the call wait for one, or answers it.
func (u *Upstream) send(s *call) {
	for {
		l, lease, p := u.pick(&s.want, true)
		switch {
		case p == fits:
			if u.forward(s, l, lease) {
				return
			}
		case p == waits && u.queues[s.class].length < u.rules.waiting:
			u.queues[s.class].push(s)
			s.c.Hold()
			return
		case p == waits:
			u.fail(s, codes.Unavailable, "too many calls wait for a provider")
			return
		case p == unwanted:
			answer, _ := hook.Neutral(s.hook)
			s.c.Reply([]byte(answer))
			return
		case s.code != codes.OK:
			u.fail(s, s.code, s.text)
			return
		default:
			u.fail(s, codes.Unavailable, "no provider is there for this call")
			return
		}
	}
}

// forward sends the call to a provider. It is false when that one could not take it.
func (u *Upstream) forward(s *call, l *link, lease balancer.Lease) bool {
	a := &s.attempts[0]
	if a.call != nil {
		a = &s.attempts[1]
	}
	*a = attempt{s, l, lease}
	l.begin(s.class)
	o := grpcrelay.ForwardOptions{Data: a}
	if s.hook != hook.None && s.as != s.method.Version {
		o.Path = hook.Method{Version: s.as, Hook: s.hook}.Path()
	}
	if err := s.c.Forward(l.p, o); err != nil {
		l.end(s.class)
		a.lease.Done(balancer.Broken)
		*a = attempt{}
		s.tried = append(s.tried, l.id)
		if s.code == codes.OK {
			s.code, s.text = codes.Unavailable, err.Error()
		}
		return false
	}
	s.sends++
	if u.rules.hedge > 0 && !s.hedged && readLike(s.hook) {
		u.wake(s, u.rules.hedge)
	}
	return true
}

// wake has Woken called when the call is to be hedged, or its own time is up.
func (u *Upstream) wake(s *call, after time.Duration) {
	if u.rules.timeout > 0 {
		after = min(after, max(u.rules.timeout-s.c.Took(), time.Millisecond))
	}
	s.c.Wake(after)
}

// readLike hooks ask and change nothing, so they may be asked twice.
func readLike(h hook.Hook) bool {
	return h == hook.ClientAuthenticate || h == hook.ClientAuthorize
}

// Forwarded implements grpcrelay.Handler.
func (h handler) Forwarded(c *grpcrelay.Call, o grpcrelay.Outcome) {
	h.enter()
	defer h.leave()
	u, a := h.Upstream, o.Data.(*attempt)
	s, l := a.call, a.link
	l.end(s.class)
	u.stir()
	v := u.judge(s, o)
	l.learn(s.hook, v, o.Took, &a.lease)
	*a = attempt{}
	switch {
	case c.Answered() || o.Cancelled || o.Begun:
		return // nothing is to be decided any more
	case v.good:
		s.won = true
		return // the relay hands the answer on
	}
	s.code, s.text = v.code, v.text
	if !o.Unprocessed || l.p != nil && l.p.Ready() {
		s.tried = append(s.tried, l.id)
	}
	again := o.Unprocessed || readLike(s.hook) && v.code != codes.DeadlineExceeded && (!v.said || elsewhere(v.code))
	switch {
	case c.InFlight() > 0:
		c.Hold() // another provider was asked as well, and may do better: this answer may be wrong
	case again && s.sends <= u.rules.Retries:
		u.send(s)
	case s.hook == hook.None:
		// The relay hands the status on.
	case v.said && !v.failure:
		// So is what the provider itself has to say to the call.
	default:
		u.fail(s, v.code, v.text)
	}
}

// Woken implements grpcrelay.Handler.
func (h handler) Woken(c *grpcrelay.Call) {
	h.enter()
	defer h.leave()
	u, s := h.Upstream, c.Data.(*call)
	if s.loading != nil {
		u.loadingWoken(s)
		return
	}
	if t := u.rules.timeout; t > 0 && c.Took() >= t {
		s.gaveUp = true
		u.fail(s, codes.DeadlineExceeded, "no provider answered within the timeout of the upstream")
		return
	}
	if u.rules.hedge > 0 && !s.hedged && readLike(s.hook) && c.InFlight() == 1 && !c.Answered() {
		s.hedged = true
		u.hedge(s)
	}
	if t := u.rules.timeout; t > 0 {
		u.wake(s, t)
	}
}

// hedge asks a second provider, if there is a good one.
func (u *Upstream) hedge(s *call) {
	first := &s.attempts[0]
	if first.call == nil {
		first = &s.attempts[1]
	}
	tried := len(s.tried)
	s.tried = append(s.tried, first.link.id)
	if l, lease, p := u.pick(&s.want, false); p == fits {
		u.forward(s, l, lease)
	}
	s.tried = append(s.tried[:tried], s.tried[tried+1:]...)
}

// Late implements grpcrelay.Handler.
func (h handler) Late(c *grpcrelay.Call) {
	h.enter()
	defer h.leave()
	s := c.Data.(*call)
	if s.loading != nil {
		h.answerLoading(s, true)
		return
	}
	h.fail(s, codes.DeadlineExceeded, "no provider answered in time")
}

// Ended implements grpcrelay.Handler.
func (h handler) Ended(c *grpcrelay.Call, e grpcrelay.End) {
	h.enter()
	defer h.leave()
	u, s := h.Upstream, c.Data.(*call)
	u.live--
	if s.queued {
		u.queues[s.class].remove(s)
	}
	if s.loading != nil {
		u.forgetLoading(s)
	}
	u.stats.called(s.method.Hook, e)
	u.dead = append(u.dead, s)
}
