package convert

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var (
	dotsOnly = regexp.MustCompile(`^[0-9.]+$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)
)

// Address reads host:port.
func Address(text string) (string, bool) {
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return "", false
	}
	port, ok := Number(portText)
	if !ok || port < 1 || port > 65535 {
		return "", false
	}
	if strings.HasPrefix(text, "[") {
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", false
		}
	} else if !IsHost(host) {
		return "", false
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), true
}

// IsHost says whether a text is a name or an IPv4 address.
func IsHost(host string) bool {
	if dotsOnly.MatchString(host) {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Is4()
	}
	return len(host) <= 253 && hostName.MatchString(host)
}

// Count reads a number of connections, of which configurations name more than there can be.
func Count(text string) (int, bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int(n), err == nil && n >= 0 && !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "-")
}

// Number reads a count of at most a million, which is more than any of them needs.
func Number(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= 1_000_000 && !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "-")
}

// Prefix reads an address or a range; the bits beyond the mask are ignored.
func Prefix(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// SourceAddress reads an address that connections to endpoints can come from.
func SourceAddress(text string) (string, bool) {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" || ip.Unmap().Is6() && ip.IsLinkLocalUnicast() {
		return "", false
	}
	return ip.Unmap().String(), true
}

// Everybody is every address there is.
func Everybody() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// Control says whether a character cannot stand in a file of mqedge.
func Control(c rune) bool {
	return c < ' ' || c >= 0x7f && c <= 0x9f || c == 0xfeff || c == 0xfffe || c == 0xffff
}
