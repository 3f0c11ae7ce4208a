package gossip

import (
	"net/netip"
	"strings"
)

// Why something that others said was refused. These are the values of [Stats].Refused, and few, so that they can be
// labels of a metric.
const (
	refusedAddress   = "address"   // outside of allow, or one that no endpoint and no member can have
	refusedLoopback  = "loopback"  // a loopback address announced from another host
	refusedMalformed = "malformed" // not understood
	refusedTooMany   = "too_many"  // beyond what is kept
	refusedClock     = "clock"     // said by a clock that is far ahead
	refusedKey       = "key"       // not encrypted with one of our keys
	refusedLabel     = "label"     // of another cluster
	refusedProtocol  = "protocol"  // another product or version
	refusedPlain     = "plain"     // a secret that came in the clear
)

// allowList says which addresses members and endpoints may have.
type allowList []netip.Prefix

// special are the addresses that are refused unless a prefix within their range is in the list: nothing serves devices there,
// and connecting to them may do harm, as with the metadata services of clouds.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("240.0.0.0/4"), // with the broadcast address
	netip.MustParsePrefix("fe80::/10"),
	netip.MustParsePrefix("fd00:ec2::/32"), // metadata of AWS
	netip.MustParsePrefix("100.100.100.200/32"),
}

var (
	loopback4 = netip.MustParsePrefix("127.0.0.0/8")
	loopback6 = netip.MustParsePrefix("::1/128")
)

// member returns why a node may not have this address, or "".
func (l allowList) member(ip netip.Addr) string {
	ip = ip.Unmap()
	if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" || !l.contains(ip) {
		return refusedAddress
	}
	for _, s := range special {
		if s.Contains(ip) && !l.names(ip, s) {
			return refusedAddress
		}
	}
	return ""
}

// endpoint returns why an endpoint may not have this address, or "". Same says whether the announcer is on this host, or on a
// network of loopback addresses, where loopback is as good as any.
func (l allowList) endpoint(addr netip.AddrPort, same bool) string {
	if addr.Port() == 0 {
		return refusedAddress
	}
	ip := addr.Addr().Unmap()
	if reason := l.member(ip); reason != "" {
		return reason
	}
	if ip.IsLoopback() && !same && !l.names(ip, loopback4) && !l.names(ip, loopback6) {
		return refusedLoopback
	}
	return ""
}

func (l allowList) contains(ip netip.Addr) bool {
	if len(l) == 0 {
		return true
	}
	for _, p := range l {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// names reports whether the list has a prefix within the range that contains ip: 0.0.0.0/0 does not mean 127.0.0.1.
func (l allowList) names(ip netip.Addr, within netip.Prefix) bool {
	for _, p := range l {
		if p.Contains(ip) && within.Contains(p.Addr()) && p.Bits() >= within.Bits() {
			return true
		}
	}
	return false
}

func (l allowList) String() string {
	if len(l) == 0 {
		return "all"
	}
	var parts []string
	for _, p := range l {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ", ")
}
