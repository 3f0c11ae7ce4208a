package edge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/edge/upgrade"
	"github.com/mqedge/mqedge/proxy"
	"github.com/mqedge/mqedge/proxy/ports"
	"github.com/mqedge/mqedge/proxy/relay"
)

// Options are what a process is told beside its configuration.
type Options struct {
	// Load reads the configuration, at the start and for every reload. The
	// configuration is nil when the problems contain an error.
	Load func() (*configs.Config, configs.Problems)

	LogOutput io.Writer // nil = standard error
	Version   string

	// Loops is how many event loops carry the connections; zero is the portable
	// implementation. GOMAXPROCS should exceed it.
	Loops int
	// PaceGC lets the edge set GOGC while it runs.
	PaceGC bool
	// WatchMemory lets the edge stop accepting while memory is short of GOMEMLIMIT
	// or of a control group's limit.
	WatchMemory bool
	// LimitMemory lets an edge that watches set the Go memory limit by the control
	// group's while it runs.
	LimitMemory bool

	// Certificates are used by the listeners of these names in place of those
	// in files. The listener has a tls section all the same.
	Certificates map[string][]certs.KeyPair

	// Predecessor is the process that this one takes the place of, nil if there is none.
	Predecessor *upgrade.Predecessor
	// Sockets were passed by systemd, with its names for them: one with the address or the name of a listener is used by it,
	// one with the address of admin.bind or the name admin by the admin address. They are the edge's.
	Sockets []*os.File
}

// Edge is one process's worth of mqedge.
type Edge struct {
	options      Options
	log          *slog.Logger
	logHandler   *logHandler
	logWriter    *logWriter
	relay        *relay.Relay
	registry     *prometheus.Registry
	proxyMetrics *proxy.Metrics
	reloads      *prometheus.CounterVec
	lastReload   prometheus.Gauge
	stalls       prometheus.Counter
	doubts       *prometheus.CounterVec
	started      time.Time
	probeName    string // what the client ids of probes begin with
	memory       atomic.Pointer[memory]
	events       events
	history      history

	mu        sync.Mutex // one start, reload or end at a time; guards what follows
	tickets   map[string]*certs.Tickets
	secrets   certs.SharedSecrets       // not guarded
	pools     map[string]*balancer.Pool // those of upstreams that are gone too, while they have connections
	sources   map[string]*ports.Set     // likewise
	calls     map[string]*calls         // of the upstreams of gRPC calls
	callLoops int                       // how many of them there ever were
	moves     moves
	drains    drains
	current   atomic.Pointer[generation]
	parted    chan struct{} // closed when a member whose section was removed has left
	draining  atomic.Bool
	leaving   sync.Mutex // taken before mu: by a drain as it begins, and by what gives way to the next process
	lingering sync.WaitGroup
	passed    []*passed // sockets
	inherited *handover // nil once the first configuration is in force
	released  <-chan struct{}
	handing   atomic.Bool // to the next process: no reloads
	succeeded atomic.Bool // the next process serves
	upgrades  upgradeCounters
	living    context.Context // ends when all has been closed
	end       context.CancelFunc
}

// New returns an edge that has not opened anything yet.
func New(o Options) *Edge {
	if o.LogOutput == nil {
		o.LogOutput = os.Stderr
	}
	e := &Edge{
		options: o, logHandler: newLogHandler(), started: time.Now(), probeName: probeName(),
		tickets: make(map[string]*certs.Tickets), pools: make(map[string]*balancer.Pool),
		sources: make(map[string]*ports.Set), calls: make(map[string]*calls),
		moves:  moves{tasks: make(map[moving]*task)},
		drains: drains{local: make(map[place]handDrain), exempt: make(map[place]uint64)},
	}
	e.parted = make(chan struct{})
	close(e.parted)
	e.living, e.end = context.WithCancel(context.Background())
	e.logWriter = newLogWriter(o.LogOutput)
	e.logHandler.use(e.logWriter, configs.Default().Log)
	e.log = slog.New(&eventHandler{next: e.logHandler, events: &e.events})
	e.current.Store(&generation{})
	e.memory.Store(&memory{})
	e.registerMetrics()
	return e
}

// Log is the edge's logger; its level and format follow the configuration.
func (e *Edge) Log() *slog.Logger { return e.log }

