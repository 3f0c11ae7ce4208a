package exhook

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/exhook/hook"
)

// node is an EMQX node, in one version of the protocol.
type node struct {
	version hook.Version
	broker  hook.Broker
	request []byte // its OnProviderLoaded, or one made of what its other calls say
	place   int    // in link.loads
	left    time.Time
	heard   int64 // the tick of its latest call

	told  bool
	known []hook.Spec // what it was answered, if told

	calls atomic.Uint64
}

// nodes are the EMQX nodes that are known.
type nodes struct {
	all   []*node // the longest known first
	named [hook.V3 + 1]map[string]*node
	taken []bool // places
}

// mostNodes is how many are known at a time; calls of others are served without OnProviderLoaded.
const mostNodes = 1000

func (n *nodes) places() int { return len(n.taken) }

// nodeOf is the node that sent a request. One that is not known is learnt from it: EMQX up to 5.8 does not send
// OnProviderLoaded again to a process that has not heard it. Nil when there are too many.
func (u *Upstream) nodeOf(m hook.Method, name, request []byte) *node {
	if n := u.nodes.named[m.Version][string(name)]; n != nil {
		return n
	}
	if len(u.nodes.all) >= mostNodes {
		return nil
	}
	b := hook.Caller(m, request)
	if b.Node != string(name) {
		return nil // longer than any name
	}
	n := u.addNode(m.Version, b, hook.AppendLoadedRequest(nil, b))
	u.tell(slog.LevelInfo, "learnt of an EMQX node from its calls", "node", b.Node, "version", b.Version, "protocol", m.Version.String())
	u.unsaved = true
	u.loadEverywhere(n)
	return n
}

// addNode makes a node known, in place of what it was before in any version.
func (u *Upstream) addNode(v hook.Version, b hook.Broker, request []byte) *node {
	n := &u.nodes
	if old := n.named[v][b.Node]; old != nil {
		old.broker, old.request, old.left = b, request, time.Time{}
		for _, l := range u.links {
			if s := &l.loads[old.place]; s.state != asked { // it is on its way there otherwise
				*s = load{}
			}
		}
		return old
	}
	at := slices.Index(n.taken, false)
	if at < 0 {
		at = len(n.taken)
		n.taken = append(n.taken, false)
	}
	n.taken[at] = true
	added := &node{version: v, broker: b, request: request, place: at, heard: u.ticks}
	n.all = append(n.all, added)
	n.named[v][b.Node] = added
	u.place(at)
	return added
}

func (u *Upstream) dropNode(n *node) {
	delete(u.nodes.named[n.version], n.broker.Node)
	u.nodes.all = slices.DeleteFunc(u.nodes.all, func(other *node) bool { return other == n })
	u.nodes.taken[n.place] = false
	u.place(n.place)
	n.place = -1
}

// makeRoom drops the node that has been silent for longest when there are too many.
func (u *Upstream) makeRoom() {
	if len(u.nodes.all) < mostNodes {
		return
	}
	u.dropNode(slices.MinFunc(u.nodes.all, func(a, b *node) int { return int(a.heard - b.heard) }))
}

// expire drops the nodes that have left.
func (n *nodes) expire(u *Upstream, now time.Time) {
	for _, one := range slices.Clone(n.all) {
		if !one.left.IsZero() && now.Sub(one.left) > leftFor {
			u.dropNode(one)
		}
	}
}
