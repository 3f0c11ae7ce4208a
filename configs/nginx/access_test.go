package nginx

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestWhoMayConnectIsAsInNginx compares allow and deny with nginx's rule, the first that fits, for addresses near
// those that random rules name.
func TestWhoMayConnectIsAsInNginx(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		type rule struct {
			allow bool
			from  netip.Prefix
		}
		var rules []rule
		var text strings.Builder
		for range r.IntN(6) {
			addr := netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(8))})
			p := netip.PrefixFrom(addr, 20+r.IntN(13)).Masked()
			rules = append(rules, rule{r.IntN(2) == 0, p})
			fmt.Fprintf(&text, "%s %s; ", map[bool]string{true: "allow", false: "deny"}[rules[len(rules)-1].allow], p)
		}
		rest := true
		switch r.IntN(3) {
		case 0:
			text.WriteString("deny all;")
			rest = false
		case 1:
			text.WriteString("allow all;")
		}
		result, err := importText(t, "stream { server { listen 1883; proxy_pass a:1883; "+text.String()+"} }", Options{})
		must(t, err)
		l := result.Config.Listeners["mqtt"]
		for _, addr := range []netip.Addr{
			netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(2)), byte(r.IntN(9))}), netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(9))}),
			netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"),
		} {
			want := rest
			if i := slices.IndexFunc(rules, func(r rule) bool { return r.from.Contains(addr) }); i >= 0 {
				want = rules[i].allow
			}
			in := func(list []netip.Prefix) bool {
				return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(addr) })
			}
			if got := !in(l.Deny) && (len(l.Allow) == 0 || in(l.Allow)); got != want {
				t.Errorf("%v with %s: %v, with nginx it is %v; allow %v, deny %v", addr, text.String(), got, want, l.Allow, l.Deny)
			}
		}
	}
}
