package haproxy

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

const mostWeight = 65535

// server is a server line with what default-server says.
type server struct {
	from     *line
	endpoint configs.Endpoint
	disabled bool

	proxy     string // off, v1 or v2
	ssl       bool
	verify    string
	caFile    string
	cert      string
	name      string // in its certificate
	check     bool
	checkPort int
	inter     time.Duration
	rise      int
	fall      int
	observe   bool
	errors    int
	source    string
	resolvers string
	timeout   time.Duration // tcp-ut
}

// plainServer is one that nothing is written about, with HAProxy's defaults.
func plainServer() server {
	return server{endpoint: configs.DefaultEndpoint(), proxy: "off", inter: 2 * time.Second, rise: 2, fall: 3, errors: 10}
}

// servers reads those of a backend. The address of one without a port has that of the listener.
func (im *importer) servers(b *section, port int) []server {
	normal := plainServer()
	for _, l := range inForce(b) {
		im.options(&normal, l, l.words[1:])
	}
	var all []server
	for _, l := range b.own("server") {
		s := normal
		s.from = l
		var ok bool
		if s.endpoint.Address, ok = serverAddress(l.arg(2), port); !ok || l.arg(1) == "" {
			im.note(l, "%s is not an address of TCP with a port: left out", convert.Shown(l.arg(2)))
			continue
		}
		im.options(&s, l, l.words[min(3, len(l.words)):])
		if s.disabled {
			im.note(l, "disabled: left out; add it to endpoints once it is back (`mqedge drain` takes one out while running)")
			continue
		}
		if s.endpoint.Weight == 0 {
			im.note(l, "weight 0 takes no new connections: left out; `mqedge drain` does that while running")
			continue
		}
		if i := slices.IndexFunc(all, func(o server) bool {
			return convert.SameAddress(o.endpoint.Address) == convert.SameAddress(s.endpoint.Address)
		}); i >= 0 {
			im.note(l, "%s is there already in line %d: its weight is added to that one", s.endpoint.Address, all[i].from.at.Line)
			all[i].endpoint.Weight = min(all[i].endpoint.Weight+s.endpoint.Weight, mostWeight)
			continue
		}
		all = append(all, s)
	}
	return all
}

// inForce are the lines of default-server, the farthest first.
func inForce(b *section) []*line {
	if b == nil {
		return nil
	}
	return append(inForce(b.defaults), b.own("default-server")...)
}

// serverAddress reads host:port. Without a port, or with +0, it is that of the listener, if it has one only.
func serverAddress(text string, port int) (string, bool) {
	for _, family := range []string{"ipv4@", "ipv6@", "tcp@", "tcp4@", "tcp6@"} {
		text = strings.TrimPrefix(text, family)
	}
	if address, ok := convert.Address(text); ok {
		return address, true
	}
	if ip, err := netip.ParseAddr(text); err == nil && ip.Is6() && ip.Zone() == "" && port > 0 && strings.Count(text, ":") == 7 {
		return net.JoinHostPort(text, strconv.Itoa(port)), true
	}
	if i := strings.LastIndexByte(text, ':'); i > 0 && strings.Count(text, ":") > 1 && !strings.HasPrefix(text, "[") {
		return convert.Address("[" + text[:i] + "]" + text[i:]) // ::1:1883, as HAProxy takes it
	}
	if port > 0 {
		return convert.Address(net.JoinHostPort(strings.TrimSuffix(text, ":"), strconv.Itoa(port)))
	}
	return "", false
}

