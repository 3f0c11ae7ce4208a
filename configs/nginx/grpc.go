package nginx

import (
	"slices"
	"strings"
	"time"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// grpc makes listeners of a server with grpc_pass, and says whether it could.
func (im *importer) grpc(server *directive, passes []*directive) bool {
	pass := chosenPass(passes)
	location := pass.parent
	t, secure, why := im.callTarget(pass)
	if t == nil {
		im.leave(server, "left out, as %s", why)
		return false
	}
	kinds := im.listens(server)
	if len(server.all("listen")) == 0 {
		kinds = []listen{{from: server, binds: []string{"0.0.0.0:80"}}} // which is what nginx does
	}
	if len(kinds) == 0 {
		im.leave(server, "left out, as it has no listen that mqedge can have")
		return false
	}
	pass.used = true
	hooks := aboutHooks(server, location, pass.args[0], t)
	carried := false
	for len(kinds) > 0 {
		var kind []listen
		kind, kinds = sameKind(kinds)
		carried = im.callListener(callServer{server, location, pass, t, secure, hooks != ""}, kind) || carried
	}
	if !carried {
		im.leave(server, "left out, as none of its addresses is free or it has no certificate")
		return false
	}
	im.carriedCalls = true
	im.otherLocations(server, location)
	if hooks != "" {
		im.add(pass, "carried over with exhook: {}, as %q is about EMQX's hooks; remove that if these are other calls", strings.TrimSpace(hooks))
	} else {
		im.add(pass, "carried over for any gRPC service; if EMQX's hooks come here, add exhook: {} to the upstream")
	}
	return true
}

// callServer is a server whose calls are passed on.
type callServer struct {
	server, location, pass *directive
	target                 *target
	secure, hooks          bool
}

// chosenPass is the one that is carried over, if locations lead to several places: that of EMQX's hooks, or of all paths.
func chosenPass(passes []*directive) *directive {
	for _, pass := range passes {
		if slices.ContainsFunc(append(pass.parent.args, pass.args...), convert.NamesExHook) {
			return pass
		}
	}
	for _, pass := range passes {
		if isRoot(pass.parent) {
			return pass
		}
	}
	return passes[0]
}

// passOf returns the grpc_pass of a location and where it leads to, "" for none.
func (im *importer) passOf(location *directive) (*directive, string) {
	for _, d := range location.block {
		if d.name == "grpc_pass" && len(d.args) == 1 {
			return d, d.args[0]
		}
	}
	return nil, ""
}

// callTarget finds what a grpc_pass leads to. The text tells what is in the way, if it is nil.
func (im *importer) callTarget(pass *directive) (t *target, secure bool, why string) {
	if len(pass.args) != 1 {
		return nil, false, "its grpc_pass is not understood"
	}
	to, secure := schemeOf(pass.args[0])
	if im.blocks[to] == nil && !strings.Contains(to, "$") && !strings.HasPrefix(to, "unix:") {
		to = withPort(to, secure)
	}
	t, why = im.targetOf(pass, to)
	return t, secure, why
}

// withPort adds the port of HTTP that nginx takes for a host alone.
func withPort(host string, secure bool) string {
	if _, ok := convert.Address(host); ok {
		return host
	}
	if secure {
		return host + ":443"
	}
	return host + ":80"
}

func (im *importer) callListener(c callServer, kind []listen) bool {
	l, from := configs.DefaultListener(), kind[0].from
	comments := map[string]string{"": im.Origin(from.place())}
	l.Protocol = "grpc"
	if kind[0].ssl {
		tls, why := im.tls(c.server, comments)
		if tls == nil {
			im.add(from, "left out, as %s", why)
			return false
		}
		tls.ALPN = nil // h2 is offered by itself
		l.TLS = tls
		l.HandshakeTimeout = im.orDefault(c.server, "client_header_timeout", time.Minute, ".handshake_timeout", comments)
	}
	if l.Bind = im.claim(kind); l.Bind == nil {
		return false
	}
	im.from(c.location, kind[0], &l, comments)
	l.TCP = keepalive(l.TCP, kind[0].keepalive)
	l.Upstream = im.useCalls(c, &l)
	im.AddListener(&l, comments)
	return true
}

// useCalls returns the name of the upstream for what a location passes calls to.
func (im *importer) useCalls(c callServer, l *configs.Listener) string {
	u, comments := configs.DefaultUpstream(), map[string]string{"": im.Origin(c.target.from.place())}
	t, s := c.target, c.location
	u.Endpoints, u.Health.Passive, u.Balance = t.endpoints, t.passive, t.balance
	u.ConnectTimeout = im.orDefault(s, "grpc_connect_timeout", time.Minute, ".connect_timeout", comments)
	if c.secure {
		u.TLS = im.upstreamTLS(s, c.pass, "grpc_ssl", t)
	}
	u.TCP.KeepAlive = im.probes(s, "grpc_socket_keepalive", u.TCP.KeepAlive)
	tries := im.tries(s, "grpc_next_upstream", comments)
	if c.hooks {
		im.useHooks(s, &u, tries, comments)
	} else {
		u.Tries = tries
		im.useMetadata(c, &u)
	}
	return im.upstreamFor(t, &u, comments, l)
}

// useHooks sets what an upstream of EMQX's hooks has of its own.
func (im *importer) useHooks(s *directive, u *configs.Upstream, tries int, comments map[string]string) {
	x := configs.DefaultExHook()
	if tries > 0 {
		x.Retries = min(tries-1, 10)
	}
	delete(comments, ".tries")
	if limit, d := im.duration(s, "grpc_read_timeout", 0); d != nil {
		x.Timeout = limit
		comments[".exhook.timeout"] = im.Origin(d.place())
	}
	u.ExHook = &x
}

// useMetadata goes by metadata where nginx hashes by a header.
func (im *importer) useMetadata(c callServer, u *configs.Upstream) {
	if u.Balance != "hash" {
		return
	}
	if u.HashMetadata = c.target.hashMetadata; u.HashMetadata == "" {
		u.Balance = "least_conn"
		for _, name := range []string{"hash", "ip_hash"} {
			for _, d := range c.target.from.all(name) {
				im.add(d, "mqedge hashes calls by their metadata only, which is $http_NAME in nginx: least_conn is written instead")
			}
		}
	}
}

// hashOfCalls reads what the calls of an upstream go by.
func (im *importer) hashOfCalls(d *directive, t *target) {
	t.balance = "hash"
	if len(d.args) == 0 {
		return
	}
	if header, ok := strings.CutPrefix(variable(d.args[0]), "http_"); ok && !strings.HasPrefix(header, "grpc_") {
		t.hashMetadata = strings.ReplaceAll(strings.ToLower(header), "_", "-")
	}
}
