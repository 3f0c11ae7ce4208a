package nginx

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/configs/convert"
)

// rules turns allow and deny into what they amount to.
func (im *importer) rules(s *directive) (allow, deny []netip.Prefix) {
	rest := true // who is in no rule may connect
	var rules []convert.Rule
	for _, d := range im.ruleList(s) {
		if len(d.args) == 1 && d.args[0] == "all" {
			rest = d.name == "allow"
			break
		}
		p, ok := netip.Prefix{}, false
		if len(d.args) == 1 {
			p, ok = convert.Prefix(d.args[0])
		}
		switch {
		case !ok && strings.Join(d.args, "") == "unix:":
			im.add(d, "mqedge does not listen on unix sockets: left out")
		case !ok:
			im.add(d, "is not an address or a range: left out")
		default:
			rules = append(rules, convert.Rule{Allow: d.name == "allow", From: p})
		}
	}
	return convert.Access(rules, rest)
}

// ruleList returns the rules in force in their order: those of a server replace those around it.
func (im *importer) ruleList(s *directive) []*directive {
	for at := s; at != nil && at.parent != nil; at = at.parent {
		var list []*directive
		for _, d := range at.block {
			if d.name == "allow" || d.name == "deny" {
				d.used = true
				list = append(list, d)
			}
		}
		if list != nil {
			return list
		}
	}
	return nil
}

// perIP returns the least limit of connections from one address.
func (im *importer) perIP(s *directive) int {
	limit := 0
	for _, d := range s.inherited("limit_conn") {
		if len(d.args) != 2 {
			im.add(d, "is not understood, a zone and a number are expected: left out")
			continue
		}
		n, ok := convert.Count(d.args[1])
		key := im.zoneKey(s, d.args[0])
		switch {
		case !ok || n == 0:
			im.add(d, "%s is not a limit: left out", convert.Shown(d.args[1]))
		case key == "":
			im.add(d, "there is no limit_conn_zone of the name %s: left out", convert.Shown(d.args[0]))
		case !slices.Contains([]string{"binary_remote_addr", "remote_addr", "proxy_protocol_addr"}, variable(key)):
			im.add(d, "mqedge does not count by %s: left out; max_connections limits a listener, max_connections_per_ip an address", convert.Shown(key))
		case im.on(s, "limit_conn_dry_run", false):
			im.add(d, "is a dry run: left out")
		case limit == 0 || n < limit:
			limit = n
		}
	}
	return limit
}

// zoneKey returns what a zone counts by, or "".
func (im *importer) zoneKey(s *directive, name string) string {
	for _, zone := range s.inherited("limit_conn_zone") {
		if len(zone.args) == 2 {
			if z, _, _ := strings.Cut(strings.TrimPrefix(zone.args[1], "zone="), ":"); z == name {
				return zone.args[0]
			}
		}
	}
	return ""
}
