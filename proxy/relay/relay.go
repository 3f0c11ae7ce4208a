package relay

import (
	"context"
	"errors"
	"math"
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
	// until it returns true. It must not keep the slice, nor wait.
	Observe func(p []byte) bool
	// Follow, if not nil, is shown what is passed on, of each direction in the
	// order in which it is sent and before it is. [Pair.Farewell] needs it, and so
	// does the counting of messages. It is the pair's alone until done is called.
	Follow Follower
	// Counters, if not nil, are added to as bytes move. Many pairs may share one.
	Counters *Counters
}

// Counters add up the bytes of many pairs, and of those with a Follower the
// messages. All are in one line of the cache, which the bytes of a read bring in
// anyway.
type Counters struct {
	FromClient         atomic.Uint64
	ToClient           atomic.Uint64
	MessagesFromClient atomic.Uint64
	MessagesToClient   atomic.Uint64
}

// addMessages counts n messages that a side sent. c may be nil.
func (c *Counters) addMessages(side, n int) {
	switch {
	case c == nil || n == 0:
	case side == client:
		c.MessagesFromClient.Add(uint64(n))
	default:
		c.MessagesToClient.Add(uint64(n))
	}
}

// Result is what became of a pair.
type Result struct {
	Reason Reason
	Err    error // what broke, for ClientReset and UpstreamReset

	FromClient, ToUpstream uint64 // bytes of payload, client to endpoint
	FromUpstream, ToClient uint64 // bytes of payload, endpoint to client; the words of a farewell are in ToClient
}

// Pair is a client and its endpoint while they are relayed.
type Pair interface {
	// Bytes returns how many bytes of payload came from the client and how many
	// went to it so far.
	Bytes() (fromClient, toClient uint64)
	// Close ends the pair and names why. What is being written may still go
	// within a second. It does not wait; done is called when both ends are
	// closed. Only the first reason counts.
	Close(why Reason)
	// Farewell ends the pair and names why, with words (nil: none) as the last
	// that the client is sent, at the first moment at which the endpoint's stream
	// is between two packets and no QoS 2 exchange is open. An open exchange is
	// waited for until patience is over, or the endpoint has closed; then only
	// the packet boundary is, for at most a second more. After that the pair is
	// closed without words. Never are words put inside a packet. Both ends are
	// told of the end by close_notify and FIN; what they send from then on is
	// dropped, for at most a second, since to close a socket with bytes unread
	// would destroy the words on their way.
	//
	// It does not wait; done is called as with Close. Only the first Farewell or
	// Close counts for the reason, also when an end closes while a farewell
	// waits, and the first Farewell for the words, which must not change until done
	// is called; many pairs may share them. Of several the one whose patience ends
	// first decides how long is waited. A Close
	// while a farewell waits ends it at once. Times have a grain of 100 ms.
	// Without Options.Follow it is Close.
	Farewell(why Reason, words []byte, patience time.Duration)
}

// The sides of a pair.
const (
	client   = 0
	upstream = 1
)

// Relay carries pairs of connections. Create it with [New]; it works while
// [Relay.Run] does.
type Relay struct {
	options RelayOptions
	began   time.Time
	loops   []*loop        // none: the portable implementation
	pairs   sync.WaitGroup // and streams, and what Go runs
	live    atomic.Int64
	held    atomic.Bool // by Hold

	// Of the portable implementation.
	clock  atomic.Int64 // ticks since the start
	wheel  wheel[*portablePair]
	groups portableGroups
}

// RelayOptions are those of a whole relay.
type RelayOptions struct {
	// Loops is how many event loops carry the pairs on Linux. With none, and elsewhere, two goroutines carry each pair.
	// GOMAXPROCS should exceed it: a busy loop keeps its processor while it
	// waits.
	Loops int
	// OnStall hears of a loop that has been at one turn for longer than a
	// second, once for each such turn, while that lasts.
	OnStall func(loop int, since time.Duration)
}

// New returns a relay that carries nothing yet.
func New(o RelayOptions) (*Relay, error) {
	r := &Relay{options: o, began: time.Now()}
	if err := r.openLoops(o.Loops); err != nil {
		return nil, err
	}
	return r, nil
}

// Close gives up what New opened, if Run is never called.
func (r *Relay) Close() {
	for _, l := range r.loops {
		l.close()
	}
}

