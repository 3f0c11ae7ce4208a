package haproxy

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// bind is a bind line. Those of one frontend that differ in more than the address become several listeners.
type bind struct {
	like  bindLike
	tls   []string // its words, if it ends TLS
	from  *line
	binds []string
	only6 bool
}

// bindLike is what listeners differ in.
type bindLike struct {
	ssl            string // all words about TLS
	proxy          bool
	maxConnections int
	userTimeout    time.Duration
}

// binds reads the bind lines of a frontend, and the address of a listen's head.
func (im *importer) binds(f *section) []bind {
	var all []bind
	for _, l := range f.own("bind") {
		if b, ok := im.bind(l); ok {
			all = append(all, b)
		}
	}
	return all
}

func (im *importer) bind(l *line) (b bind, ok bool) {
	if len(l.words) < 2 {
		im.note(l, "has no address: left out")
		return bind{}, false
	}
	b.from = l
	b.options(im, l.words[2:])
	for text := range strings.SplitSeq(l.words[1], ",") {
		switch addresses, why := bindAddresses(text, slices.Contains(l.words[2:], "v4v6")); {
		case why != "":
			im.note(l, "%s: %s", convert.Shown(text), why)
		default:
			b.binds = append(b.binds, addresses...)
		}
	}
	return b, b.binds != nil
}

// bindAddresses returns the addresses that one of HAProxy's means, or why there is none.
func bindAddresses(text string, both bool) (addresses []string, why string) {
	for _, family := range []string{"unix@", "abns@", "abnsz@", "fd@", "sockpair@", "udp@", "udp4@", "udp6@", "quic4@", "quic6@", "rhttp@", "rev@"} {
		if strings.HasPrefix(text, family) {
			return nil, "mqedge listens on TCP only: left out"
		}
	}
	if strings.HasPrefix(text, "/") {
		return nil, "mqedge does not listen on unix sockets: left out"
	}
	six := strings.HasPrefix(text, "ipv6@")
	text = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(text, "ipv4@"), "ipv6@"), "tcp4@"), "tcp6@")
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return nil, "is not an address with a port: left out"
	}
	host, ports := strings.Trim(text[:colon], "[]"), text[colon+1:]
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || host == "*":
		host = "0.0.0.0"
		if six {
			host = "::"
		}
	case err == nil && ip.Zone() == "":
	case !convert.IsHost(host):
		return nil, "is not an address with a port: left out"
	}
	if host == "0.0.0.0" && both {
		host = "::" // IPv4 and IPv6
	}
	if addresses = convert.PortRange(host, ports); addresses == nil {
		return nil, "is not an address with a port, or has more than 256 ports: left out"
	}
	return addresses, ""
}

// withValue are words of a bind about TLS that have a value.
func withValue() []string {
	return []string{
		"crt", "crt-list", "ca-file", "ca-verify-file", "ca-sign-file", "ca-sign-pass", "verify", "crl-file", "alpn", "npn", "ssl-min-ver", "ssl-max-ver",
		"ciphers", "ciphersuites", "curves", "ecdhe", "tls-ticket-keys", "sigalgs", "client-sigalgs", "ca-ignore-err", "crt-ignore-err", "ocsp-update", "ech",
	}
}

func (b *bind) options(im *importer, words []string) {
	for i := 0; i < len(words); i++ {
		word, value := words[i], ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		switch {
		case slices.Contains(withValue(), word):
			b.tls = append(b.tls, word, value)
			i++
		case word == "ssl" || strings.HasPrefix(word, "no-") || strings.HasPrefix(word, "force-") || word == "strict-sni" || word == "allow-0rtt" ||
			word == "prefer-client-ciphers" || word == "generate-certificates":
			b.tls = append(b.tls, word, "")
		case word == "accept-proxy":
			b.like.proxy = true
		case word == "maxconn":
			n, ok := convert.Count(value)
			if !ok {
				im.note(b.from, "%s is not understood: left out", convert.Shown(word+" "+value))
			}
			b.like.maxConnections = n
			i++
		case word == "tcp-ut":
			b.like.userTimeout, _ = parseTime(value)
			i++
		case word == "v6only":
			b.only6 = true
		case word == "v4v6" || word == "defer-accept" || word == "tfo" || word == "quic-force-retry":
		case slices.Contains([]string{"backlog", "name", "nice", "id", "process", "thread", "shards", "user", "group", "mode", "uid", "gid", "level", "proto", "severity-output", "guid-prefix"}, word):
			i++
		case word == "interface" || word == "namespace" || word == "mss" || word == "label" || word == "tcp-md5sig" || word == "cc":
			im.note(b.from, "%s: mqedge has nothing like it, the address is listened on without", convert.Shown(word+" "+value))
			i++
		default:
			im.note(b.from, "%s: mqedge has nothing like it, the address is listened on without", convert.Shown(word))
		}
	}
	if !slices.Contains(b.tls, "ssl") {
		b.tls = nil
	}
	b.like.ssl = strings.Join(b.tls, " ")
}

