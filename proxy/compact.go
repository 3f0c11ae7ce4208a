package proxy

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/mqedge/mqedge/proxy/accesslog"
	"github.com/mqedge/mqedge/proxy/mqtt"
	"github.com/mqedge/mqedge/proxy/ports"
)

// What a connection keeps for as long as it lives is packed: there is one of it
// for each, and most have nothing of what is in extra.

// extra is what few connections have, and those over TLS.
type extra struct {
	client netip.AddrPort // whom the PROXY header names; zero for the peer itself
	zone   string         // of the peer's address
	tls    tlsInfo
	source ports.Use           // the source port, where the upstream has source addresses
	failed []accesslog.Attempt // before the endpoint that took it
}

// none is the extra of those that have none. Nothing is written to it.
var none = new(extra)

// has is for reading: what c has not is zero.
func (c *conn) has() *extra {
	if c.extra == nil {
		return none
	}
	return c.extra
}

// more is for writing. Others may read it meanwhile, but for client, which c.mu
// guards, only when the relay has the connection.
func (c *conn) more() *extra {
	if c.extra == nil {
		e := new(extra)
		c.mu.Lock()
		c.extra = e
		c.mu.Unlock()
	}
	return c.extra
}

// tls is nil on plain TCP.
func (c *conn) tls() *tlsInfo {
	if t := &c.has().tls; t.version != 0 {
		return t
	}
	return nil
}

// peer is that of the TCP connection.
func (c *conn) peer() netip.AddrPort {
	addr := netip.AddrFrom16(c.peerIP).Unmap()
	if zone := c.has().zone; zone != "" {
		addr = addr.WithZone(zone)
	}
	return netip.AddrPortFrom(addr, c.peerPort)
}

func (c *conn) setPeer(ap netip.AddrPort) {
	c.peerIP, c.peerPort = ap.Addr().As16(), ap.Port()
	if zone := ap.Addr().Zone(); zone != "" {
		c.more().zone = zone
	}
}

// greeting is a CONNECT.
type greeting struct {
	names      string // client id and user name, which are of 65,535 bytes at most
	idSize     uint16
	keepAlive  uint16
	level      byte // 0 where there was none
	cleanStart bool
}

func greetingOf(c mqtt.Connect) greeting {
	return greeting{
		names: c.ClientID + c.Username, idSize: uint16(len(c.ClientID)),
		keepAlive: c.KeepAlive, level: c.Level, cleanStart: c.CleanStart,
	}
}

func (g *greeting) connect() mqtt.Connect {
	return mqtt.Connect{
		ClientID: g.names[:g.idSize], Username: g.names[g.idSize:],
		KeepAlive: g.keepAlive, Level: g.level, CleanStart: g.cleanStart,
	}
}

// protocols are all, by the byte that is kept of one.
var protocols = [...]Protocol{"", MQTT, MQTTOverWebSocket, TCP, GRPC}

func numberOf(p Protocol) byte { return byte(max(slices.Index(protocols[:], p), 0)) }

func (c *conn) protocol() Protocol { return protocols[c.spoken] }

// micros is a time of up to an hour.
type micros uint32

func microsOf(d time.Duration) micros { return micros(min(d/time.Microsecond, math.MaxUint32)) }

func (m micros) duration() time.Duration { return time.Duration(m) * time.Microsecond }

// places are where a connection is counted.
type places byte

const (
	placed     places = 1 << iota // in listener.places
	placedByIP                    // in listener.perIP
)
