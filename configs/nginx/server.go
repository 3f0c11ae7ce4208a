package nginx

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

const nginxs = "nginx's default"

// server makes a listener of each kind of listen that a server has.
func (im *importer) server(s *directive) {
	kinds := im.listens(s)
	t, why := im.target(s)
	if t == nil {
		im.leave(s, "left out, as %s", why)
		return
	}
	if len(kinds) == 0 {
		im.leave(s, "left out, as it has no listen that mqedge can have")
		return
	}
	for len(kinds) > 0 {
		var kind []listen
		kind, kinds = sameKind(kinds)
		im.listener(s, t, kind)
	}
}

func (im *importer) listener(s *directive, t *target, kind []listen) {
	l, from := configs.DefaultListener(), kind[0].from
	comments := map[string]string{"": im.Origin(from.place())}
	if kind[0].ssl {
		tls, why := im.tls(s, comments)
		if tls == nil {
			im.add(from, "left out, as %s", why)
			return
		}
		l.TLS = tls
		l.HandshakeTimeout = im.orDefault(s, "ssl_handshake_timeout", time.Minute, ".handshake_timeout", comments)
	}
	if l.Bind = im.claim(kind); l.Bind == nil {
		return
	}
	im.from(s, kind[0], &l, comments)
	l.TCP = keepalive(l.TCP, kind[0].keepalive)

	var why string
	l.Protocol, why = im.protocolOf(s, t, &l)
	if why != "" {
		comments[".protocol"] = why
	}
	l.IdleTimeout = im.orDefault(s, "proxy_timeout", 10*time.Minute, ".idle_timeout", comments)
	if l.Protocol != "tcp" {
		comments[".idle_timeout"] = strings.TrimPrefix(comments[".idle_timeout"]+", for clients without keepalive", ", ")
	}
	l.Upstream = im.use(s, t, &l)
	im.AddListener(&l, comments)
}

// orDefault returns the time of a directive, or nginx's default, with a remark that it is that.
func (im *importer) orDefault(s *directive, name string, normal time.Duration, at string, comments map[string]string) time.Duration {
	value, d := im.duration(s, name, normal)
	if d == nil {
		comments[at] = nginxs
	}
	return value
}

// keepalive makes the kernel probe a peer, and leaves it the time for more than one probe.
func keepalive(normal configs.TCP, after time.Duration) configs.TCP {
	if after == 0 {
		return normal
	}
	return configs.TCP{KeepAlive: after, UserTimeout: max(normal.UserTimeout, 2*after)}
}

// from carries over who may connect.
func (im *importer) from(s *directive, first listen, l *configs.Listener, comments map[string]string) {
	l.Allow, l.Deny = im.rules(s)
	l.MaxConnectionsPerIP = im.perIP(s)
	trusted := im.trusted(s)
	if !first.proxy {
		return
	}
	p := configs.DefaultProxyProtocol()
	p.Trust = trusted
	if trusted == nil {
		p.Trust = convert.Everybody()
		comments[".proxy_protocol.trust"] = "dangerous: name the load balancers"
		im.add(first.from, "proxy_protocol without set_real_ip_from: mqedge believes the header, so anybody could claim any address: "+
			"write the load balancers' addresses into proxy_protocol.trust instead of everybody's")
	}
	p.Timeout = im.orDefault(s, "proxy_protocol_timeout", 30*time.Second, ".proxy_protocol.timeout", comments)
	l.ProxyProtocol = &p
}

func (im *importer) trusted(s *directive) []netip.Prefix {
	var all []netip.Prefix
	for _, d := range s.inherited("set_real_ip_from") {
		p, ok := netip.Prefix{}, false
		if len(d.args) == 1 {
			p, ok = convert.Prefix(d.args[0])
		}
		switch {
		case !ok:
			im.add(d, "is not an address or a range: left out")
		case !slices.Contains(all, p):
			all = append(all, p)
		}
	}
	return all
}

