package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Pair is a client and its endpoint while they are relayed.
type Pair struct {
	relay            *Relay
	client, upstream end
	up, down         flow // client to upstream, upstream to client
	options          Options
	done             func(Result)

	lastClient, lastUpstream atomic.Int64 // ticks at which bytes last came
	lingerUntil              atomic.Int64 // tick; 0 while both directions are open
	fromClient, toUpstream   atomic.Uint64
	fromUpstream, toClient   atomic.Uint64
	running                  atomic.Int32 // directions

	mu     sync.Mutex
	reason Reason // the first that applies
	err    error

	// Owned by the wheel.
	next, prev   *Pair
	slot         int32
	filed, ended bool
}

func (p *Pair) start() {
	now := p.relay.clock.Load()
	p.lastClient.Store(now)
	p.lastUpstream.Store(now)
	p.client.conn.startRelaying()
	p.upstream.conn.startRelaying()
	if p.options.Idle > 0 {
		p.relay.wheel.put(p, now+ticks(p.options.Idle))
	}
	p.running.Store(2)
	p.relay.live.Add(1)
	p.relay.flows.Add(2)
	p.up = flow{
		pair: p, src: p.client, dst: p.upstream,
		last: &p.lastClient, in: &p.fromClient, out: &p.toUpstream,
		closed: ClientClosed, srcBroke: ClientReset, dstBroke: UpstreamReset,
	}
	p.down = flow{
		pair: p, src: p.upstream, dst: p.client,
		last: &p.lastUpstream, in: &p.fromUpstream, out: &p.toClient,
		closed: UpstreamClosed, srcBroke: UpstreamReset, dstBroke: ClientReset,
		observe: p.options.Observe,
	}
	if c := p.options.Counters; c != nil {
		p.up.sharedIn, p.down.sharedOut = &c.FromClient, &c.ToClient
	}
	go p.run(&p.up)
	go p.run(&p.down)
}

// Bytes returns how many bytes of payload came from the client and how many
// went to it so far.
func (p *Pair) Bytes() (fromClient, toClient uint64) {
	return p.fromClient.Load(), p.toClient.Load()
}

// Close ends the pair and names why. A write that is under way may finish
// within a second. It does not wait; done is called when both ends are closed.
// Only the first reason counts.
func (p *Pair) Close(why Reason) {
	p.conclude(why, nil)
	past := time.Unix(1, 0)
	soon := time.Now().Add(abortGrace)
	for _, e := range []end{p.client, p.upstream} {
		e.conn.SetWriteDeadline(soon)
		e.conn.SetReadDeadline(past)
	}
}

// conclude records why the pair ends, unless that is known already.
func (p *Pair) conclude(why Reason, err error) {
	p.mu.Lock()
	if p.reason == "" {
		p.reason, p.err = why, err
	}
	p.mu.Unlock()
}

func (p *Pair) run(f *flow) {
	defer p.relay.flows.Done()
	f.run()
	if p.running.Add(-1) > 0 {
		return
	}
	p.relay.wheel.remove(p)
	p.client.close(!p.down.discard)
	p.upstream.close(!p.up.discard)
	p.relay.live.Add(-1)
	p.mu.Lock()
	res := Result{
		Reason: p.reason, Err: p.err,
		FromClient: p.fromClient.Load(), ToUpstream: p.toUpstream.Load(),
		FromUpstream: p.fromUpstream.Load(), ToClient: p.toClient.Load(),
	}
	p.mu.Unlock()
	p.done(res)
}

// linger bounds what is left of the pair once a direction has ended.
func (p *Pair) linger(d time.Duration) {
	if d <= 0 {
		return
	}
	until := p.relay.clock.Load() + ticks(d)
	if old := p.lingerUntil.Load(); old != 0 && old <= until {
		return
	}
	p.lingerUntil.Store(until)
	p.relay.wheel.put(p, until)
}

// check is called by the wheel: it closes the pair when its time is up, and
// otherwise returns the tick at which to look again, or 0 for never.
func (p *Pair) check(now int64) (again int64) {
	linger := p.lingerUntil.Load()
	if linger != 0 && now >= linger {
		p.Close(IdleTimeout) // a reason is set by now: this one does not count
		return 0
	}
	if p.options.Idle <= 0 {
		return linger
	}
	last := p.lastClient.Load()
	if !p.options.IdleClient {
		last = max(last, p.lastUpstream.Load())
	}
	due := last + ticks(p.options.Idle)
	if now >= due {
		p.Close(IdleTimeout)
		return 0
	}
	if linger != 0 {
		due = min(due, linger)
	}
	return due
}

// ticks rounds up and adds one, since the present tick is partly gone.
func ticks(d time.Duration) int64 { return int64((d+tick-1)/tick) + 1 }

// flow is one direction of a pair.
type flow struct {
	pair     *Pair
	src, dst end
	last     *atomic.Int64
	in, out  *atomic.Uint64
	observe  func([]byte) bool

	sharedIn, sharedOut *atomic.Uint64 // nil where nobody counts

	closed, srcBroke, dstBroke Reason

	discard bool // dst broke: take what src still sends, so that it can end well
}

// run copies until src has ended or the pair was told to close, and passes the
// end on to dst.
func (f *flow) run() {
	err := f.copy()
	p := f.pair
	switch {
	case errors.Is(err, io.EOF):
		p.conclude(f.closed, nil)
		p.linger(p.options.Linger)
	case isTimeout(err): // Close was called
	default:
		p.conclude(f.srcBroke, err)
		p.linger(errorLinger)
	}
	if !f.discard {
		f.dst.closeWrite()
	}
}

func (f *flow) copy() error {
	defer f.src.conn.release()
	if f.src.tls != nil {
		return f.copyTLS()
	}
	for {
		if err := f.src.conn.fill(); err != nil {
			return err
		}
		f.forward(f.src.conn.unread)
		f.src.conn.unread = nil
		f.src.conn.release()
	}
}

func (f *flow) copyTLS() error {
	for {
		if err := f.decrypt(); err != nil {
			return err
		}
		f.src.conn.release()
		if err := f.src.conn.fill(); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// decrypt forwards what crypto/tls can make of the bytes at hand. The first
// call also brings what the handshake left behind.
func (f *flow) decrypt() error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := f.src.tls.Read(buf[:])
		if n > 0 {
			f.forward(buf[:n])
		}
		if err == errNoData {
			return nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			// FIN without close_notify: common among devices. The bytes of
			// MQTT say themselves where they end, so nothing can be cut off
			// unnoticed.
			return io.EOF
		}
		if err != nil {
			return err
		}
	}
}

func (f *flow) forward(b []byte) {
	f.last.Store(f.pair.relay.clock.Load())
	f.in.Add(uint64(len(b)))
	if f.observe != nil && f.observe(b) {
		f.observe = nil
	}
	if f.sharedIn != nil {
		f.sharedIn.Add(uint64(len(b)))
	}
	if f.discard {
		return
	}
	n, err := f.dst.Write(b)
	f.out.Add(uint64(n))
	if f.sharedOut != nil {
		f.sharedOut.Add(uint64(n))
	}
	if err == nil {
		return
	}
	f.discard = true
	if !isTimeout(err) {
		f.pair.conclude(f.dstBroke, err)
		f.pair.linger(errorLinger)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
