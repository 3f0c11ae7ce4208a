package doctor

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/mqedge/mqedge/configs"
)

// needs is what a configuration asks of its host. Without a configuration it is
// nothing.
type needs struct {
	binds     []bind
	upstreams []upstream
	announced []endpoint
	most      int // connections at once; 0: no limit
	tls       bool
}

// bind is an address to listen on.
type bind struct {
	key, address string
	host         netip.Addr // zero for a name; unspecified for every address
	port         int        // 0: any
}

type upstream struct {
	name      string
	config    *configs.Upstream
	endpoints []endpoint
	protocols []string // of the listeners that lead here
	most      int      // connections at once; 0: no limit
	rate      int      // new ones a second; 0: no limit
}

type endpoint struct {
	key, address, host string
	port               int
	most               int // connections at once; 0: no limit
	backup             bool
}

func newNeeds(c *configs.Config) needs {
	var n needs
	if c == nil {
		return n
	}
	for _, name := range slices.Sorted(maps.Keys(c.Listeners)) {
		l := c.Listeners[name]
		for i, address := range l.Bind {
			key := "listeners." + name + ".bind"
			if len(l.Bind) > 1 {
				key = fmt.Sprintf("%s[%d]", key, i)
			}
			n.binds = append(n.binds, newBind(key, address))
		}
		n.tls = n.tls || l.TLS != nil
	}
	if c.Admin.Bind != "" {
		n.binds = append(n.binds, newBind("admin.bind", c.Admin.Bind))
	}
	if c.Gossip != nil {
		n.binds = append(n.binds, newBind("gossip.bind", c.Gossip.Bind))
		for i, a := range c.Gossip.Announce {
			n.announced = append(n.announced, newAnnounced(fmt.Sprintf("gossip.announce[%d].address", i), a.Address))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		n.upstreams = append(n.upstreams, newUpstream(c, name))
	}
	unlimited := false
	for _, u := range n.upstreams {
		if len(u.protocols) > 0 { // else no listener leads there
			n.most += u.most
			unlimited = unlimited || u.most == 0
		}
	}
	if unlimited {
		n.most = 0
	}
	return n
}

func newBind(key, address string) bind {
	b := bind{key: key, address: address}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return b
	}
	b.port, _ = strconv.Atoi(port) // 0 is never looked at
	switch host {
	case "":
		b.host = netip.IPv6Unspecified() // and IPv4, as the system has it
	case "localhost":
		b.host = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if addr, err := netip.ParseAddr(host); err == nil {
			b.host = addr.Unmap()
		}
	}
	return b
}

func newUpstream(c *configs.Config, name string) upstream {
	u := upstream{name: name, config: c.Upstreams[name]}
	unlimited, unpaced := false, false
	for _, l := range c.Listeners {
		if l.Upstream != name {
			continue
		}
		if !slices.Contains(u.protocols, l.Protocol) {
			u.protocols = append(u.protocols, l.Protocol)
		}
		u.most += l.MaxConnections
		u.rate += l.ConnectRate.PerSecond
		unlimited = unlimited || l.MaxConnections == 0
		unpaced = unpaced || l.ConnectRate.PerSecond == 0
	}
	if unlimited {
		u.most = 0
	}
	u.most = bound(u.most, capacity(u.config))
	if unpaced {
		u.rate = 0
	}
	for i, e := range u.config.Endpoints {
		host, port, err := net.SplitHostPort(e.Address)
		if err != nil {
			continue
		}
		number, _ := strconv.Atoi(port)
		u.endpoints = append(u.endpoints, endpoint{
			key: fmt.Sprintf("upstreams.%s.endpoints[%d].address", name, i), address: e.Address,
			host: host, port: number, most: e.MaxConnections, backup: e.Backup,
		})
	}
	return u
}

// newAnnounced is what an announcement offers. Without a host that is this one.
func newAnnounced(key, address string) endpoint {
	host, port, _ := net.SplitHostPort(address) // it was checked
	if host == "" {
		host = "localhost"
	}
	number, _ := strconv.Atoi(port)
	return endpoint{key: key, address: address, host: host, port: number}
}

// capacity is how many connections the endpoints take by their own limits; 0 if
// one of them has none.
func capacity(u *configs.Upstream) int {
	n := 0
	for _, e := range u.Endpoints {
		if e.MaxConnections == 0 {
			return 0
		}
		n += e.MaxConnections
	}
	return n
}

// bound is the lesser of two limits of which 0 is none.
func bound(a, b int) int {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// covers reports whether a socket on s has what b wants.
func (b bind) covers(s Socket) bool {
	if b.port == 0 || int(s.Local.Port()) != b.port {
		return false
	}
	there := s.Local.Addr()
	return b.host == there || b.host.IsUnspecified() || there.IsUnspecified() || !b.host.IsValid()
}

// local are the endpoints that may be on this host, known by address.
func (n needs) local(h *Host) []endpoint {
	var out []endpoint
	for _, u := range n.upstreams {
		out = append(out, u.endpoints...)
	}
	out = append(out, n.announced...)
	return slices.DeleteFunc(out, func(e endpoint) bool { return !e.here(h) })
}

// addresses are those of an endpoint, as far as they are known.
func (e endpoint) addresses(h *Host) []netip.Addr {
	if addr, err := netip.ParseAddr(e.host); err == nil {
		return []netip.Addr{addr.Unmap()}
	}
	if e.host == "localhost" {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return h.Resolved[e.host]
}

// here reports whether the endpoint is on this host.
func (e endpoint) here(h *Host) bool { return slices.ContainsFunc(e.addresses(h), h.has) }