// use returns the name of the upstream for what a server passes to, in the way in which it does.
func (im *importer) use(s *directive, t *target, l *configs.Listener) string {
	u, comments := configs.DefaultUpstream(), map[string]string{"": im.Origin(t.from.place())}
	u.Endpoints, u.Health.Passive = t.endpoints, t.passive
	u.Balance, u.HashKey = t.balance, t.hashKey
	if u.HashKey == "sni" && l.TLS == nil {
		u.HashKey = "source_ip"
		for _, d := range t.from.all("hash") {
			im.add(d, "mqedge reads the server name only of TLS that ends in it: clients of %v go by their address", s)
		}
	}
	if im.on(s, "proxy_protocol", false) {
		u.SendProxy = "v1"
	}
	u.ConnectTimeout = im.orDefault(s, "proxy_connect_timeout", time.Minute, ".connect_timeout", comments)
	u.Tries = im.tries(s, "proxy_next_upstream", comments)
	u.SourceAddresses = im.source(s)
	u.TCP.KeepAlive = im.probes(s, "proxy_socket_keepalive", u.TCP.KeepAlive)
	if im.on(s, "proxy_ssl", false) {
		u.TLS = im.upstreamTLS(s, s.inherited("proxy_ssl")[0], "proxy_ssl", t)
	}
	return im.upstreamFor(t, &u, comments, l)
}

// probes returns after which silence the kernel probes endpoints.
func (im *importer) probes(s *directive, name string, normal time.Duration) time.Duration {
	if len(s.inherited(name)) > 0 && !im.on(s, name, true) {
		return 0
	}
	return normal
}

// upstreamFor returns the name of an upstream for what servers pass to. One that exists is taken if it is the same.
func (im *importer) upstreamFor(t *target, u *configs.Upstream, comments map[string]string, l *configs.Listener) string {
	plain := *u
	plain.TLS, plain.ExHook = nil, nil // their addresses are no part of what they are
	shape := fmt.Sprintf("%+v %+v %+v %v", plain, u.TLS, u.ExHook, l.Protocol == "grpc")
	if t.known { // else the address is what counts
		shape += fmt.Sprintf(" %p", t.from)
	}
	if name, made := im.made[shape]; made {
		return name
	}
	name := t.name
	if !t.known {
		name = convert.UpstreamName(t.endpoints[0].Address, l)
	}
	name = im.AddUpstream(name, convert.Ports(l.Bind)[0], u, comments)
	im.made[shape] = name
	return name
}

// tries reads the directives that begin with next, such as proxy_next_upstream.
func (im *importer) tries(s *directive, next string, comments map[string]string) int {
	text, d := im.word(s, next+"_tries")
	n, ok := convert.Number(text)
	if d != nil && !ok {
		im.add(d, "%s is not a number: nginx's default, all of them, is written instead", convert.Shown(text))
	}
	if limit := im.one(s, next+"_timeout"); limit != nil && strings.Trim(limit.args[0], "0smhdwMy") != "" {
		im.add(limit, "mqedge has no limit for all tries together: tries times connect_timeout is the longest it can take")
	}
	switch {
	case im.never(s, next):
		return 1
	case n == 0:
		comments[".tries"] = "all of them, " + nginxs
	}
	return n
}

// never says whether no other endpoint is to be tried. The directive is on or off for streams, and a list of cases for
// calls, of which mqedge has those that are safe.
func (im *importer) never(s *directive, next string) bool {
	if next == "proxy_next_upstream" {
		return !im.on(s, next, true)
	}
	for _, d := range s.inherited(next) {
		if len(d.args) == 1 && d.args[0] == "off" {
			return true
		}
		for _, when := range d.args {
			if when != "error" && when != "timeout" {
				im.add(d, "%s: mqedge tries another endpoint where a call surely was not acted on, whatever it failed of", convert.Shown(when))
			}
		}
	}
	return false
}

// source reads proxy_bind.
func (im *importer) source(s *directive) []string {
	binds := s.inherited("proxy_bind")
	if len(binds) == 0 || len(binds[0].args) == 0 || binds[0].args[0] == "off" {
		return nil
	}
	d := binds[0]
	if slices.Contains(d.args, "transparent") {
		im.add(d, "mqedge does not take on its clients' addresses: send_proxy tells the endpoint who they are")
		return nil
	}
	address, ok := convert.SourceAddress(d.args[0])
	if !ok {
		im.add(d, "%s is not an address to come from: left out, the kernel chooses", convert.Shown(d.args[0]))
		return nil
	}
	return []string{address}
}
