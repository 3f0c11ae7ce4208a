package proxy

import (
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/admit"
	"github.com/mqedge/mqedge/proxy/ports"
	"github.com/mqedge/mqedge/proxy/relay"
)

// Protocol says how much of a client's stream the edge understands.
type Protocol string

const (
	// MQTT streams begin with a CONNECT packet, which is read and checked before an endpoint is picked.
	MQTT Protocol = "mqtt"
	// MQTTOverWebSocket streams begin with an HTTP upgrade, which the edge answers; then it is as with MQTT.
	MQTTOverWebSocket Protocol = "mqtt_ws"
	// TCP streams are opaque.
	TCP Protocol = "tcp"
	// GRPC connections carry calls, of which each goes its own way.
	GRPC Protocol = "grpc"
)

func (p Protocol) isMQTT() bool { return p == MQTT || p == MQTTOverWebSocket }

// Upstream is what a connection needs of a pool of endpoints.
type Upstream interface {
	Pick(balancer.PickInfo) (balancer.Lease, error)
}

// Calls serves the connections of a listener whose protocol is GRPC.
type Calls interface {
	// Add takes ownership of client, as [relay.Relay.Add] does of two connections: on
	// error it did not. It adds the bytes that move to the counters, and calls done
	// once when the connection is closed. It must not wait.
	Add(client net.Conn, counters *relay.Counters, done func(relay.Result)) (relay.Pair, error)
}

// Route says where the connections of a listener go, and how.
type Route struct {
	Calls          Calls // of GRPC, which needs nothing else of a route
	Upstream       Upstream
	SendProxy      byte                                // version of the PROXY header to endpoints: 1, 2, or 0 for none
	TLS            func(serverName string) *tls.Config // nil = plain TCP to endpoints
	TCP            relay.TCP                           // of the connections to endpoints
	Sources        *ports.Set                          // of their addresses at this end; nil = the kernel chooses
	ConnectTimeout time.Duration                       // for the dial, TLS and the first write together
	Tries          int                                 // different endpoints tried for one connection; 0 = all
	HashKey        string                              // what the pool keeps together: client_id, username, source_ip, sni; "" = nothing
}

// Settings are what may change while a listener works. A connection keeps those
// that were in force when it was accepted.
type Settings struct {
	Protocol Protocol
	Route    Route

	TCP              relay.TCP     // of connections from clients; each socket takes it over with [Socket.Assign]
	TLS              *tls.Config   // nil = plain TCP from clients
	HandshakeTimeout time.Duration // TLS

	// Trust are the peers that begin with a PROXY header; a header from any
	// other peer is refused. Nil means that no header is expected: then the
	// bytes of TCP are not looked at.
	Trust        []netip.Prefix
	ProxyTimeout time.Duration // to the whole header

	ConnectTimeout time.Duration // MQTT: to the whole CONNECT packet
	MaxConnectSize int           // MQTT: bytes of the CONNECT packet, and of CONNACK
	OneEndpoint    bool          // MQTT: no endpoint is tried after one that may have seen CONNECT
	IdleTimeout    time.Duration // without bytes; for MQTT only when the client's keep alive is 0

	Allow, Deny         []netip.Prefix // of clients; Deny wins, an empty Allow means all
	MaxConnections      int            // 0 = no limit
	MaxConnectionsPerIP int            // 0 = no limit
	MaxHalfOpen         int            // connections that are not relayed yet; 0 = no limit

	ConnectRate    admit.Limit // of new connections
	FullHandshakes admit.Limit // of TLS handshakes that resume nothing
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	a = a.WithZone("") // a prefix has none
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
