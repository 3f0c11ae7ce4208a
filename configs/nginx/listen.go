package nginx

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// mostPorts bounds a range of ports, each of which is an address in the result.
const mostPorts = 256

// listen is a listen directive. Those of one server that differ in more than the address become several listeners.
type listen struct {
	ssl, proxy bool
	keepalive  time.Duration // 0: none

	from  *directive
	binds []string
	only6 bool // [::] that takes no IPv4
}

// listens reads those of a server.
func (im *importer) listens(server *directive) []listen {
	var all []listen
	for _, d := range server.all("listen") {
		if l, ok := im.listen(d); ok {
			all = append(all, l)
		}
	}
	return all
}

func (im *importer) listen(d *directive) (l listen, ok bool) {
	if len(d.args) == 0 {
		im.add(d, "has no address: left out")
		return listen{}, false
	}
	l.from = d
	if strings.HasPrefix(d.args[0], "unix:") {
		im.add(d, "mqedge does not listen on unix sockets: left out")
		return listen{}, false
	}
	if slices.Contains(d.args[1:], "udp") || slices.Contains(d.args[1:], "quic") {
		im.add(d, "mqedge has neither UDP nor QUIC: left out, keep nginx for it")
		return listen{}, false
	}
	l.binds = binds(d.args[0])
	if l.binds == nil {
		im.add(d, "%s is not an address with a port, or has more than %d ports: left out", shown(d.args[0]), mostPorts)
		return listen{}, false
	}
	l.only6 = strings.HasPrefix(l.binds[0], "[::]:")
	for _, option := range d.args[1:] {
		im.listenOption(&l, option)
	}
	return l, true
}

func (im *importer) listenOption(l *listen, option string) {
	key, value, _ := strings.Cut(option, "=")
	switch key {
	case "ssl":
		l.ssl = true
	case "proxy_protocol":
		l.proxy = true
	case "ipv6only":
		l.only6 = l.only6 && value != "off"
	case "so_keepalive":
		l.keepalive = im.soKeepalive(l.from, value)
	case "reuseport", "backlog", "bind", "deferred":
		// One process accepts on its own, with the largest backlog there is, and waits for bytes by itself.
	case "default_server", "default":
	default:
		im.add(l.from, "%s: mqedge has nothing like it, the address is listened on without", shown(option))
	}
}

// soKeepalive reads on, off, or IDLE:INTERVAL:COUNT, any of which may be missing.
func (im *importer) soKeepalive(d *directive, value string) time.Duration {
	const ofLinux = 2 * time.Hour
	idle, rest, parts := strings.Cut(value, ":")
	switch {
	case value == "on" || parts && idle == "":
		return ofLinux
	case value == "off":
		return 0
	}
	t, ok := parseTime(idle)
	if !parts || !ok || t < time.Second {
		im.add(d, "so_keepalive=%s is not understood: left out", shown(value))
		return 0
	}
	if strings.Trim(rest, ":") != "" {
		im.add(d, "so_keepalive: the time is kept; interval and count of the probes follow from tcp.user_timeout")
	}
	return min(t, 9*time.Hour)
}

// binds returns the addresses that a listen means, as mqedge writes them, or nil.
func binds(text string) []string {
	host, ports := "0.0.0.0", text
	if colon := strings.LastIndexByte(text, ':'); colon >= 0 {
		host, ports = text[:colon], text[colon+1:]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host, ok = strings.CutSuffix(inner, "]")
		if ip, err := netip.ParseAddr(host); !ok || err != nil || !ip.Is6() || ip.Zone() != "" {
			return nil
		}
	} else if host == "*" {
		host = "0.0.0.0"
	} else if !isHost(host) {
		return nil
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	from, ok1 := number(first)
	to, ok2 := number(last)
	if !ok1 || !ok2 || from < 1 || to > 65535 || from > to || to-from >= mostPorts {
		return nil
	}
	var all []string
	for port := from; port <= to; port++ {
		all = append(all, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return all
}

// sameKind returns the first of the listens with all that differ from it in the address only, and the others.
func sameKind(all []listen) (same, others []listen) {
	for _, l := range all {
		if first := all[0]; l.ssl == first.ssl && l.proxy == first.proxy && l.keepalive == first.keepalive {
			same = append(same, l)
		} else {
			others = append(others, l)
		}
	}
	return same, others
}

// claim returns the addresses of listens of one kind that no listener has yet. [::] is IPv4 and IPv6 in mqedge.
func (im *importer) claim(kind []listen) []string {
	type claimed struct {
		listen
		bind, host, port string
	}
	both := map[string]bool{}
	var claims []claimed
	for _, l := range kind {
		for _, bind := range l.binds {
			host, port, _ := net.SplitHostPort(bind)
			claims = append(claims, claimed{l, bind, host, port})
			both[bind] = true
		}
	}
	// What takes in others goes first, so that only these are left out.
	slices.SortStableFunc(claims, func(a, b claimed) int { return cmp.Compare(breadth(b.host), breadth(a.host)) })
	var mine []string
	for _, l := range claims {
		bind, host, port := l.bind, l.host, l.port
		if host == "0.0.0.0" && both["[::]:"+port] {
			continue // the other is both
		}
		taken, at := im.conflict(bind)
		switch {
		case taken == nil:
			im.taken[bind] = l.from
			mine = append(mine, bind)
			if host == "::" && l.only6 && !both["0.0.0.0:"+port] {
				im.add(l.from, "%s takes IPv4 as well in mqedge: write the host's own IPv6 address if that must not be", bind)
			}
		case slices.Contains(mine, at):
			if at != bind {
				im.add(l.from, "%s is part of %s in mqedge, which is written for both", bind, at)
			}
		default:
			im.add(l.from, "%s is taken by %s of %v, mqedge has one listener for an address: left out%s", bind, at, taken, bySNI(l.listen))
		}
	}
	return mine
}

// breadth is greater for a host that takes in others.
func breadth(host string) int {
	switch host {
	case "::":
		return 2
	case "0.0.0.0":
		return 1
	}
	return 0
}

func bySNI(l listen) string {
	if l.ssl {
		return "; if the servers differ in their certificates only, add these to tls.certificates there: they are chosen by SNI"
	}
	return ""
}

// conflict returns who listens where bind would be refused, and the address that is in its way.
func (im *importer) conflict(bind string) (*directive, string) {
	var found string
	for at := range im.taken {
		if (covers(at, bind) || covers(bind, at)) && (found == "" || at < found) {
			found = at
		}
	}
	return im.taken[found], found
}

// covers says whether a listener on a leaves no room for one on b.
func covers(a, b string) bool {
	aHost, aPort, _ := net.SplitHostPort(a)
	bHost, bPort, _ := net.SplitHostPort(b)
	switch {
	case aPort != bPort:
		return false
	case aHost == "::":
		return true
	case aHost == "0.0.0.0":
		return !strings.Contains(bHost, ":")
	}
	return sameHost(aHost) == sameHost(bHost)
}

// sameHost is one spelling of a host.
func sameHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	if host = strings.ToLower(host); host == "localhost" {
		return "127.0.0.1"
	}
	return host
}

// portsOf returns the ports of addresses, as numbers.
func portsOf(addresses []string) []int {
	var ports []int
	for _, a := range addresses {
		_, text, _ := net.SplitHostPort(a)
		port, _ := strconv.Atoi(text)
		ports = append(ports, port)
	}
	return ports
}