// options reads the words behind the address of a server, or those of default-server.
func (im *importer) options(s *server, l *line, words []string) {
	for i := 0; i < len(words); i++ {
		word, value := words[i], ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		if im.flag(s, l, word) {
			continue
		}
		i++ // all others have a value
		n, isNumber := convert.Number(value)
		t, isTime := parseTime(value)
		wrong := func(ok bool) bool {
			if !ok {
				im.note(l, "%s is not understood: left out", convert.Shown(word+" "+value))
			}
			return !ok
		}
		switch word {
		case "maxconn":
			if n, ok := convert.Count(value); !wrong(ok) {
				s.endpoint.MaxConnections = n
			}
		case "weight", "port", "rise", "fall", "error-limit":
			if wrong(isNumber) {
				continue
			}
			*map[string]*int{"weight": &s.endpoint.Weight, "port": &s.checkPort,
				"rise": &s.rise, "fall": &s.fall, "error-limit": &s.errors}[word] = min(n, mostWeight)
		case "inter":
			if !wrong(isTime) {
				s.inter = t
			}
		case "tcp-ut":
			if !wrong(isTime) {
				s.timeout = t
			}
		case "verify":
			s.verify = value
		case "verifyhost":
			s.name = value
		case "sni":
			im.sni(s, l, value)
		case "ca-file":
			s.caFile = im.caFile(l, value)
		case "crt":
			s.cert = im.pem(value, "crt-base")
		case "observe":
			s.observe = value == "layer4" || value == "layer7"
		case "resolvers":
			s.resolvers = value
		case "source":
			if s.source = im.source(l, value); i+1 < len(words) && (words[i+1] == "usesrc" || words[i+1] == "interface") {
				im.note(l, "%s: mqedge does not take on its clients' addresses: send_proxy tells the endpoint who they are", words[i+1])
				i += 2
			}
		case "slowstart":
			im.note(l, "slowstart %s: mqedge has a rate instead, such as slow_start: {connects_per_second: 50, for: 30s} of the upstream", convert.Shown(value))
		case "on-marked-down":
			im.note(l, "%s: clients of an endpoint that is down stay until their connections end, which tcp.user_timeout sees to; `mqedge drain` moves them", convert.Shown(value))
		case "proxy-v2-options":
			if strings.Contains(value, "unique-id") || strings.Contains(value, "crc32c") {
				im.note(l, "%s: send_proxy v2 carries TLS, the name asked for and a verified common name by itself, and neither unique-id nor crc32c", convert.Shown(value))
			}
		case "minconn", "maxqueue":
			im.note(l, "%s: connections do not wait for an endpoint: at max_connections another is taken", word)
		case "track", "agent-port", "agent-inter", "agent-addr", "agent-send", "addr":
			im.note(l, "%s: mqedge asks each endpoint itself: left out, see health.active", word)
		case "fastinter", "downinter":
			im.note(l, "%s: mqedge has one interval for all checks, inter: left out", word)
		case "on-error", "on-marked-up":
			im.note(l, "%s: mqedge has nothing like it, what fails of connections is for health.passive: left out", convert.Shown(word+" "+value))
		case "resolve-prefer", "resolve-net":
			im.note(l, "%s: mqedge connects to whichever address of a name works: left out", convert.Shown(word+" "+value))
		case "init-addr", "resolve-opts", "cookie", "id", "alpn", "proto", "check-proto", "check-alpn", "check-sni",
			"pool-max-conn", "pool-purge-delay", "pool-low-conn", "max-reuse", "log-proto", "guid", "ws", "hash-key", "pool-conn-name":
		case "ssl-min-ver", "ssl-max-ver", "ciphers", "ciphersuites", "curves", "crl-file", "npn", "sigalgs":
			im.note(l, "%s: left out, Go's secure defaults hold towards endpoints", word)
		default:
			if strings.HasPrefix(word, "set-proxy-v2-tlv-fmt(") {
				im.note(l, "%s: send_proxy v2 carries TLS, the name asked for and a verified common name, and nothing else: left out", convert.Shown(word))
				continue
			}
			i-- // nobody knows whether it has one
			im.note(l, "%s: mqedge has nothing like it, the endpoint is used without", convert.Shown(word))
		}
	}
}

// flag reads a word that has no value, and says whether it is one.
func (im *importer) flag(s *server, l *line, word string) bool {
	switch word {
	case "check":
		s.check = true
	case "no-check":
		s.check = false
	case "backup":
		s.endpoint.Backup = true
	case "no-backup":
		s.endpoint.Backup = false
	case "disabled":
		s.disabled = true
	case "enabled":
		s.disabled = false
	case "ssl":
		s.ssl = true
	case "no-ssl":
		s.ssl = false
	case "send-proxy":
		s.proxy = "v1"
	case "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn":
		s.proxy = "v2"
	case "no-send-proxy", "no-send-proxy-v2", "no-send-proxy-v2-ssl", "no-send-proxy-v2-ssl-cn":
		s.proxy = "off"
	case "check-send-proxy", "no-check-send-proxy", "check-ssl", "no-check-ssl", "stick", "non-stick", "no-tls-tickets", "tls-tickets", "no-ssl-reuse", "ssl-reuse",
		"no-verifyhost", "no-sslv3", "no-tlsv10", "no-tlsv11", "tfo", "no-tfo", "allow-0rtt", "idle-ping", "check-reuse-pool":
	case "agent-check":
		im.note(l, "agent-check: mqedge asks the endpoints themselves: left out, see health.active")
	case "force-sslv3", "force-tlsv10", "force-tlsv11", "force-tlsv12", "force-tlsv13", "no-tlsv12", "no-tlsv13":
		im.note(l, "%s: left out, Go's secure defaults hold towards endpoints", word)
	default:
		return false
	}
	return true
}

func (im *importer) sni(s *server, l *line, expression string) {
	name, ok := strings.CutPrefix(expression, "str(")
	if name = strings.TrimSuffix(name, ")"); ok && convert.IsHost(name) {
		s.name = name
		return
	}
	im.note(l, "sni %s: mqedge sends one name to an endpoint: write tls.server_name if that is not the host of the address", convert.Shown(expression))
}

// source reads an address to come from; a port in it is not kept.
func (im *importer) source(l *line, text string) string {
	host := text
	if h, _, err := net.SplitHostPort(text); err == nil {
		host = h
	}
	address, ok := convert.SourceAddress(host)
	if !ok && host != "0.0.0.0" && host != "*" {
		im.note(l, "source %s is not an address to come from: left out, the kernel chooses", convert.Shown(text))
	}
	return address
}
