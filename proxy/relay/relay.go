package relay

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// tick is the grain of idle times and of activity stamps.
const tick = 100 * time.Millisecond

// abortGrace is how long a pair that was told to close may finish the write it
// is in the middle of.
const abortGrace = time.Second

// errorLinger is how long the other direction may go on after one direction
// broke, so that what a peer sent before it died still arrives.
const errorLinger = time.Second

// Reason says why a pair ended.
type Reason string

const (
	ClientClosed   Reason = "client_closed"   // the client ended its stream first
	UpstreamClosed Reason = "upstream_closed" // the endpoint ended its stream first
	ClientReset    Reason = "client_reset"    // the connection to the client broke
	UpstreamReset  Reason = "upstream_reset"  // the connection to the endpoint broke
	IdleTimeout    Reason = "idle_timeout"    // Options.Idle passed without bytes
)

// Options say how one pair is relayed. The zero value relays until both ends
// have closed.
type Options struct {
	// Idle is how long the pair may carry nothing; zero means for ever. It is
	// observed with a grain of 100 ms.
	Idle time.Duration
	// IdleClient makes only bytes from the client count against Idle, as
	// MQTT 5.0 section 3.1.2.10 asks of a server.
	IdleClient bool
	// Linger bounds how long one direction may outlive the other; zero means
	// as long as Idle allows, which is what half-close needs.
	Linger time.Duration
	// Observe is shown the bytes from the endpoint, before they are passed on,
	// until it returns true. It must not keep the slice.
	Observe func(p []byte) bool
	// Counters, if not nil, are added to as bytes move. Many pairs may share one.
	Counters *Counters
}

// Counters add up the bytes of many pairs.
type Counters struct {
	FromClient atomic.Uint64
	ToClient   atomic.Uint64
}

// Result is what became of a pair.
type Result struct {
	Reason Reason
	Err    error // what broke, for ClientReset and UpstreamReset

	FromClient, ToUpstream uint64 // bytes of payload, client to endpoint
	FromUpstream, ToClient uint64 // bytes of payload, endpoint to client
}

// Relay carries pairs of connections. Create it with [New]; it works while
// [Relay.Run] does.
type Relay struct {
	clock atomic.Int64 // ticks since the start
	wheel wheel
	flows sync.WaitGroup
	live  atomic.Int64
}

// New returns a relay that carries nothing yet.
func New() *Relay {
	r := &Relay{}
	r.wheel.init()
	return r
}

// Run keeps the time of all pairs until ctx ends, and then returns when the
// last pair has ended. The caller closes the pairs that are left, and adds
// none after ctx has ended.
func (r *Relay) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	start := time.Now()
	done := ctx.Done()
	drained := make(chan struct{})
	for {
		select {
		case <-t.C:
			now := int64(time.Since(start) / tick)
			r.clock.Store(now)
			r.wheel.advance(now)
		case <-done:
			done = nil
			go func() {
				r.flows.Wait()
				close(drained)
			}()
		case <-drained:
			return nil
		}
	}
}

// Live returns how many pairs are being carried.
func (r *Relay) Live() int { return int(r.live.Load()) }

// Add takes ownership of both connections, each a [*Conn] or a *tls.Conn over
// one with its handshake complete, and relays between them. It calls done
// exactly once, from another goroutine, after both are closed. If it returns
// an error it took neither connection and does not call done.
func (r *Relay) Add(client, upstream net.Conn, o Options, done func(Result)) (*Pair, error) {
	c, err := newEnd(client)
	if err != nil {
		return nil, err
	}
	u, err := newEnd(upstream)
	if err != nil {
		return nil, err
	}
	p := &Pair{relay: r, client: c, upstream: u, options: o, done: done}
	p.start()
	return p, nil
}
