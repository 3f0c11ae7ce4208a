// Package carrier carries an upstream of package exhook in an event loop of
// package relay: the connections of its clients and those to its providers.
//
// Everything of one upstream happens in one loop, one event at a time, and what a
// turn of the loop has to send on a connection is one write. The package knows
// neither what calls mean nor what bytes do: it ties the three together.
package carrier

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/exhook"
	"github.com/mqedge/mqedge/exhook/grpcrelay"
	"github.com/mqedge/mqedge/proxy/relay"
)

// Carrier serves connections of clients for one upstream. It lives as long as its
// relay; without connections it costs next to nothing.
type Carrier struct {
	*exhook.Upstream
	calls   *grpcrelay.Group
	streams relay.Group
	clients map[*downstream]bool // those of the loop's; nothing else looks at them
	leaving []chan struct{}      // likewise: to be closed when there is no client; not nil: there are to be none
	busy    atomic.Bool          // a call was under way at the last tick
}

// grain is that of deadlines while there are calls. What the loop's own ticks give
// is too coarse: EMQX would miss the answer.
const grain = 20 * time.Millisecond

// New makes a carrier in the loop with that index. It starts nothing; its
// Upstream's Run is owed.
func New(r *relay.Relay, loop int, o exhook.Options) *Carrier {
	c := &Carrier{clients: make(map[*downstream]bool)}
	c.Upstream = exhook.New(o, events{c})
	c.calls = grpcrelay.NewGroup(c.Upstream.Relay())
	c.streams = r.NewGroup(relay.GroupOptions{
		Loop: loop,
		Turn: c.calls.Flush,
		Tick: c.tick,
	})
	return c
}

func (c *Carrier) tick() {
	c.calls.Tick(time.Now())
	c.busy.Store(c.calls.Calls() > 0)
}

// Run is the Upstream's, and keeps the time of its calls.
func (c *Carrier) Run(ctx context.Context) {
	var keeping sync.WaitGroup
	defer keeping.Wait()
	within, stop := context.WithCancel(context.Background())
	defer stop()
	keeping.Go(func() {
		t := time.NewTicker(grain)
		defer t.Stop()
		for {
			select {
			case <-within.Done():
				return
			case <-t.C:
				if c.busy.Load() {
					c.streams.Do(c.tick)
				}
			}
		}
	})
	c.Upstream.Run(ctx)
}

// Leave parts with all clients as soon as they have no call under way, those too that are added from now on, and waits for what
// they were answered before it was done. It returns ctx's error when that comes before.
func (c *Carrier) Leave(ctx context.Context) error {
	gone := make(chan struct{})
	if !c.streams.Do(func() {
		c.leaving = append(c.leaving, gone)
		for d := range c.clients {
			d.client.Drain()
		}
		c.left()
	}) {
		return nil
	}
	select {
	case <-gone: // before the providers are: a call may have crossed the news that we leave
	case <-ctx.Done():
		return ctx.Err()
	}
	return c.Upstream.Drain(ctx)
}

// left tells those who wait for it that there is no client.
func (c *Carrier) left() {
	if len(c.clients) > 0 {
		return
	}
	for _, gone := range c.leaving {
		close(gone)
	}
	c.leaving = c.leaving[:0]
}

// Add takes ownership of a client's connection, as [relay.Group].Add does, and
// serves the calls that come by it. The bytes that move are added to counters. done
// is called once, when the connection is closed; it must not wait.
func (c *Carrier) Add(client net.Conn, counters *relay.Counters, done func(relay.Result)) (relay.Pair, error) {
	d := &downstream{carrier: c, counters: counters, done: done}
	err := c.streams.Add(client, func(s relay.Stream) relay.Handler {
		d.stream = s
		d.client = c.calls.Client(output{d})
		c.clients[d] = true
		if c.leaving != nil { // it was accepted before
			d.client.Drain()
		}
		return d
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// events runs the upstream among the events of its connections.
type events struct{ carrier *Carrier }

// Do implements [exhook.Loop].
func (e events) Do(f func(*grpcrelay.Group)) bool {
	return e.carrier.streams.Do(func() { f(e.carrier.calls) })
}

// AddProvider implements [exhook.Loop]. nc is what [Dial] returned.
func (e events) AddProvider(nc net.Conn, o grpcrelay.ProviderOptions, begun func(*grpcrelay.Provider)) error {
	err := e.carrier.streams.Add(nc, func(s relay.Stream) relay.Handler {
		p := e.carrier.calls.Provider(s, o)
		begun(p)
		return upstream{p}
	})
	if err != nil {
		nc.Close()
	}
	return err
}

// upstream is a connection to a provider.
type upstream struct{ *grpcrelay.Provider }

// Drained implements [relay.Handler].
func (u upstream) Drained() { u.Resume() }

// Dial connects to addr, host:port, with TLS if config is not nil, for AddProvider.
func Dial(ctx context.Context, addr string, keepAlive net.KeepAliveConfig, config func(serverName string) *tls.Config) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: keepAlive}
	tcp, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn, err := relay.NewConn(tcp.(*net.TCPConn), nil)
	if err != nil || config == nil {
		return conn, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		conn.Close()
		return nil, err
	}
	own := config(host).Clone()
	own.NextProtos = []string{"h2"} // RFC 9113 section 3.2
	secure := tls.Client(conn, own)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}
