package haproxy

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// use returns the name of the upstream for a backend, in the way in which a listener leads to it. Endpoints without a port
// have that one.
func (im *importer) use(b *section, l *configs.Listener, calls callKind, port int) string {
	im.reached[b] = true
	u, comments := configs.DefaultUpstream(), map[string]string{"": im.Origin(b.head.at)}
	servers := im.servers(b, port)
	for _, s := range servers {
		u.Endpoints = append(u.Endpoints, s.endpoint)
	}
	templates := im.template(b, &u)
	servers = append(servers, templates...)
	if len(servers) > 0 {
		im.likeServers(b, servers, l, &u)
	}
	im.upstreamTimes(b, &u, comments)
	if l.Protocol == "grpc" {
		im.useCalls(b, &u, calls)
		im.balanceCalls(b, &u)
	} else {
		im.balance(b, l, &u)
	}
	im.health(b, servers, l, &u)

	plain := u
	plain.TLS, plain.ExHook, plain.DNS = nil, nil, nil
	shape := fmt.Sprintf("%p %+v %+v %+v %v", b, plain, u.TLS, u.DNS, l.Protocol == "grpc")
	if name, made := im.made[shape]; made {
		return name
	}
	name := im.AddUpstream(b.name, convert.Ports(l.Bind)[0], &u, comments)
	im.made[shape] = name
	return name
}

// likeServers sets what an upstream has once, after most of its servers.
func (im *importer) likeServers(b *section, servers []server, l *configs.Listener, u *configs.Upstream) {
	u.SendProxy = mostly(servers, func(s server) string { return s.proxy })
	secure := mostly(servers, func(s server) bool { return s.ssl })
	first, backups := servers[0], 0
	for _, s := range servers {
		switch {
		case s.proxy != u.SendProxy:
			im.note(s.from, "its PROXY protocol is not that of the other servers: mqedge has one for an upstream, send_proxy %s", u.SendProxy)
		case s.ssl != secure:
			im.note(s.from, "TLS is on for some of the servers only: mqedge has it for an upstream: give this one an upstream of its own")
		}
		if s.ssl && !first.ssl {
			first = s
		}
		if s.endpoint.Backup {
			backups++
		}
		if s.source != "" && !slices.Contains(u.SourceAddresses, s.source) {
			u.SourceAddresses = append(u.SourceAddresses, s.source)
		}
		if s.timeout > 0 {
			u.TCP.UserTimeout = min(s.timeout, 24*time.Hour)
		}
	}
	if line := b.last("source"); line != nil && u.SourceAddresses == nil {
		if address := im.source(line, line.arg(1)); address != "" {
			u.SourceAddresses = []string{address}
		}
	}
	u.TCP.UserTimeout = max(u.TCP.UserTimeout, 2*u.TCP.KeepAlive)
	if l.Protocol == "grpc" {
		u.SendProxy, u.SourceAddresses = "off", nil // providers take no header, and share one connection
	}
	if secure {
		u.TLS = im.upstreamTLS(first)
		for _, s := range servers {
			if s.ssl && (s.verify != first.verify || s.caFile != first.caFile || s.cert != first.cert || s.name != first.name) {
				im.note(s.from, "its TLS is not that of line %d: mqedge has one for an upstream, which is that: give this one an upstream of its own", first.from.at.Line)
			}
		}
	}
	if backups > 1 && !b.on("allbackups") {
		im.note(b.head, "HAProxy uses the first backup alone, mqedge all of them together: leave the others out if that must not be")
	}
}

// mostly returns what most servers have, and the first of those.
func mostly[T comparable](servers []server, of func(server) T) T {
	count, best := map[T]int{}, of(servers[0])
	for _, s := range servers {
		value := of(s)
		count[value]++
		if count[value] > count[best] {
			best = value
		}
	}
	return best
}