// Start loads the configuration and opens everything. When it returns nil
// clients are being served, and Run is owed; on error nothing is left behind. A
// file that cannot be used is a [*ConfigError].
func (e *Edge) Start() error {
	var err error
	if e.relay, err = relay.New(relay.RelayOptions{Loops: e.options.Loops, OnStall: e.loopStalled}); err != nil {
		return err
	}
	if err = e.inherit(); err == nil {
		err = e.load()
	}
	if err != nil {
		e.relay.Close()
		return err
	}
	for _, l := range (source{e}).Listeners() {
		e.log.Info("serving", "listener", l.Name, "addresses", l.Addresses, "protocol", l.Protocol, "tls", l.TLS, "upstream", l.Upstream)
	}
	if a := e.AdminAddress(); a != nil {
		e.log.Info("admin address", "url", "http://"+a.String()+"/")
	}
	return nil
}

// Reload loads the configuration again and puts it in force. On error the one
// before stays in force, untouched. A file that cannot be used is a
// [*ConfigError].
func (e *Edge) Reload() error {
	err := e.load()
	if err != nil {
		e.reloads.WithLabelValues("failed").Inc()
		e.log.Error("reload failed, the configuration before it stays in force", "error", err)
		return err
	}
	e.reloads.WithLabelValues("ok").Inc()
	e.lastReload.SetToCurrentTime()
	e.log.Info("reloaded")
	return nil
}

func (e *Edge) load() error {
	if e.draining.Load() {
		return errDraining // without waiting for the end of the drain
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.Load() {
		return errDraining
	}
	if e.handing.Load() {
		return errUpgrading
	}
	c, problems := e.options.Load()
	if problems.Err() != nil {
		return &ConfigError{problems}
	}
	old := e.current.Load()
	g, err := e.prepare(c, old)
	if err != nil {
		return err
	}
	e.commit(g, old)
	e.settlePassed(g)
	e.inherited = nil
	for _, p := range problems {
		e.log.Warn("configuration: " + p.String())
	}
	return nil
}

// ReopenLogs opens log files anew after a rotation.
func (e *Edge) ReopenLogs() {
	g := e.current.Load()
	if g.accessLog == nil {
		return
	}
	if err := g.accessLog.Reopen(); err != nil {
		e.log.Error("reopen", "error", err)
		return
	}
	e.log.Info("log files reopened")
}

// Addresses returns the addresses on which a listener accepts, with the ports
// that were chosen where the configuration says 0.
func (e *Edge) Addresses(listener string) []net.Addr {
	l := e.current.Load().listeners[listener]
	if l == nil {
		return nil
	}
	var out []net.Addr
	for _, s := range l.sockets {
		out = append(out, s.Addr())
	}
	return out
}

// AdminAddress returns where the admin address listens, or nil.
func (e *Edge) AdminAddress() net.Addr {
	if a := e.current.Load().admin; a != nil {
		return a.listener.Addr()
	}
	return nil
}

// Stuck returns for how long an event loop has been at one turn, and its connections with it; zero if none is.
func (e *Edge) Stuck() time.Duration { return e.relay.Stuck() }

// Load is how many listeners there are, and how many connections, those of listeners that are gone too.
func (e *Edge) Load() (listeners, connections int) {
	return len(e.current.Load().listeners), active(e.all())
}

// LeaveWithin is how long the end of the process may take, by the drain section in force.
func (e *Edge) LeaveWithin() time.Duration {
	d := e.current.Load().config.Drain
	return d.Delay + d.Deadline + lastCloses + gossipFarewell
}

// Run keeps a started edge going until drain ends, drains it, and returns when
// everything has ended. When stop ends the drain is cut short: what is left is
// closed at once.
func (e *Edge) Run(drain, stop context.Context) {
	logging := start(e.logWriter.run)
	defer logging.stop() // last
	relaying := start(func(ctx context.Context) { e.relay.Run(ctx) })
	cleaning := start(func(ctx context.Context) { e.giveBack(ctx.Done()) })
	defer cleaning.stop()
	sampling := start(e.sample)
	defer sampling.stop()
	if e.options.PaceGC {
		defer paceGC()()
	}
	if e.options.WatchMemory {
		watching := start(e.watchMemory)
		defer watching.stop()
	}
	select {
	case <-drain.Done():
		e.drain(stop)
	case <-stop.Done():
	}
	e.shutDown()
	e.lingering.Wait() // upstreams that are gone may yet hand connections to the relay
	relaying.stop()
}

// listeners returns those of the current generation.
func (e *Edge) listeners() []*proxy.Listener {
	var out []*proxy.Listener
	for _, l := range e.current.Load().listeners {
		out = append(out, l.proxy)
	}
	return out
}

// all returns the listeners of the current generation and those that are gone
// but may have connections.
func (e *Edge) all() []*proxy.Listener {
	g := e.current.Load()
	out := slices.Clone(g.departed)
	for _, l := range g.listeners {
		out = append(out, l.proxy)
	}
	return out
}
