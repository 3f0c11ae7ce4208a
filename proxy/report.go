package proxy

import (
	"crypto/tls"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/mqedge/mqedge/proxy/accesslog"
)

// Stats are a listener's counters at one moment.
type Stats struct {
	Active       int
	HalfOpen     int // of those, not relayed yet
	Waiting      int // of those, for their turn by ConnectRate
	WaitingFull  int // and by FullHandshakes
	Accepted     uint64
	AcceptErrors uint64
	Refused      map[string]uint64 // by reason
	Closed       map[string]uint64 // by reason
	BytesIn      uint64            // from clients
	BytesOut     uint64            // to clients
	MessagesIn   uint64            // PUBLISH packets from clients; of protocols of MQTT
	MessagesOut  uint64            // and to clients
	LastRefusal  string            // in words; "" when there was none
}

// Stats returns the counters.
func (l *Listener) Stats() Stats {
	s := Stats{
		Active:       l.conns.len(),
		HalfOpen:     int(l.halfOpen.Load()),
		Waiting:      l.connects.waiting(),
		WaitingFull:  l.fulls.waiting(),
		Accepted:     l.accepted.Load(),
		AcceptErrors: l.acceptErrors.Load(),
		Refused:      l.refused.snapshot(),
		Closed:       l.closed.snapshot(),
		BytesIn:      l.bytes.FromClient.Load(),
		BytesOut:     l.bytes.ToClient.Load(),
		MessagesIn:   l.bytes.MessagesFromClient.Load(),
		MessagesOut:  l.bytes.MessagesToClient.Load(),
	}
	if text := l.lastRefusal.Load(); text != nil {
		s.LastRefusal = *text
	}
	return s
}

// Connection describes a live connection.
type Connection struct {
	ID                uint64
	Peer, Client      netip.AddrPort
	Since             time.Time
	Upstream          string // "" before there is an endpoint
	Endpoint          string
	ServerName        string
	ClientID          string // MQTT
	Username          string // MQTT
	Version           string // MQTT
	KeepAlive         uint16 // MQTT, seconds
	BytesIn, BytesOut uint64
}

// Filter selects connections. A field that is empty matches all of them.
type Filter struct {
	ClientID string // MQTT
	Upstream string
	Endpoint string
}

// Connections finds the live connections that match: how many there are, and up
// to limit of them, which are described as they come up. Few are cheap to ask
// for, however many there are.
func (l *Listener) Connections(f Filter, limit int) (total int, some iter.Seq[Connection]) {
	var found []*conn
	all := f == Filter{}
	l.conns.each(func(c *conn) bool {
		if all && len(found) >= limit {
			return false
		}
		if all || c.matches(f) {
			if total++; len(found) < limit {
				found = append(found, c)
			}
		}
		return true
	})
	if all {
		total = max(total, l.conns.len())
	}
	return total, func(yield func(Connection) bool) {
		for _, c := range found {
			if !yield(c.snapshot()) {
				return
			}
		}
	}
}

// Kick ends the connections of an MQTT client id and returns how many there were.
func (l *Listener) Kick(clientID string) int {
	n := 0
	l.conns.each(func(c *conn) bool {
		if c.matches(Filter{ClientID: clientID}) {
			c.leave(kicked, 0)
			n++
		}
		return true
	})
	return n
}

func (c *conn) matches(f Filter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (f.ClientID == "" || f.ClientID == c.greeting.connect().ClientID) &&
		(f.Upstream == "" || f.Upstream == c.lease.Upstream()) &&
		(f.Endpoint == "" || f.Endpoint == c.lease.Addr())
}

// snapshot reads only what a running relay leaves alone.
func (c *conn) snapshot() Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	connect := c.greeting.connect()
	d := Connection{
		ID: c.id, Peer: c.peer(), Client: c.from(), Since: c.since(), Upstream: c.lease.Upstream(), Endpoint: c.lease.Addr(),
		ClientID: connect.ClientID, Username: connect.Username,
		Version: connect.Version(), KeepAlive: connect.KeepAlive,
	}
	if c.pair != nil {
		in, out := c.pair.Bytes()
		d.BytesIn, d.BytesOut = uint64(c.received)+in, uint64(c.answered)+out
		if t := c.tls(); t != nil {
			d.ServerName = t.serverName
		}
	}
	return d
}

// lastLine is a record with room for the one attempt that is the rule. Each connection
// borrows one for the moment of its end.
type lastLine struct {
	accesslog.Record
	attempt [1]accesslog.Attempt
}

// describe fills in what the connection knows of itself.
func (c *conn) describe(r *lastLine) {
	r.Time = time.Now()
	r.SessionTime = r.Time.Sub(c.since())
	r.Listener = c.listener.name
	r.RemoteAddr = c.peer()
	r.ProxyProtocolAddr = c.has().client.Addr()
	r.Attempts = append(r.attempt[:0], c.has().failed...)
	if addr := c.lease.Addr(); addr != "" {
		r.Attempts = append(r.Attempts, accesslog.Attempt{Addr: addr, ConnectTime: c.connectTime.duration()})
	}
	if t := c.tls(); t != nil {
		r.TLSProtocol, r.TLSCipher = t.versionName(), t.cipherName()
		r.ServerName, r.ClientCN = t.serverName, t.clientCN
	}
	connect := c.greeting.connect()
	r.MQTTClientID, r.MQTTUsername = connect.ClientID, connect.Username
	r.MQTTVersion, r.MQTTKeepalive = connect.Version(), connect.KeepAlive
	r.ConnackCode = int(c.connackCode)
}

// versionName is the TLS version as nginx and OpenSSL write it.
func (t *tlsInfo) versionName() string {
	switch t.version {
	case tls.VersionTLS10:
		return "TLSv1"
	case tls.VersionTLS11:
		return "TLSv1.1"
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	}
	return fmt.Sprintf("%#04x", t.version)
}

// cipherName is the IANA name of the cipher suite.
func (t *tlsInfo) cipherName() string {
	if name, ok := cipherNames()[t.cipher]; ok {
		return name
	}
	return strings.ToUpper(tls.CipherSuiteName(t.cipher))
}

// cipherNames are those of all suites, which crypto/tls makes a list of each time it
// is asked for one: 0.7 KB a connection.
var cipherNames = sync.OnceValue(func() map[uint16]string {
	names := make(map[uint16]string)
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		names[s.ID] = strings.ToUpper(s.Name)
	}
	return names
})
