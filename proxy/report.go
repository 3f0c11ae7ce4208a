package proxy

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/mqedge/mqedge/proxy/accesslog"
)

// Stats are a listener's counters at one moment.
type Stats struct {
	Active       int
	Accepted     uint64
	AcceptErrors uint64
	Refused      map[string]uint64 // by reason
	Closed       map[string]uint64 // by reason
	BytesIn      uint64            // from clients
	BytesOut     uint64            // to clients
	LastRefusal  string            // in words; "" when there was none
}

// Stats returns the counters.
func (l *Listener) Stats() Stats {
	s := Stats{
		Active:       l.conns.len(),
		Accepted:     l.accepted.Load(),
		AcceptErrors: l.acceptErrors.Load(),
		Refused:      l.refused.snapshot(),
		Closed:       l.closed.snapshot(),
		BytesIn:      l.bytes.FromClient.Load(),
		BytesOut:     l.bytes.ToClient.Load(),
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
	Endpoint          string // "" before there is one
	ServerName        string
	ClientID          string // MQTT
	Username          string // MQTT
	Version           string // MQTT
	KeepAlive         uint16 // MQTT, seconds
	BytesIn, BytesOut uint64
}

// Connections describes up to limit live connections that match; limit 0 means all. An
// empty clientID matches every connection.
func (l *Listener) Connections(clientID string, limit int) []Connection {
	var out []Connection
	for _, c := range l.conns.all() {
		if d, ok := c.snapshot(clientID); ok {
			out = append(out, d)
			if len(out) == limit {
				break
			}
		}
	}
	return out
}

// Kick closes the connections of an MQTT client id and returns how many there were.
func (l *Listener) Kick(clientID string) int {
	n := 0
	for _, c := range l.conns.all() {
		if _, ok := c.snapshot(clientID); ok {
			c.close(reasonKicked)
			n++
		}
	}
	return n
}

// snapshot reads only what a running relay leaves alone.
func (c *conn) snapshot(clientID string) (Connection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if clientID != "" && c.connect.ClientID != clientID {
		return Connection{}, false
	}
	d := Connection{
		ID: c.id, Peer: c.peer, Client: c.peer, Since: c.since(), Endpoint: c.lease.Addr(),
		ClientID: c.connect.ClientID, Username: c.connect.Username,
		Version: c.connect.Version(), KeepAlive: c.connect.KeepAlive,
	}
	if c.pair != nil {
		d.Client = c.from()
		in, out := c.pair.Bytes()
		d.BytesIn, d.BytesOut = uint64(c.received)+in, uint64(c.answered)+out
		if c.tls != nil {
			d.ServerName = c.tls.serverName
		}
	}
	return d, true
}

// describe fills in what the connection knows of itself.
func (c *conn) describe(r *accesslog.Record) {
	r.Time = time.Now()
	r.SessionTime = r.Time.Sub(c.since())
	r.Listener = c.listener.name
	r.RemoteAddr = c.peer
	if c.client != nil {
		r.ProxyProtocolAddr = c.client.Addr()
	}
	r.Attempts = c.failed
	if addr := c.lease.Addr(); addr != "" {
		r.Attempts = append(c.failed, accesslog.Attempt{Addr: addr, ConnectTime: c.connectTime})
	}
	if t := c.tls; t != nil {
		r.TLSProtocol, r.TLSCipher = t.versionName(), t.cipherName()
		r.ServerName, r.ClientCN = t.serverName, t.clientCN
	}
	r.MQTTClientID, r.MQTTUsername = c.connect.ClientID, c.connect.Username
	r.MQTTVersion, r.MQTTKeepalive = c.connect.Version(), c.connect.KeepAlive
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
func (t *tlsInfo) cipherName() string { return strings.ToUpper(tls.CipherSuiteName(t.cipher)) }