func (im *importer) upstreamTLS(s server) *configs.UpstreamTLS {
	u := configs.UpstreamTLS{CAFile: s.caFile}
	if s.cert != "" {
		c := pair(s.cert)
		u.CertFile, u.KeyFile = c.CertFile, c.KeyFile
	}
	if convert.IsHost(s.name) {
		u.ServerName = s.name
	}
	switch {
	case s.verify == "none":
		im.note(s.from, "verify none takes any certificate, mqedge verifies it always: write tls.ca_file, and tls.server_name if the certificate is not for the host of the address")
	case u.ServerName == "":
		im.note(s.from, "HAProxy verifies no name without verifyhost or sni, mqedge that of the address: write tls.server_name if the certificate is for another")
	}
	return &u
}

func (im *importer) upstreamTimes(b *section, u *configs.Upstream, comments map[string]string) {
	if t, l := im.timeout(b, "connect"); l != nil {
		u.ConnectTimeout = t
		comments[".connect_timeout"] = im.Origin(l.at)
	}
	if l := b.last("retries"); l != nil {
		if n, ok := convert.Number(l.arg(1)); ok {
			u.Tries = n + 1
			comments[".tries"] = im.Origin(l.at) + ", each at another endpoint"
		}
	}
	b.on("redispatch") // which is how mqedge is
	if b.on("srvtcpka") || b.on("tcpka") {
		if b.last("srvtcpka-idle") != nil {
			u.TCP.KeepAlive = im.probes(b, "srvtcpka-idle")
			u.TCP.UserTimeout = max(u.TCP.UserTimeout, 2*u.TCP.KeepAlive)
		}
	}
}

// useCalls sets what an upstream of gRPC has of its own.
func (im *importer) useCalls(b *section, u *configs.Upstream, calls callKind) {
	if calls == hookCalls {
		x := configs.DefaultExHook()
		u.ExHook = &x
		im.note(b.head, "carried over with exhook: {}, as its names, rules or comments are about EMQX's hooks; remove that if these are other calls")
		return
	}
	im.note(b.head, "carried over for any gRPC service; if EMQX's hooks come here, add exhook: {} to the upstream")
}

// template makes endpoints that the DNS knows of a server-template, and returns what it says of them.
func (im *importer) template(b *section, u *configs.Upstream) []server {
	lines := b.own("server-template")
	if len(lines) == 0 {
		return nil
	}
	for _, l := range lines[1:] {
		im.note(l, "mqedge asks for one name in an upstream, that of line %d: left out, write its endpoints", lines[0].at.Line)
	}
	l, s := lines[0], plainServer()
	for _, d := range inForce(b) {
		im.options(&s, d, d.words[1:])
	}
	im.options(&s, l, l.words[min(4, len(l.words)):])
	s.from = l
	dns := configs.DefaultDNS()
	name := l.arg(3)
	if host, port, err := net.SplitHostPort(name); err == nil {
		dns.Port, _ = strconv.Atoi(port)
		name = host
	}
	if strings.HasPrefix(name, "_") {
		dns.Type, dns.Port = "srv", 0
	}
	if !convert.IsHost(name) || dns.Type == "a" && (dns.Port < 1 || dns.Port > 65535) {
		im.note(l, "%s is not a name with a port, or of SRV records: left out", convert.Shown(l.arg(3)))
		return nil
	}
	dns.Name = name
	im.resolver(s.resolvers, &dns)
	if s.endpoint != configs.DefaultEndpoint() {
		im.note(l, "weight, maxconn and backup are those of SRV records, or the default for each address")
	}
	u.DNS = &dns
	return []server{s}
}

// resolver reads which server of the DNS is asked, and how often.
func (im *importer) resolver(name string, dns *configs.DNS) {
	r := im.resolvers[name]
	if r == nil {
		return
	}
	im.reached[r] = true
	for i, l := range r.own("nameserver") {
		text := strings.TrimPrefix(strings.TrimPrefix(l.arg(2), "udp@"), "tcp@")
		if address, ok := convert.Address(text); ok && i == 0 {
			dns.Resolver = address
		} else if i > 0 {
			im.note(l, "mqedge asks one server of the DNS, the first: without dns.resolver those of the system")
		}
	}
	if host, _, _ := net.SplitHostPort(dns.Resolver); dns.Resolver != "" && net.ParseIP(host) == nil {
		dns.Resolver = ""
	}
	if l := r.last("hold", "valid"); l != nil {
		if t, ok := parseTime(l.arg(2)); ok && t >= time.Second {
			dns.Interval = t
		}
	}
}
