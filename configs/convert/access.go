package convert

import (
	"net/netip"
	"slices"
)

// Rule lets addresses in, or keeps them out.
type Rule struct {
	Allow bool
	From  netip.Prefix
}

// Access turns rules of which the first that fits decides into mqedge's two lists, of which deny does; so what an earlier
// rule has let in is cut out of a later one that denies. Who is in no rule may connect if rest is true.
func Access(rules []Rule, rest bool) (allow, deny []netip.Prefix) {
	var allowed []netip.Prefix
	type denial struct {
		from  netip.Prefix
		after int // of allowed
	}
	var denials []denial
	for _, r := range rules {
		if r.Allow {
			allowed = append(allowed, r.From)
		} else {
			denials = append(denials, denial{r.From, len(allowed)})
		}
	}
	for _, d := range denials {
		if !rest && !slices.ContainsFunc(allowed[d.after:], d.from.Overlaps) {
			continue // nobody has let them in
		}
		for _, p := range without(d.from, allowed[:d.after]) {
			if !slices.Contains(deny, p) {
				deny = append(deny, p)
			}
		}
	}
	switch {
	case rest:
		return nil, deny
	case allowed == nil:
		return nil, Everybody() // an empty allow would be everybody
	}
	for _, p := range allowed {
		if !slices.Contains(allow, p) {
			allow = append(allow, p)
		}
	}
	return allow, deny
}

// without returns the parts of p that are in none of the others.
func without(p netip.Prefix, others []netip.Prefix) []netip.Prefix {
	inside := false
	for _, o := range others {
		if o.Overlaps(p) {
			if o.Bits() <= p.Bits() {
				return nil
			}
			inside = true
		}
	}
	if !inside {
		return []netip.Prefix{p}
	}
	low, high := halves(p)
	return append(without(low, others), without(high, others)...)
}

func halves(p netip.Prefix) (low, high netip.Prefix) {
	bits := p.Bits() + 1
	bytes := p.Addr().AsSlice()
	bytes[(bits-1)/8] |= 0x80 >> ((bits - 1) % 8)
	upper, _ := netip.AddrFromSlice(bytes)
	return netip.PrefixFrom(p.Addr(), bits), netip.PrefixFrom(upper, bits)
}
