package edge

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/edge/upgrade"
	"github.com/mqedge/mqedge/proxy"
)

// adminServer is the admin address of a generation.
type adminServer struct {
	config   configs.Admin
	listener *adminListener
	from     *passed // nil: it was opened by this process
	serve    *task   // nil until commit
}

// prepareAdmin opens the admin address unless it is the one that is open.
func (e *Edge) prepareAdmin(c configs.Admin, before, g *generation) (*adminServer, error) {
	old := before.admin
	if c.Bind == "" {
		return nil, nil
	}
	if old != nil && old.config == c {
		return old, nil
	}
	if old != nil && old.config.Bind == c.Bind {
		// Only the token file changed: the same socket under a new server.
		l, err := duplicate(old.listener.TCPListener)
		if err != nil {
			return nil, fmt.Errorf("admin.bind: %w", err)
		}
		return &adminServer{config: c, listener: newAdminListener(l), from: old.from}, nil
	}
	if from := e.passedTo(toAdmin, ownerAdmin, c.Bind, c.Bind, slices.Concat(g.inUse(), before.inUse())); from != nil {
		l, err := from.listen()
		if err != nil {
			return nil, fmt.Errorf("admin.bind: %w", err)
		}
		return &adminServer{config: c, listener: newAdminListener(l), from: from}, nil
	}
	l, err := proxy.Listen(c.Bind)
	if err != nil {
		return nil, fmt.Errorf("admin.bind: %w", err)
	}
	return &adminServer{config: c, listener: newAdminListener(l)}, nil
}

// duplicate returns a second listener on the socket of l.
func duplicate(l *net.TCPListener) (*net.TCPListener, error) {
	f, err := upgrade.Duplicate(l)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	again, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	return again.(*net.TCPListener), nil
}

// adminListener can stop accepting while its server answers those who came: a server that is told to end answers nobody whose
// request it has not read yet.
type adminListener struct {
	*net.TCPListener
	mute   sync.Once
	muted  chan struct{}
	close  sync.Once
	closed chan struct{}
}

func newAdminListener(l *net.TCPListener) *adminListener {
	return &adminListener{TCPListener: l, muted: make(chan struct{}), closed: make(chan struct{})}
}

// Mute accepts nobody any more, without an error.
func (l *adminListener) Mute() {
	l.mute.Do(func() {
		close(l.muted)
		l.TCPListener.Close()
	})
}

func (l *adminListener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if err == nil {
		return c, nil
	}
	select {
	case <-l.muted:
		<-l.closed
	default:
	}
	return nil, err
}

func (l *adminListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	err := l.TCPListener.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil // by Mute
	}
	return err
}

// commit is the revision that the Go tool recorded of the build, if it did.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" })
	if i < 0 {
		return ""
	}
	return info.Settings[i].Value
}

func (a *adminServer) start(e *Edge) {
	s := admin.New(admin.Options{
		Source: source{e}, Control: control{e}, Gatherer: e.registry,
		Version: admin.Version{Version: e.options.Version, Commit: commit(), Go: runtime.Version(), Started: e.started}, TokenFile: a.config.TokenFile, Logger: e.log,
	})
	a.serve = start(func(ctx context.Context) {
		if err := s.Serve(ctx, a.listener); err != nil {
			e.log.Error("admin address", "error", err)
		}
	})
}

// stop ends the server, or closes the socket of one that never began.
func (a *adminServer) stop() {
	if a.serve == nil {
		a.listener.Close()
		return
	}
	a.serve.stop()
}

// source shows what is in force to the admin address.
type source struct{ e *Edge }

func (s source) Listeners() []admin.Listener {
	g := s.e.current.Load()
	var out []admin.Listener
	for _, name := range slices.Sorted(maps.Keys(g.listeners)) {
		l, c := g.listeners[name], g.config.Listeners[name]
		st := l.proxy.Stats()
		a := admin.Listener{
			Name: name, Protocol: c.Protocol, TLS: l.certs != nil, Upstream: c.Upstream,
			Active: int64(st.Active), HalfOpen: int64(st.HalfOpen), Waiting: int64(st.Waiting + st.WaitingFull), Accepted: st.Accepted, Refused: st.Refused, Closed: st.Closed,
			BytesIn: st.BytesIn, BytesOut: st.BytesOut, MessagesIn: st.MessagesIn, MessagesOut: st.MessagesOut, LastRefusal: st.LastRefusal,
		}
		for _, sock := range l.sockets {
			a.Addresses = append(a.Addresses, sock.Addr().String())
		}
		out = append(out, a)
	}
	return out
}

