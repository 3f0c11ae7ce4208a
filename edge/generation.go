package edge

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/dns"
	"github.com/mqedge/mqedge/proxy"
	"github.com/mqedge/mqedge/proxy/accesslog"
	"github.com/mqedge/mqedge/proxy/ports"
	"github.com/mqedge/mqedge/proxy/relay"
)

// generation is a configuration with everything that serves it.
type generation struct {
	config    *configs.Config
	upstreams map[string]*upstream
	listeners map[string]*listener
	sockets   map[string]*socket // by socketKey
	departed  []*proxy.Listener  // no longer configured, but may have live connections
	accessLog *accessLog
	admin     *adminServer // nil when it is turned off
	gossip    *member      // nil = not a member
}

type upstream struct {
	pool       *balancer.Pool
	options    balancer.Options    // put in force by commit
	endpoints  []balancer.Endpoint // of the file, put in force by commit
	dns        *dns.Source         // nil = none
	feed       *feed               // of the pool, from all sources; nil until commit
	heard      *heard              // nil = nothing from gossip
	sources    *ports.Set          // of all generations; empty where the kernel chooses
	addresses  []netip.Addr        // of sources, put in force by commit
	certs      *certs.ClientStore  // nil = plain TCP to the endpoints
	watch      *task               // of certs
	check      *check              // nil = none
	probeProxy byte                // the PROXY header of a probe where there is no check
	rebalance  *rebalance          // nil = none
	calls      *calls              // nil for upstreams of streams
}

type listener struct {
	proxy    *proxy.Listener
	settings *proxy.Settings // put in force by commit
	certs    *certs.Store    // nil = plain TCP from clients
	watch    *task           // of certs
	sockets  []*socket
}

type socket struct {
	*proxy.Socket
	from  *passed // nil: it was opened by this process
	serve *task   // nil until commit
}

type accessLog struct {
	*accesslog.Log
	config configs.AccessLog
	write  *task // nil until commit
}

// prepare builds the generation that serves c, using what old has. On error
// nothing is left behind and old works on untouched.
func (e *Edge) prepare(c *configs.Config, old *generation) (_ *generation, err error) {
	var undo []func()
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(undo) {
				f()
			}
		}
	}()
	g := &generation{
		config:    c,
		upstreams: make(map[string]*upstream),
		listeners: make(map[string]*listener),
		sockets:   make(map[string]*socket),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		if g.upstreams[name], err = e.prepareUpstream(name, c.Upstreams[name]); err != nil {
			return nil, err
		}
		if getsCalls(c, name) {
			g.upstreams[name].calls = e.prepareCalls(name, c.Upstreams[name])
		}
	}
	if g.accessLog, err = e.prepareAccessLog(c.AccessLog, old); err != nil {
		return nil, err
	}
	if g.accessLog.write == nil {
		undo = append(undo, g.accessLog.Close)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Listeners)) {
		if g.listeners[name], err = e.prepareListener(name, c, g); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Listeners)) {
		for i, addr := range c.Listeners[name].Bind {
			key := socketKey(name, i, addr)
			s := old.socket(key, addr)
			if owner := g.ownerOf(s); owner != "" {
				return nil, fmt.Errorf("listeners.%s.bind: %s is what listeners.%s got for port 0", name, addr, owner)
			}
			if s == nil {
				from := e.passedTo(toListeners, name, key, addr, slices.Concat(g.inUse(), old.inUse()))
				bound, err := e.bind(addr, from, g.listeners[name].settings.TCP)
				if err != nil {
					return nil, fmt.Errorf("listeners.%s.bind: %w", name, err)
				}
				s = &socket{Socket: bound, from: from}
				undo = append(undo, s.Close)
			}
			g.sockets[key] = s
			g.listeners[name].sockets = append(g.listeners[name].sockets, s)
		}
	}
	if g.gossip, err = e.prepareGossip(c.Gossip, old.gossip); err != nil {
		return nil, err
	}
	if g.gossip != nil && g.gossip.run == nil {
		undo = append(undo, g.gossip.node.Close)
	}
	if g.admin, err = e.prepareAdmin(c.Admin, old, g); err != nil {
		return nil, err
	}
	return g, nil
}

// bind opens an address, unless a socket was passed for it.
func (e *Edge) bind(addr string, from *passed, tcp relay.TCP) (*proxy.Socket, error) {
	if from == nil {
		return proxy.Bind(addr, e.relay, tcp, e.log)
	}
	ln, err := from.listen()
	if err != nil {
		return nil, err
	}
	return proxy.Adopt(ln, e.relay, tcp, e.log)
}