// sameKind returns the first of the binds with all that differ from it in the address only, and the others.
func sameKind(all []bind) (same, others []bind) {
	for _, b := range all {
		if b.like == all[0].like {
			same = append(same, b)
		} else {
			others = append(others, b)
		}
	}
	return same, others
}

// listener makes one of binds of a kind.
func (im *importer) listener(f, b *section, kind []bind, calls callKind, port int) {
	l, first := configs.DefaultListener(), kind[0]
	comments := map[string]string{"": im.Origin(first.from.place())}
	if first.tls != nil {
		tls, why := im.tls(first, comments)
		if tls == nil {
			im.note(first.from, "left out, as %s", why)
			return
		}
		l.TLS = tls
	}
	var claims []convert.Bind
	for _, k := range kind {
		for _, address := range k.binds {
			claims = append(claims, convert.Bind{Address: address, At: k.from.place(), Only6: k.only6 || !slices.Contains(k.from.words, "v4v6")})
		}
	}
	if l.Bind = im.Claim(claims); l.Bind == nil {
		return
	}
	l.MaxConnections = im.number(f.last("maxconn"))
	if first.like.maxConnections > 0 {
		l.MaxConnections = first.like.maxConnections
	}
	im.protocolOf(f, b, &l, calls, comments)
	im.from(f, first, &l, comments)
	im.listenerTimes(f, b, first, &l, comments)
	im.rate(f, &l)
	l.Upstream = im.use(b, &l, calls, port)
	im.AddListener(&l, comments)
}

// number reads the argument of a line that is a count; 0 if there is none.
func (im *importer) number(l *line) int {
	if l == nil {
		return 0
	}
	n, ok := convert.Count(l.arg(1))
	if !ok {
		n = 0
		im.note(l, "%s is not a number that mqedge can take: left out", convert.Shown(l.arg(1)))
	}
	return n
}

// stream is what is known of the bytes of a frontend.
func (im *importer) stream(f, b *section, l *configs.Listener) convert.Stream {
	var addresses, names []string
	secure := false
	for _, s := range b.own("server") {
		if address, ok := serverAddress(s.arg(2), 0); ok {
			addresses, names = append(addresses, address), append(names, address[:strings.LastIndexByte(address, ':')])
		}
		secure = secure || slices.Contains(s.words, "ssl")
	}
	for _, d := range b.under("default-server") {
		secure = secure || slices.Contains(d.words, "ssl")
	}
	said := im.protocol
	st := convert.Stream{Said: said, Behind: convert.Ports(addresses), Names: append(names, b.name, f.name), TLSBehind: secure}
	for _, s := range []*section{f, b} {
		st.Passed = st.Passed || s.mentions("req.ssl_") || s.mentions("req_ssl_") || s.mentions("ssl_hello")
		st.MQTT = st.MQTT || s.mentions("mqtt_is_valid") || s.mentions("mqtt_field_value")
	}
	if l != nil {
		st.TLS, st.Front = l.TLS != nil, convert.Ports(l.Bind)
		return st
	}
	for _, line := range f.own("bind") {
		addresses, _ := bindAddresses(line.arg(1), false)
		st.Front, st.TLS = append(st.Front, convert.Ports(addresses)...), st.TLS || slices.Contains(line.words, "ssl")
	}
	return st
}

func (im *importer) protocolOf(f, b *section, l *configs.Listener, calls callKind, comments map[string]string) {
	switch calls {
	case anyCalls, hookCalls:
		l.Protocol = "grpc"
		if l.TLS != nil {
			l.TLS.ALPN = nil // h2 is offered by itself
		}
		return
	case websocket:
		l.Protocol = "mqtt_ws"
		im.note(f.head, "mode http: carried over as MQTT over WebSocket, which mqedge serves by itself; rules about HTTP are not")
		return
	}
	var why string
	if l.Protocol, why = im.stream(f, b, l).Protocol(); why != "" {
		comments[".protocol"] = why
	}
	if why == convert.TLSPassed && im.protocol == "mqtt" {
		im.note(f.head, "its TLS does not end here, so it stays protocol tcp: mqedge could not read what clients say")
	}
}