// Run carries pairs and streams until ctx ends, and then returns when the last
// of them has ended. The caller closes those that are left, and adds none after
// ctx has ended.
func (r *Relay) Run(ctx context.Context) error {
	t := time.NewTicker(tick)
	defer t.Stop()
	var loops sync.WaitGroup
	for _, l := range r.loops {
		loops.Go(l.run)
	}
	watch := watchdog{relay: r}
	done := ctx.Done()
	drained := make(chan struct{})
	for {
		select {
		case <-t.C:
			if len(r.loops) > 0 {
				watch.look()
				continue
			}
			now := r.tick(time.Now())
			r.clock.Store(now)
			r.wheel.advance(now)
			r.groups.tick()
		case <-done:
			done = nil
			go func() {
				r.pairs.Wait()
				close(drained)
			}()
		case <-drained:
			for _, l := range r.loops {
				l.stop()
			}
			loops.Wait()
			r.groups.end()
			return nil
		}
	}
}

// tick is the time that all stamps and deadlines are in.
func (r *Relay) tick(now time.Time) int64 { return int64(now.Sub(r.began) / tick) }

// Stuck returns for how long a loop has been at one turn that takes longer than
// any should, zero if none has.
func (r *Relay) Stuck() time.Duration {
	longest := time.Duration(0)
	for _, l := range r.loops {
		longest = max(longest, r.stuck(l))
	}
	return longest
}

// Live returns how many pairs are being carried. Streams do not count.
func (r *Relay) Live() int { return int(r.live.Load()) }

var errNotRelayConn = errors.New("relay: the connection is neither a *relay.Conn nor a *relay.TLS or *tls.Conn over one")

// Go runs f, which does what comes before [Relay.Add] or [Group.Add]: it may read
// and write c and what it dials by c, and must not wait for anything else.
// [Conn.Abort] makes it stop waiting.
func (r *Relay) Go(c *Conn, f func()) {
	r.pairs.Add(1)
	if c.tcp != nil {
		go func() {
			defer r.pairs.Done()
			f()
		}()
		return
	}
	c.socket.loop.post(message{conn: c, run: f})
}

// Add takes ownership of both connections, each a [*Conn], or a [*TLS] or
// *tls.Conn over one with its handshake complete, and relays between them. It calls done
// exactly once, from another goroutine, after both are closed; done must not
// wait. If Add returns an error it took neither connection and does not call
// done.
func (r *Relay) Add(client, upstream net.Conn, o Options, done func(Result)) (Pair, error) {
	c, ok := newEnd(client)
	u, ok2 := newEnd(upstream)
	if !ok || !ok2 {
		return nil, errNotRelayConn
	}
	if len(r.loops) > 0 {
		return r.addToLoop(c, u, o, done)
	}
	return r.addPortable(c, u, o, done), nil
}

// ledger is what both implementations keep of a pair.
type ledger struct {
	options terms
	done    func(Result)

	fromClient, toUpstream atomic.Uint64
	fromUpstream, toClient atomic.Uint64

	ending atomic.Pointer[ending] // the first that applies
}

// terms are Options in the form that is kept for each pair.
type terms struct {
	counters     *Counters
	observe      func([]byte) bool // nil when it has seen enough
	idle, linger int32             // ticks; 0 is for ever; idle is negative where only the client's bytes count
}

type ending struct {
	reason Reason
	err    error
}

func newLedger(o Options, done func(Result)) ledger {
	t := terms{observe: o.Observe, counters: o.Counters}
	if o.Idle > 0 {
		t.idle = int32(min(ticks(o.Idle), math.MaxInt32))
		if o.IdleClient {
			t.idle = -t.idle
		}
	}
	if o.Linger > 0 {
		t.linger = int32(min(ticks(o.Linger), math.MaxInt32))
	}
	return ledger{options: t, done: done}
}

// Bytes implements Pair.
func (l *ledger) Bytes() (fromClient, toClient uint64) {
	return l.fromClient.Load(), l.toClient.Load()
}

// conclude records why the pair ends, unless that is known already.
func (l *ledger) conclude(why Reason, err error) {
	if l.ending.Load() == nil {
		l.ending.CompareAndSwap(nil, &ending{why, err})
	}
}

func (l *ledger) result() Result {
	e := l.ending.Load()
	return Result{
		Reason: e.reason, Err: e.err,
		FromClient: l.fromClient.Load(), ToUpstream: l.toUpstream.Load(),
		FromUpstream: l.fromUpstream.Load(), ToClient: l.toClient.Load(),
	}
}

// ticks rounds up and adds one, since the present tick is partly gone.
func ticks(d time.Duration) int64 { return int64((d+tick-1)/tick) + 1 }

// due is when a pair is to be looked at, or 0 for never: both implementations keep idle and linger alike.
func (l *ledger) due(lastClient, lastUpstream, linger int64) int64 {
	switch idle := int64(l.options.idle); {
	case idle > 0:
		return earlier(linger, max(lastClient, lastUpstream)+idle)
	case idle < 0:
		return earlier(linger, lastClient-idle)
	}
	return linger
}

// earlier is the first of two ticks, where 0 is never.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
