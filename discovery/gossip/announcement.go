package gossip

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Announcement is one endpoint that a node offers.
type Announcement struct {
	Service string
	Addr    string            // IP:port; an empty host means the address that others reach this node at
	Weight  uint32            // 0 means 1
	Health  Health            // as the announcer's own check sees it
	Tags    map[string]string // what people sort endpoints by, like zone
	Facts   map[string]string // what one has to know to use it, like send_proxy
}

// Health is what an announcer's own check says of an endpoint.
type Health uint8

const (
	Up       Health = iota
	Draining        // it asked for no new connections
	Down
)

func (h Health) String() string {
	switch h {
	case Up:
		return "up"
	case Draining:
		return "draining"
	default:
		return "down"
	}
}

// Bounds of what one node may say. They hold for what is sent and for what is received.
const (
	mostAnnouncements = 4096 // of one node
	mostPairs         = 16   // tags or facts of one endpoint
	longestName       = 128  // of a service, a node, a tag, a kind
	longestValue      = 256  // of a tag or a fact of an endpoint
)

// MostAnnouncements is how many endpoints a node may announce.
const MostAnnouncements = mostAnnouncements

// offer is an Announcement whose address has been understood. It is never changed once made: sets share it.
type offer struct {
	service string
	addr    netip.AddrPort
	weight  uint32
	health  Health
	tags    map[string]string
	facts   map[string]string
}

// place is what tells the offers of a node apart.
type place struct {
	service string
	addr    netip.AddrPort
}

func (o offer) place() place { return place{o.service, o.addr} }

func (o offer) equal(other offer) bool {
	return o.place() == other.place() && o.weight == other.weight && o.health == other.health &&
		maps.Equal(o.tags, other.tags) && maps.Equal(o.facts, other.facts)
}

// check returns what makes the announcement unusable. The address is checked by offer.
func (a Announcement) check() error {
	if !isName(a.Service) {
		return fmt.Errorf("service %q: want 1 to %d printable characters", a.Service, longestName)
	}
	if a.Health > Down {
		return fmt.Errorf("health %d: want up, draining or down", a.Health)
	}
	for what, pairs := range map[string]map[string]string{"tags": a.Tags, "facts": a.Facts} {
		if len(pairs) > mostPairs {
			return fmt.Errorf("%d %s: at most %d", len(pairs), what, mostPairs)
		}
		for k, v := range pairs {
			if !isName(k) || !isText(v, longestValue) {
				return fmt.Errorf("%s: %q=%q: want a printable name up to %d and a value up to %d bytes", what, k, v, longestName, longestValue)
			}
		}
	}
	return nil
}

// offer puts own in place of an empty host.
func (a Announcement) offer(own netip.Addr) (offer, error) {
	host, port, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return offer{}, fmt.Errorf("address %q: want IP:port, or :port for this host's own address", a.Addr)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return offer{}, fmt.Errorf("address %q: want a port from 1 to 65535", a.Addr)
	}
	addr := own
	if host != "" {
		if addr, err = netip.ParseAddr(host); err != nil || addr.Zone() != "" {
			return offer{}, fmt.Errorf("address %q: want an IP address, since others must be able to check it; leave the host empty for this host's own", a.Addr)
		}
	}
	return offer{
		service: a.Service,
		addr:    netip.AddrPortFrom(addr.Unmap(), uint16(number)),
		weight:  max(a.Weight, 1),
		health:  a.Health,
		tags:    maps.Clone(a.Tags),
		facts:   maps.Clone(a.Facts),
	}, nil
}

// isName reports whether s can be shown and logged as it is.
func isName(s string) bool { return s != "" && isText(s, longestName) }

func isText(s string, longest int) bool {
	return len(s) <= longest && utf8.ValidString(s) &&
		strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
