package nginx

import (
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var timePart = regexp.MustCompile(`^(\d{1,12})(ms|[smhdwMy]?) *`)

// parseTime reads a time as nginx writes it: numbers with units, seconds without one.
func parseTime(text string) (time.Duration, bool) {
	units := map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
		"w": 7 * 24 * time.Hour, "M": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour,
	}
	const most = 10 * 365 * 24 * time.Hour
	var sum time.Duration
	if text == "" {
		return 0, false
	}
	for text != "" {
		m := timePart.FindStringSubmatch(text)
		if m == nil {
			return 0, false
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		unit := units[m[2]]
		if time.Duration(n) > most/unit {
			return 0, false
		}
		if sum += time.Duration(n) * unit; sum > most {
			return 0, false
		}
		text = text[len(m[0]):]
	}
	return sum, true
}

// duration returns the time a directive says, and whether it says one. mqedge has no use for none at all.
func (n *notes) duration(d *directive, name string, normal time.Duration) (time.Duration, *directive) {
	text, found := n.word(d, name)
	if found == nil || text == "" {
		return normal, nil
	}
	value, ok := parseTime(text)
	if !ok || value <= 0 {
		n.add(found, "%s is not a time that mqedge can take: nginx's default, %s, is written instead", shown(text), normal)
		return normal, nil
	}
	return value, found
}

// number reads a count of at most a million, which is more than any of them needs.
func number(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= 1_000_000 && !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "-")
}

// prefix reads an address or a range; nginx ignores the bits beyond the mask.
func prefix(text string) (netip.Prefix, bool) {
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

func everybody() []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
}

// filed returns the path of a file that nginx looks for beside its configuration. It has to hold wherever the result
// is saved, so it is absolute.
func (im *importer) filed(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(im.dir, name)
}
