package docker

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Options are what an agent is made of. Only Socket has to be set.
type Options struct {
	// Socket is where the Engine listens: a path, unix://PATH, or tcp://HOST:PORT as proxies of the socket have it.
	Socket string
	// Host is the address to announce for ports of the host; not valid means to leave the host of an address empty.
	Host netip.Addr
	// Own is the address that others reach this host at, of which the family counts; it may not be known yet. Nil is never.
	Own func() netip.Addr
	Log *slog.Logger // nil means none

	resync time.Duration // for tests
}

const (
	resyncEvery = 30 * time.Second
	retryEvery  = 2 * time.Second // of those that could not be inspected
	gather      = 30 * time.Millisecond

	shortestPause = 200 * time.Millisecond
	longestPause  = 10 * time.Second
	steady        = 5 * time.Second // a stream of events that lasted is no reason to complain when it ends

	// stopTime is for how long a container that was told to stop is taken at its word.
	stopTime = 5 * time.Minute
)

// Agent watches the containers of an Engine. All methods may be called at once from any goroutine.
type Agent struct {
	o      Options
	engine *engine
	log    *slog.Logger

	mu    sync.Mutex
	state State

	// Of Run alone.
	known    map[string]*known // by id
	told     []Container
	spoke    bool // told something
	outage   bool // it was complained about
	tooMany  bool // it was complained about
	reported map[string]report
}

// known is what the Engine said of a container.
type known struct {
	details  details
	failed   string     // why it could not be inspected; details are older
	away     string     // it was heard to go, and not inspected since
	stopping time.Time  // it was told to stop; zero is not
	target   *details   // whose network it uses, if not its own
	before   *Container // what the agent before told of it; details are not known yet, but who and which run it is
}

// New opens nothing.
func New(o Options) (*Agent, error) {
	e, err := newEngine(o.Socket)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Own == nil {
		o.Own = func() netip.Addr { return netip.Addr{} }
	}
	if o.resync <= 0 {
		o.resync = resyncEvery
	}
	return &Agent{o: o, engine: e, log: o.Log, known: make(map[string]*known), reported: make(map[string]report)}, nil
}

// Run tells of all containers with labels of ours whenever something about them changes, until ctx ends. It says nothing before
// the Engine has answered, and goes on when it does not. Before is what another agent told last whose place this one takes: it
// holds of a container that the Engine says nothing of, and of one that was told to stop.
func (a *Agent) Run(ctx context.Context, before []Container, tell func([]Container)) {
	defer a.engine.close()
	for _, c := range before {
		k := &known{before: &c, stopping: c.Stopping}
		k.details.ID, k.details.State.StartedAt = c.ID, c.Run
		a.known[c.ID] = k
	}
	pause := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		err := a.watch(ctx, tell)
		if ctx.Err() != nil {
			return
		}
		lasted := errors.Is(err, errCut) && time.Since(began) > steady
		if lasted {
			pause = 0
		} else {
			a.lost(err)
		}
		pause = min(max(2*pause, shortestPause), longestPause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// watch follows the Engine until that fails.
func (a *Agent) watch(ctx context.Context, tell func([]Container)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := a.engine.negotiate(ctx); err != nil {
		return err
	}
	stream, err := a.engine.events(ctx) // before the list, so that nothing is missed between
	if err != nil {
		return err
	}
	p := newPending()
	cut := make(chan error, 1)
	go func() { cut <- stream.read(p) }()
	l := newLooks(ctx, a.look)
	defer func() {
		cancel()
		stream.close()
		cut <- <-cut // it has ended
		l.wait()
	}()
	if err := a.lookAtAll(ctx, l); err != nil {
		return err
	}
	a.found()
	return a.follow(ctx, following{pending: p, cut: cut, looks: l, tell: tell})
}

// following is what comes in while the Engine is watched.
type following struct {
	pending *pending
	cut     chan error // the stream of events has ended
	looks   *looks
	tell    func([]Container)
}

func (a *Agent) follow(ctx context.Context, f following) error {
	resync := time.NewTicker(a.o.resync)
	retry := time.NewTicker(min(retryEvery, a.o.resync))
	publish, due := time.NewTimer(0), true // what was found out a moment ago
	soon := func() {
		if !due {
			due = true
			publish.Reset(gather)
		}
	}
	defer resync.Stop()
	defer retry.Stop()
	defer publish.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-f.cut:
			f.cut <- err
			return err
		case <-f.pending.wake:
			err = a.heard(ctx, f)
		case r := <-f.looks.done:
			if f.looks.ended(r) {
				err = a.looked(r)
				soon()
			}
		case <-publish.C:
			due = false
			a.publish(f)
		case <-retry.C:
			for id, k := range a.known {
				if k.failed != "" {
					f.looks.begin(id)
				}
			}
		case <-resync.C:
			err = a.lookAtAll(ctx, f.looks)
			soon()
		}
		if err != nil {
			return err
		}
	}
}

