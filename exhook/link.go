package exhook

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/exhook/hook"
)

// link is what an upstream has of one endpoint. Its connection comes and goes; a connection that was left for a new one
// serves the calls that it has.
type link struct {
	id   balancer.NodeID
	addr string
	gone bool // the pool has it no more

	p        *grpcrelay.Provider // nil: no connection that takes calls
	ready    bool                // p has been
	opened   bool                // every node's OnProviderLoaded has been dealt with on this connection
	dialling bool
	lease    balancer.Lease // of the connection while it is not ready
	took     time.Duration  // to dial
	failures uint64         // of calls
	tries    int            // to connect, without lasting success
	dialAt   time.Time
	since    time.Time // connected and ready, or without a connection
	why      error     // it is not connected

	// What the provider said to OnProviderLoaded: loads on this connection, the rest on any.
	loads     []load // by place of the node
	interests [hook.V3 + 1]*hook.Interest
	specs     [hook.V3 + 1][]hook.Spec
	serves    [hook.V3 + 1]bool // it answered and knows the version

	calls   [classes]int // under way
	total   uint64
	latency time.Duration // of answers, a moving average
	row     [hookSlots]uint8
}

func (l *link) begin(c class) { l.calls[c]++; l.total++ }
func (l *link) end(c class)   { l.calls[c]-- }

func (l *link) inFlight() int {
	n := 0
	for _, k := range l.calls {
		n += k
	}
	return n
}

// syncMembers makes and ends links as the pool's endpoints come and go.
func (u *Upstream) syncMembers(now time.Time) {
	members := u.pool.Members()
	if same(members, u.members) {
		return
	}
	u.members = members
	before := u.byID
	u.links, u.byID = nil, make(map[balancer.NodeID]*link, len(members))
	for _, m := range members {
		l := before[m.ID]
		if l == nil {
			l = &link{id: m.ID, addr: m.Addr, since: now, dialAt: now, loads: make([]load, u.nodes.places())}
		}
		u.links, u.byID[m.ID] = append(u.links, l), l
	}
	for id, l := range before {
		if u.byID[id] != nil {
			continue
		}
		l.gone = true
		l.lease.Done(balancer.Broken)
		if p := l.p; p != nil {
			l.p = nil
			p.Drain()
		}
	}
	u.relearn()
	u.stir()
}

// same tells whether nothing has come or gone, as balancer.Pool.Members says.
func same(a, b []balancer.Member) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// tend does for a link what time asks for.
func (u *Upstream) tend(l *link, now time.Time) {
	switch {
	case l.p != nil:
		if l.ready {
			u.loadAll(l, now)
		}
	case !l.dialling && !u.stopping && !now.Before(l.dialAt):
		lease, _ := u.pool.Take(l.id) // an endpoint drained by hand has none, and is connected all the same
		select {
		case u.dials <- dialling{l, lease, u.rules.Dial, u.rules.TLS}:
			l.dialling = true
		default:
			lease.Done(balancer.Broken)
		}
	}
}

// attached takes over a connection that was dialled. took is for the pool.
func (u *Upstream) attached(d dialling, p *grpcrelay.Provider, took time.Duration) {
	l := d.link
	l.dialling = false
	u.conns[p] = struct{}{}
	if l.gone || u.stopping {
		d.lease.Done(balancer.Broken)
		p.Close()
		return
	}
	l.p, l.ready, l.opened, l.lease, l.took = p, false, false, d.lease, took
}

// notReached is told that an endpoint could not be connected to.
func (u *Upstream) notReached(d dialling, err error) {
	d.lease.DoneError(balancer.ConnectFailed, err)
	d.link.dialling = false
	u.retreat(d.link, err)
}

// changed is told by the relay that a connection takes calls, or takes none any more.
func (u *Upstream) changed(l *link, p *grpcrelay.Provider) {
	u.stir()
	if p.Closed() {
		delete(u.conns, p)
	}
	switch {
	case l.p != p:
	case p.Ready():
		if !l.ready {
			u.connected(l)
		}
	case l.ready || p.Closed():
		u.disconnected(l, p)
	}
}

func (u *Upstream) connected(l *link) {
	l.ready, l.since, l.why = true, time.Now(), nil
	l.lease.Established(l.took)
	l.lease.Done(balancer.Broken) // which says no more than that it was connected
	u.tell(slog.LevelInfo, "connected to a provider", "endpoint", l.addr)
	u.loadAll(l, l.since)
}

func (u *Upstream) disconnected(l *link, p *grpcrelay.Provider) {
	lasted, wasReady := time.Since(l.since), l.ready
	l.p, l.ready, l.opened = nil, false, false
	clear(l.loads)
	err := p.Err()
	left := !p.Closed() || errors.Is(err, grpcrelay.ErrLeft)
	switch {
	case u.stopping:
		l.lease.Done(balancer.Broken)
		return
	case !wasReady:
		l.lease.DoneError(balancer.ConnectFailed, err)
	case !left:
		if lease, ok := u.pool.Take(l.id); ok == nil {
			lease.DoneError(balancer.ConnectFailed, err)
		}
	}
	if wasReady {
		l.since = time.Now()
		if lasted > lasting {
			l.tries = 0
		}
	}
	if left {
		err = errLeft
	}
	if wasReady {
		u.tell(slog.LevelInfo, "lost the connection to a provider", "endpoint", l.addr, "reason", err.Error())
	}
	u.retreat(l, err)
}

var errLeft = errors.New("it ended the connection in good order")

// lasting is how long a connection must have lasted for the next one to be made at once.
const lasting = 10 * time.Second

// retreat sets when the next connection is tried.
func (u *Upstream) retreat(l *link, err error) {
	l.why = err
	const first, most = 100 * time.Millisecond, 5 * time.Second
	pause := min(first<<min(l.tries, 10), most)
	if l.tries == 0 {
		pause /= 2
	}
	l.tries++
	l.dialAt = time.Now().Add(pause/2 + rand.N(pause/2))
	if l.tries == 4 {
		u.tell(slog.LevelWarn, "a provider cannot be connected to", "endpoint", l.addr, "reason", fmt.Sprint(err))
	}
}

// place makes room for a node in what links know of nodes, or forgets what they know of the one that had the place.
func (u *Upstream) place(at int) {
	for _, l := range u.links {
		for len(l.loads) <= at {
			l.loads = append(l.loads, load{})
		}
		l.loads[at] = load{}
	}
}
