package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	rangeKey    = "net.ipv4.ip_local_port_range"
	reservedKey = "net.ipv4.ip_local_reserved_ports"
)

// wideRange is what is advised where ports run short. It leaves the ports below
// to servers.
func wideRange() span { return span{10240, 65535} }

// ports returns how many ports the kernel gives to connections from one address to one endpoint.
func (h *Host) ports(r span) int {
	return max(r.size()-parsePorts(h.Sysctls[reservedKey]).within(r), 0)
}

// sources is how many addresses connections to e come from.
func (u upstream) sources(e endpoint, h *Host) int {
	list := u.config.SourceAddresses
	to := e.addresses(h)
	if len(list) == 0 {
		return 1
	}
	n := 0
	for _, text := range list {
		a, err := netip.ParseAddr(text)
		if err == nil && (len(to) == 0 || a.Is4() == to[0].Is4()) {
			n++
		}
	}
	return n
}

// room returns how many connections there are source ports for to the upstream,
// with that range, and whether that is enough for what is to be expected.
func (u upstream) room(h *Host, r span) (n int, enough bool) {
	enough = true
	for _, e := range u.endpoints {
		each := u.sources(e, h) * h.ports(r)
		enough = enough && e.most <= each
		if !e.backup {
			n += each
		}
	}
	return n, enough && u.most <= n
}

// rangeOf returns the range of source ports and the one that would do: the same
// or a wider one.
func rangeOf(s subject) (now, better span, ok bool) {
	now, ok = parseRange(s.host.Sysctls[rangeKey])
	better = now
	for _, u := range s.needs.upstreams {
		if _, enough := u.room(s.host, now); !enough && wideRange().size() > now.size() {
			better = wideRange()
		}
	}
	return now, better, ok
}

// sourcePorts looks whether each upstream has as many as it is to have connections.
func sourcePorts(s subject) []Finding {
	now, better, ok := rangeOf(s)
	if !ok {
		return nil
	}
	var out []Finding
	for _, u := range s.needs.upstreams {
		if len(u.endpoints) == 0 || len(u.protocols) == 0 {
			continue
		}
		room, enough := u.room(s.host, now)
		each := u.sources(u.endpoints[0], s.host) * s.host.ports(now)
		if enough {
			if u.most == 0 {
				out = append(out, Finding{Severity: Note, What: fmt.Sprintf("upstream %s: %s connections at most, %s to each endpoint, by source ports",
					u.name, grouped(room), grouped(each))})
			}
		} else {
			out = append(out, u.short(s.host, now, better))
		}
		if f, found := waiting(u, s.host, room); found {
			out = append(out, f)
		}
	}
	return out
}

// short is the finding that an upstream runs out of ports before it has all its connections.
func (u upstream) short(h *Host, now, better span) Finding {
	room, _ := u.room(h, now)
	f := Finding{
		Severity: Warning,
		What:     fmt.Sprintf("upstream %s runs out of source ports", u.name),
		Why:      fmt.Sprintf("Connections to one endpoint need a source port each, and of each source address there are %s (%s, %s). ", grouped(h.ports(now)), rangeKey, now),
	}
	if u.most > room {
		f.Why += fmt.Sprintf("That is room for %s connections, and the configuration lets in %s. ", grouped(room), grouped(u.most))
	}
	for _, e := range u.endpoints {
		if each := u.sources(e, h) * h.ports(now); e.most > each {
			f.Details = append(f.Details, fmt.Sprintf("%s: %s has max_connections %s, and ports for %s", e.key, e.address, grouped(e.most), grouped(each)))
		}
	}
	if better != now {
		f.Sysctls = []Setting{{rangeKey, fmt.Sprintf("%d %d", better.low, better.high)}}
		if room, enough := u.room(h, better); !enough {
			f.Why += fmt.Sprintf("A wider range is room for %s; for more, ", grouped(room))
		} else {
			return f
		}
	}
	f.Why += fmt.Sprintf("name more addresses of this host in upstreams.%s.source_addresses, or give EMQX a second listener on another port.", u.name)
	f.Why = strings.Replace(f.Why, ". name", ". Name", 1)
	return f
}

// timeWait is how long a closed connection keeps its port, in seconds.
const timeWait = 60

// waiting looks at ports that closed connections keep.
func waiting(u upstream, h *Host, room int) (Finding, bool) {
	reuse, ok := h.number("net.ipv4.tcp_tw_reuse")
	loopbackOnly := reuse == 2
	elsewhere := slices.ContainsFunc(u.endpoints, func(e endpoint) bool {
		return slices.ContainsFunc(e.addresses(h), func(a netip.Addr) bool { return !a.IsLoopback() })
	})
	if !ok || reuse == 1 || loopbackOnly && !elsewhere || room == 0 {
		return Finding{}, false
	}
	kept := h.TimeWait
	why := fmt.Sprintf("%s closed connections keep one now", grouped(kept))
	if n := u.rate * timeWait; n > kept {
		kept, why = n, fmt.Sprintf("At %s new connections a second, %s closed ones may keep theirs", grouped(u.rate), grouped(n))
	}
	if kept <= room/2 {
		return Finding{}, false
	}
	return Finding{
		Severity: Warning, What: fmt.Sprintf("upstream %s: closed connections may use up the source ports", u.name),
		Why:     fmt.Sprintf("A closed connection keeps its source port for a minute. %s, of %s. With tcp_tw_reuse the kernel uses them again after a second.", why, grouped(room)),
		Sysctls: []Setting{{"net.ipv4.tcp_tw_reuse", "1"}},
	}, true
}