// publish tells what is known. The first time that has to be all, since it takes the place of what was told before a reload.
func (a *Agent) publish(f following) {
	if a.spoke || f.looks.idle() {
		a.tell(f.tell)
	}
}

// heard deals with events. Who goes is gone before the Engine is asked anything.
func (a *Agent) heard(ctx context.Context, f following) error {
	select { // more may follow at once
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(gather):
	}
	changes, overflow := f.pending.take()
	for id, c := range changes {
		if k := a.known[id]; k != nil {
			a.note(k, c)
		}
	}
	a.publish(f)
	if overflow {
		return a.lookAtAll(ctx, f.looks)
	}
	for id, c := range changes {
		for _, concerned := range a.concerned(id, c) {
			f.looks.begin(concerned)
		}
	}
	return nil
}

// note is what an event alone says of a container.
func (a *Agent) note(k *known, c change) {
	if c.away != "" {
		k.away = c.away
	}
	if c.signal != "" && k.details.stops(c.signal) {
		k.stopping = time.Now()
	}
}

// concerned are the containers that have to be looked at.
func (a *Agent) concerned(id string, c change) []string {
	var ids []string
	if c.labelled || a.known[id] != nil {
		ids = append(ids, id)
	}
	for other, k := range a.known {
		if k.target != nil && k.target.ID == id {
			ids = append(ids, other)
		}
	}
	return ids
}

// lookAtAll asks what there is.
func (a *Agent) lookAtAll(ctx context.Context, l *looks) error {
	ids, err := a.list(ctx)
	if err != nil {
		return err
	}
	for id := range a.known {
		if !slices.Contains(ids, id) {
			a.forget(id)
		}
	}
	for _, id := range ids {
		l.begin(id)
	}
	return nil
}

// list returns the containers that have labels of ours.
func (a *Agent) list(ctx context.Context) (ids []string, err error) {
	list, err := a.engine.list(ctx)
	if err != nil {
		return nil, err
	}
	over := 0
	for _, l := range list {
		switch {
		case !labelled(l.Labels):
		case len(ids) == mostContainers:
			over++
		default:
			ids = append(ids, l.ID)
		}
	}
	if over > 0 && !a.tooMany {
		a.log.Warn("too many containers with labels mqedge.*: the rest is not looked at", "looked_at", mostContainers, "rest", over)
	}
	a.tooMany = over > 0
	return ids, nil
}

func (a *Agent) forget(id string) {
	delete(a.known, id)
	delete(a.reported, id)
}

// look inspects a container, and the one whose network it uses.
func (a *Agent) look(ctx context.Context, id string) look {
	r := look{id: id}
	if r.details, r.err = a.engine.inspect(ctx, id); r.err == nil {
		r.target, r.err = a.target(ctx, r.details)
	}
	return r
}

// looked takes over what a look found. The error is one of the Engine's, after which nothing else can be asked either.
func (a *Agent) looked(r look) error {
	switch {
	case errors.Is(r.err, errNotFound):
		a.forget(r.id)
		return nil
	case isAnswer(r.err):
		k := a.known[r.id]
		if k == nil {
			k = &known{details: details{ID: r.id}}
			a.known[r.id] = k
		}
		k.failed = r.err.Error()
		return nil
	case r.err != nil:
		return r.err
	case !labelled(r.details.Config.Labels):
		a.forget(r.id)
		return nil
	}
	next := &known{details: r.details, target: r.target}
	if before := a.known[r.id]; before != nil && !before.stopping.IsZero() &&
		r.details.runs() && before.details.State.StartedAt == r.details.State.StartedAt && time.Since(before.stopping) < stopTime {
		next.stopping = before.stopping
	}
	a.known[r.id] = next
	return nil
}

// target is the container whose network d uses; nil if that is its own, or cannot be found.
func (a *Agent) target(ctx context.Context, d details) (*details, error) {
	id, ok := d.joins()
	for hops := 0; ok && hops < 4; hops++ {
		t, err := a.engine.inspect(ctx, id)
		switch {
		case errors.Is(err, errNotFound) || isAnswer(err):
			return nil, nil
		case err != nil:
			return nil, err
		}
		if id, ok = t.joins(); !ok {
			return &t, nil
		}
	}
	return nil, nil
}

// tell publishes what is known, if that is news.
func (a *Agent) tell(tell func([]Container)) {
	next := a.containers()
	if a.spoke && reflect.DeepEqual(next, a.told) {
		return
	}
	for _, c := range next {
		a.report(c)
	}
	a.told, a.spoke = next, true
	tell(next)
}
