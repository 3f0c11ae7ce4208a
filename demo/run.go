package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/mqedge/mqedge/demo/hooks"
)

// Options are what the command line says.
type Options struct {
	Out      io.Writer
	Duration time.Duration // 0 = until the context ends; less than 10 s is as 10 s
	Version  string
}

// Run plays the demo. It ends after Options.Duration or, drained, soon after ctx
// does or nobody reads Options.Out any more, and leaves nothing behind. The error says which promises did not come
// true; with a Duration one that was not come to is among them.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{
		plan: planFor(o.Duration), endless: o.Duration == 0, version: o.Version, promises: newPromises(), changed: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A reader that goes away, as in `mqedge demo | head`, would otherwise end
	// the process before anything is put away.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	defer signal.Stop(pipe)
	d.screen = newScreen(o.Out, cancel)
	defer d.screen.close()

	if d.cluster, err = startCluster(); err != nil {
		return fmt.Errorf("demo: start the brokers: %w", err)
	}
	defer d.cluster.close()
	d.calls = d.cluster.calls
	if d.providers, err = startProviders(); err != nil {
		return fmt.Errorf("demo: start the hook servers: %w", err)
	}
	defer d.providers.close()
	if d.front, err = startFront(d.plan, o.Version); err != nil {
		return fmt.Errorf("demo: start the edge: %w", err)
	}
	defer func() { err = errors.Join(err, d.front.close()) }()
	d.screen.print(d.greeting(o)...)
	d.fleet = newFleet(d.front.addr(), d.front.roots)
	defer d.fleet.close()
	stopDisplay := d.display()
	defer stopDisplay()
	if err = d.startAgent(); err != nil {
		return fmt.Errorf("demo: start the agent: %w", err)
	}
	defer d.agent.close()
	d.find(ctx)
	if err = d.cluster.hook(d.front.hooks()); err != nil {
		return fmt.Errorf("demo: have the brokers call hooks: %w", err)
	}
	d.fleet.start()
	d.tell(ctx)
	d.finish(ctx)
	stopDisplay()
	d.screen.close()
	d.screen.print("", "What mqedge promised, and what was seen:", "")
	d.screen.print(d.promises.lines()...)
	return d.promises.err(!d.endless)
}

// demo is everything on the stage.
type demo struct {
	plan      plan
	endless   bool
	version   string
	screen    *screen
	cluster   *cluster
	calls     *calls // the cluster's
	providers *providers
	front     *front
	agent     *agent
	fleet     *fleet
	promises  *promises
	changed   chan struct{} // asks for the table

	rate      rate      // of the display
	callRates [2]rate   // likewise, of each hook server
	rounds    int       // begun
	compared  int       // client addresses, so far
	allBackAt time.Time // after the latest kill
	outage    outage    // the latest
}

func (d *demo) greeting(o Options) []string {
	lines := wrap("", fmt.Sprintf("mqedge %s: three brokers that stand for an EMQX cluster, mqedge with TLS in front of them, "+
		"%d devices, two hook servers that mqedge spreads the brokers' ExHook calls over, and an agent that announces brokers and hook servers "+
		"by gossip. All of it is in this process and on loopback.", cmp.Or(o.Version, "devel"), fleetSize))
	end := "Ctrl-C ends it."
	if o.Duration > 0 {
		end = fmt.Sprintf("It ends by itself after %v.", max(o.Duration, shortest))
	}
	if o.Duration > 0 && o.Duration < shortest {
		end += fmt.Sprintf(" %v would be too short for the story.", o.Duration)
	}
	return append(lines, end, "",
		"To look in from another terminal:",
		fmt.Sprintf("  mosquitto_sub --cafile %s -h 127.0.0.1 -p %d -t 'demo/#' -v", d.front.caFile, d.front.addr().Port),
		"  mqedge status --admin "+d.front.adminAddr(),
		"  curl http://"+d.front.adminAddr()+"/api/v1/upstreams",
		"")
}

// display shows the table after every scene and every few moments, until the
// function it returns is called.
func (d *demo) display() (stop func()) {
	every := 2 * time.Second
	if d.screen.terminal {
		every = 500 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(context.Background())
	var showing sync.WaitGroup
	showing.Go(func() {
		for tick := time.Second; ; tick = every { // the first is for a start that is slow
			select {
			case <-ctx.Done():
				return
			case <-d.changed:
			case <-time.After(tick):
			}
			if v := d.view(ctx); ctx.Err() == nil {
				d.screen.show(v.lines())
			}
		}
	})
	return func() {
		cancel()
		showing.Wait()
	}
}

func (d *demo) view(ctx context.Context) view {
	v := view{devices: d.fleet.snapshot(), log: d.front.log.String()}
	if s, err := d.front.admin.Status(ctx); err == nil {
		brokers := d.cluster.addresses()
		v.endpoints, v.providers = endpoints(s, upstreamName, brokers[:]...), endpoints(s, hooksName, d.providers.addrs[:]...)
		v.answered, v.members = true, s.Members
	}
	now := time.Now()
	var said [2]hooks.Heard
	for i := range v.heard {
		said[i], v.heard[i].calls = d.providers.heard(i)
		v.heard[i].perSecond = d.callRates[i].perSecond(now, v.heard[i].calls)
	}
	for i := range v.heard {
		v.heard[i].clients = len(clientsOf(said[i], said[1-i]))
	}
	v.calls, v.callP50, v.callP99 = d.calls.total()
	v.messages, v.p50, v.p99 = d.fleet.messages(now)
	v.perSecond = d.rate.perSecond(now, v.messages.delivered)
	clients := d.cluster.clients()
	shown := make(map[int]bool) // one from each broker
	for _, s := range v.devices {
		if c, ok := clients[s.id]; ok && !shown[c.broker] {
			shown[c.broker] = true
			v.seen = append(v.seen, c.Addr.String())
		}
	}
	slices.Sort(v.seen)
	return v
}

// until asks every few milliseconds and reports whether the answer was yes
// before the limit passed or ctx ended.
func until(ctx context.Context, limit time.Duration, yes func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !yes() {
		if !pause(ctx, 10*time.Millisecond) {
			return false
		}
	}
	return true
}

// pause reports false when ctx ended before the time was over.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}
