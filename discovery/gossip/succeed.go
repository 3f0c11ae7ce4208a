package gossip

import (
	"encoding/json"
	"net"
	"net/netip"
	"time"
)

// Predecessor is what a node gets from one of another process whose place it takes: the same address, under a new name. The
// other must have ended without Leave before Run begins, or they would take each other's messages; Listen may come before.
type Predecessor struct {
	Streams *net.TCPListener // its sockets, in place of Options.Bind's; of both or of none
	Packets *net.UDPConn
	Known   []byte // what [Node.Known] said; nil is nothing
}

// Sockets are those of a node that listens, for who makes another process a present of them; nil before Listen. They stay the
// node's.
func (n *Node) Sockets() (streams *net.TCPListener, packets *net.UDPConn) {
	n.listening.Lock()
	defer n.listening.Unlock()
	if n.transport == nil {
		return nil, nil
	}
	tcp, ok := n.transport.streams.(*net.TCPListener)
	udp, ok2 := n.transport.packets.(*net.UDPConn)
	if !ok || !ok2 {
		return nil, nil
	}
	return tcp, udp
}

// Known is what the state file would hold, the members and what they announced, and the secrets that are shared: it is for no
// eyes but those of the process that takes this one's place.
func (n *Node) Known() ([]byte, error) {
	n.mu.Lock()
	saved := n.stateToSave(time.Now(), true)
	n.mu.Unlock()
	return json.Marshal(saved)
}

// inherit opens nothing: it takes the sockets of the predecessor.
func (p *Predecessor) inherit(netip.AddrPort) (sockets, error) {
	_ = p.Packets.SetReadBuffer(receiveBuffer)
	return sockets{p.Streams, p.Packets, dialTCP}, nil
}
