package gossip

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. It may hold its own locks then, so nothing here calls it back, and nothing waits.
type delegate struct{ node *Node }

// NodeMeta says nothing: sets are too large for it, and it may not be larger than memberlist allows.
func (d delegate) NodeMeta(int) []byte { return nil }

func (d delegate) NotifyMsg(b []byte) {
	n := d.node
	message, err := decode(b)
	if err != nil {
		n.refusals.add(refusedMalformed, fmt.Sprintf("a message of %d bytes", len(b)))
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		return
	}
	switch m := message.(type) {
	case delta:
		n.hearDelta(m, b, now)
	case []wireSet:
		for _, s := range m {
			n.hearSet(s, now)
		}
	case []wireFact:
		for _, f := range m {
			n.hearFact(f, now)
			n.passFact(f)
		}
	case want:
		n.answer(m)
	default:
		n.refusals.add(refusedMalformed, "a state outside of an exchange")
	}
}

func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.node.broadcasts.GetBroadcasts(overhead, limit)
}

func (d delegate) LocalState(join bool) []byte { return d.node.tell(join, time.Now()) }

func (d delegate) MergeRemoteState(b []byte, _ bool) {
	n := d.node
	message, err := decode(b)
	s, ok := message.(state)
	if err != nil || !ok {
		n.refusals.add(refusedMalformed, fmt.Sprintf("a state of %d bytes", len(b)))
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		return
	}
	n.hearState(s, now)
}

// NotifyAlive says who may be a member.
func (d delegate) NotifyAlive(node *memberlist.Node) error {
	n := d.node
	if node.Name == n.name {
		return nil
	}
	addr := addrOf(node)
	if !isName(node.Name) {
		n.refusals.add(refusedMalformed, fmt.Sprintf("a member named %.40q", node.Name))
		return errRefused
	}
	if node.DMin > format || node.DMax < format {
		n.refusals.addOnce(refusedProtocol, "the member "+node.Name+" at "+addr.String())
		return errRefused
	}
	if reason := n.catalog.allow.member(addr.Addr()); reason != "" || addr.Port() == 0 {
		n.refusals.addOnce(refusedAddress, "the member "+node.Name+" at "+addr.String())
		return errRefused
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.catalog.living >= mostMembers && !n.catalog.alive(node.Name) {
		n.refusals.addOnce(refusedTooMany, "the member "+node.Name+" at "+addr.String())
		return errRefused
	}
	return nil
}

func (d delegate) NotifyJoin(node *memberlist.Node) {
	n := d.node
	n.changed(node.Name, func(now time.Time) {
		n.catalog.joined(node.Name, addrOf(node), now)
		n.log.Debug("gossip member joined", "name", node.Name, "address", addrOf(node))
	})
}

func (d delegate) NotifyLeave(node *memberlist.Node) {
	n := d.node
	n.changed(node.Name, func(now time.Time) {
		n.catalog.died(node.Name, now)
		switch m := n.catalog.members[node.Name]; {
		case m != nil && n.catalog.succeeded(m):
			n.log.Info("another process has taken a gossip member's place", "name", node.Name, "address", addrOf(node))
		case m != nil && m.Left:
			n.log.Info("gossip member left", "name", node.Name, "address", addrOf(node))
		default:
			n.silent.add(node.Name, addrOf(node), now)
		}
	})
}

// changed notes what memberlist says of another member.
func (n *Node) changed(member string, note func(now time.Time)) {
	if member == n.name {
		return
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		return
	}
	note(now)
	n.living.Store(int64(n.catalog.living))
	n.stir(now, batchInterval)
}

func (d delegate) NotifyUpdate(node *memberlist.Node) {}

// addrOf copies: memberlist goes on changing the node.
func addrOf(node *memberlist.Node) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(node.Addr)
	return netip.AddrPortFrom(ip.Unmap(), node.Port)
}
