package nginx

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs/convert"
)

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
		im.add(d, "%s is not an address with a port, or has more than 256 ports: left out", convert.Shown(d.args[0]))
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
	case "default_server", "default", "http2": // which calls come by anyway
	default:
		im.add(l.from, "%s: mqedge has nothing like it, the address is listened on without", convert.Shown(option))
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
		im.add(d, "so_keepalive=%s is not understood: left out", convert.Shown(value))
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
	} else if !convert.IsHost(host) {
		return nil
	}
	return convert.PortRange(host, ports)
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

// claim returns the addresses of listens of one kind that no listener has yet.
func (im *importer) claim(kind []listen) []string {
	var all []convert.Bind
	for _, l := range kind {
		other := ""
		if l.ssl {
			other = "; if the servers differ in their certificates only, add these to tls.certificates there: they are chosen by SNI"
		}
		for _, bind := range l.binds {
			all = append(all, convert.Bind{Address: bind, At: l.from.place(), Only6: l.only6, Else: other})
		}
	}
	return im.Claim(all)
}