func (s source) Upstreams() []admin.Upstream {
	g := s.e.current.Load()
	var out []admin.Upstream
	for _, name := range slices.Sorted(maps.Keys(g.upstreams)) {
		u := admin.Upstream{Name: name, Protocol: protocolOf(g, name)}
		in := g.upstreams[name].heard.containers()
		for _, ep := range g.upstreams[name].pool.Status().Endpoints {
			u.Endpoints = append(u.Endpoints, endpointStatus(ep))
			u.Endpoints[len(u.Endpoints)-1].Container = in[ep.Address]
		}
		if c := g.upstreams[name].calls; c != nil {
			c.describe(&u)
		}
		out = append(out, u)
	}
	return out
}

// protocolOf is that of the first listener that uses the upstream.
func protocolOf(g *generation, upstream string) string {
	for _, name := range slices.Sorted(maps.Keys(g.config.Listeners)) {
		if l := g.config.Listeners[name]; l.Upstream == upstream {
			return l.Protocol
		}
	}
	return ""
}

func endpointStatus(ep balancer.EndpointStatus) admin.Endpoint {
	return admin.Endpoint{
		Address: ep.Address, Weight: ep.Weight, Source: ep.Source,
		Up: ep.Up, Draining: ep.Draining, Ejected: ep.Ejected, Reason: ep.Reason,
		Connections: ep.Connections, Connects: ep.ConnectsTotal, Failures: ep.FailuresTotal,
		ConnectSeconds: ep.ConnectSeconds, AnswerSeconds: ep.AnswerSeconds,
	}
}

func (s source) Certificates() []admin.Certificate {
	byName := make(map[string]*admin.Certificate)
	var order []string
	var out []admin.Certificate
	for _, st := range s.e.certificates() {
		owner := st.name
		if st.kind == "upstream" {
			owner = "upstream " + st.name
		}
		if st.status.Error != "" && len(st.status.Certificates) == 0 {
			// An upstream may have CAs alone.
			out = append(out, admin.Certificate{File: "CAs of " + owner, Listeners: []string{owner}, Error: st.status.Error})
		}
		for _, c := range st.status.Certificates {
			name := certificateName(st.name, c)
			a := byName[name]
			if a == nil {
				a = &admin.Certificate{
					File: name, Names: slices.Concat(c.DNSNames, c.Addresses), Issuer: c.Issuer, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
				}
				byName[name] = a
				order = append(order, name)
			}
			a.Listeners = append(a.Listeners, owner)
			if st.status.Error != "" {
				a.Error = st.status.Error
			}
		}
	}
	for _, name := range order {
		out = append(out, *byName[name])
	}
	return out
}

func (s source) Connections(f admin.ConnectionFilter) (total int, some iter.Seq[admin.Connection]) {
	all := s.e.all()
	slices.SortFunc(all, func(a, b *proxy.Listener) int { return strings.Compare(a.Name(), b.Name()) })
	var parts []iter.Seq[admin.Connection]
	left := f.Limit
	for _, l := range all {
		if f.Listener != "" && f.Listener != l.Name() {
			continue
		}
		n, conns := l.Connections(proxy.Filter{ClientID: f.ClientID, Upstream: f.Upstream, Endpoint: f.Endpoint}, left)
		total += n
		left = max(left-n, 0)
		parts = append(parts, described(l.Name(), conns))
	}
	return total, func(yield func(admin.Connection) bool) {
		for _, part := range parts {
			for c := range part {
				if !yield(c) {
					return
				}
			}
		}
	}
}

func described(listener string, conns iter.Seq[proxy.Connection]) iter.Seq[admin.Connection] {
	return func(yield func(admin.Connection) bool) {
		for c := range conns {
			if !yield(admin.Connection{
				ID: c.ID, Listener: listener, Client: c.Client.String(), Peer: c.Peer.String(),
				ClientID: c.ClientID, Username: c.Username, MQTTVersion: c.Version, Keepalive: c.KeepAlive,
				ServerName: c.ServerName, Upstream: c.Upstream, Endpoint: c.Endpoint, Since: c.Since, BytesIn: c.BytesIn, BytesOut: c.BytesOut,
			}) {
				return
			}
		}
	}
}

func (s source) Events(since uint64) admin.EventList { return s.e.events.since(since) }

func (s source) History(since uint64) admin.History { return s.e.history.since(since) }

func (s source) Config() []byte { return s.e.current.Load().config.Public() }

func (s source) Ready() (bool, string) {
	if s.e.draining.Load() {
		return false, "draining"
	}
	if why := s.e.memory.Load().reason(); why != "" {
		return false, why // a connection would wait until its client gives up; another edge may have room
	}
	g := s.e.current.Load()
	for _, name := range slices.Sorted(maps.Keys(g.upstreams)) {
		if protocolOf(g, name) != "" && !g.upstreams[name].pool.Ready() {
			return false, fmt.Sprintf("upstream %s has no endpoints yet", name)
		}
	}
	return true, ""
}

// control lets the admin address change things.
type control struct{ e *Edge }

func (c control) Reload(context.Context) error { return c.e.Reload() }

func (c control) Kick(clientID string) int {
	n := 0
	for _, l := range c.e.all() {
		n += l.Kick(clientID)
	}
	return n
}