// socketKey is what a socket is known by from one generation to the next: the
// address, or with port 0, which many may ask for, the place in the file.
func socketKey(listener string, i int, addr string) string {
	if strings.HasSuffix(addr, ":0") {
		return fmt.Sprintf("%s#%d %s", listener, i, addr)
	}
	return addr
}

// socket finds an open socket by its key, or by the address that it got for
// port 0 and that is now written out.
func (g *generation) socket(key, addr string) *socket {
	if s := g.sockets[key]; s != nil {
		return s
	}
	for _, s := range g.sockets {
		if s.Addr().String() == addr {
			return s
		}
	}
	return nil
}

// ownerOf names the listener that has the socket, or "".
func (g *generation) ownerOf(s *socket) string {
	for name, l := range g.listeners {
		if s != nil && slices.Contains(l.sockets, s) {
			return name
		}
	}
	return ""
}

func (e *Edge) prepareUpstream(name string, u *configs.Upstream) (*upstream, error) {
	up := &upstream{options: poolOptions(u, e.endpointChanged), endpoints: endpoints(u.Endpoints), check: e.newCheck(name, u), rebalance: newRebalance(u), probeProxy: sendProxy(u.SendProxy)}
	if up.pool = e.pools[name]; up.pool == nil {
		up.pool = balancer.New(name, up.options)
	}
	if up.sources = e.sources[name]; up.sources == nil {
		up.sources = ports.New()
	}
	var err error
	if up.dns, err = e.prepareDNS(name, u.DNS); err != nil {
		return nil, err
	}
	if up.addresses, err = sourceAddresses(name, u.SourceAddresses); err != nil {
		return nil, err
	}
	if u.TLS == nil {
		return up, nil
	}
	store, err := certs.OpenClient(name, certs.ClientOptions{
		CAFile: u.TLS.CAFile, CertFile: u.TLS.CertFile, KeyFile: u.TLS.KeyFile, ServerName: u.TLS.ServerName,
	}, e.log)
	if err != nil {
		return nil, fmt.Errorf("upstreams.%s.tls: %w", name, err)
	}
	up.certs = store
	return up, nil
}

func (e *Edge) prepareAccessLog(c configs.AccessLog, old *generation) (*accessLog, error) {
	if old.accessLog != nil && old.accessLog.config == c {
		return old.accessLog, nil
	}
	format, err := accesslog.Compile(c.Format)
	if err != nil {
		return nil, fmt.Errorf("access_log.format: %w", err)
	}
	log, err := accesslog.Open(c.Path, accesslog.Options{Format: format, Logger: e.log})
	if err != nil {
		return nil, fmt.Errorf("access_log.path: %w", err)
	}
	return &accessLog{Log: log, config: c}, nil
}

func (e *Edge) prepareListener(name string, c *configs.Config, g *generation) (*listener, error) {
	cl := c.Listeners[name]
	up := g.upstreams[cl.Upstream]
	l := &listener{settings: settings(cl, c.Upstreams[cl.Upstream])}
	l.settings.Route.Upstream = up.pool
	if up.calls != nil {
		l.settings.Route.Calls = up.calls
	}
	if len(up.addresses) > 0 {
		l.settings.Route.Sources = up.sources
	}
	if up.certs != nil {
		l.settings.Route.TLS = func(host string) *tls.Config { return up.certs.ClientConfig(host) }
	}
	if cl.TLS != nil {
		o := certOptions(cl.Protocol, cl.TLS)
		if pairs := e.options.Certificates[name]; pairs != nil {
			o.Certificates = pairs
		}
		store, err := certs.Open(name, o, e.ticketsOf(name), e.log)
		if err != nil {
			return nil, fmt.Errorf("listeners.%s.tls: %w", name, err)
		}
		l.certs, l.settings.TLS = store, store.ServerConfig()
	}
	all := e.all()
	if i := slices.IndexFunc(all, func(p *proxy.Listener) bool { return p.Name() == name }); i >= 0 {
		l.proxy = all[i]
	} else {
		l.proxy = proxy.NewListener(name, e.relay, e.proxyMetrics, e.log, l.settings)
	}
	return l, nil
}

// ticketsOf returns the session ticket keys of a listener, which live as long
// as the process so that a reload does not make every client shake hands anew.
func (e *Edge) ticketsOf(listener string) *certs.Tickets {
	t := e.tickets[listener]
	if t == nil {
		t = certs.NewSharedTickets(listener, &e.secrets)
		if e.inherited != nil {
			t.Restore(e.inherited.Tickets[listener])
		}
		e.tickets[listener] = t
	}
	return t
}
