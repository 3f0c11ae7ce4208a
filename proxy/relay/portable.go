package relay

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The portable implementation: a goroutine for each direction, which borrows a
// buffer only while there are bytes to carry.

// bufferSize is the most that one read takes. A TLS record holds at most 16 KiB
// of plaintext (RFC 8446 section 5.1), so two records fit.
const bufferSize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

type portablePair struct {
	ledger
	onWheel          timer[*portablePair]
	relay            *Relay
	client, upstream end
	up, down         flow     // client to upstream, upstream to client
	parting          *parting // nil if nobody takes leave

	lastClient, lastUpstream atomic.Int64 // ticks at which bytes last came
	lingerUntil              atomic.Int64 // tick; 0 while both directions are open
	running                  atomic.Int32 // directions
}

func (r *Relay) addPortable(c, u end, o Options, done func(Result)) *portablePair {
	p := &portablePair{relay: r, client: c, upstream: u}
	p.ledger = newLedger(o, done)
	now := r.clock.Load()
	p.lastClient.Store(now)
	p.lastUpstream.Store(now)
	for _, e := range []end{c, u} {
		e.conn.relayed = true
		e.conn.portable = newReceiver(e.conn.raw)
	}
	if o.Idle > 0 {
		r.wheel.put(p, now+ticks(o.Idle))
	}
	p.up = flow{
		pair: p, src: c, dst: u,
		last: &p.lastClient, in: &p.fromClient, out: &p.toUpstream,
		closed: ClientClosed, srcBroke: ClientReset, dstBroke: UpstreamReset,
	}
	p.down = flow{
		pair: p, src: u, dst: c,
		last: &p.lastUpstream, in: &p.fromUpstream, out: &p.toClient,
		closed: UpstreamClosed, srcBroke: UpstreamReset, dstBroke: ClientReset,
		observe: o.Observe,
	}
	if o.Counters != nil {
		p.up.sharedIn, p.down.sharedOut = &o.Counters.FromClient, &o.Counters.ToClient
	}
	if o.Follow != nil {
		p.parting = &parting{follow: o.Follow}
	}
	p.running.Store(2)
	r.live.Add(1)
	r.pairs.Add(1)
	go p.run(&p.up)
	go p.run(&p.down)
	return p
}

// Close implements Pair.
func (p *portablePair) Close(why Reason) {
	p.conclude(why, nil)
	if p.parting != nil {
		p.parting.forget()
	}
	p.interrupt(time.Now().Add(abortGrace))
}

// interrupt ends the reading at once and the writing at a time.
func (p *portablePair) interrupt(writeBy time.Time) {
	past := time.Unix(1, 0)
	for _, e := range []end{p.client, p.upstream} {
		e.conn.SetWriteDeadline(writeBy)
		e.conn.SetReadDeadline(past)
	}
}

func (p *portablePair) run(f *flow) {
	f.run()
	if p.running.Add(-1) > 0 {
		return
	}
	p.relay.wheel.remove(p)
	p.client.close(!p.down.discard)
	p.upstream.close(!p.up.discard)
	p.relay.live.Add(-1)
	p.done(p.result())
	p.relay.pairs.Done()
}

// linger bounds what is left of the pair once a direction has ended.
func (p *portablePair) linger(span int32) {
	if span == 0 {
		return
	}
	until := p.relay.clock.Load() + int64(span)
	if old := p.lingerUntil.Load(); old != 0 && old <= until {
		return
	}
	p.lingerUntil.Store(until)
	p.relay.wheel.put(p, p.next())
}

func (p *portablePair) timer() *timer[*portablePair] { return &p.onWheel }

// check implements timed.
func (p *portablePair) check(now int64) (again int64) {
	due := p.due(p.lastClient.Load(), p.lastUpstream.Load(), p.lingerUntil.Load())
	if due != 0 && now >= due {
		p.Close(IdleTimeout) // lingering, the reason is set already and this one does not count
		return 0
	}
	p.lookAgain(now)
	return p.next()
}

// next is when the pair is to be looked at, or 0 for never.
func (p *portablePair) next() int64 {
	due := p.due(p.lastClient.Load(), p.lastUpstream.Load(), p.lingerUntil.Load())
	if p.parting != nil {
		due = earlier(due, p.parting.look())
	}
	return due
}

// receiver reads from a socket through Go's netpoller without holding a buffer
// while it waits.
type receiver struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // tryReceive, made into a func value once
	buf *[bufferSize]byte     // borrowed
	n   int
	err error
}

func newReceiver(raw syscall.RawConn) *receiver {
	r := &receiver{raw: raw}
	r.try = r.tryReceive
	return r
}

// receive waits until bytes have come and returns them; they are valid until
// release. At the end of the stream it returns io.EOF.
func (r *receiver) receive() ([]byte, error) {
	if err := r.raw.Read(r.try); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	if r.n == 0 {
		return nil, io.EOF
	}
	return r.buf[:r.n], nil
}

// tryReceive is the body of receive as syscall.RawConn.Read wants it: false
// means that it shall be called again when the socket is readable.
func (r *receiver) tryReceive(fd uintptr) bool {
	if r.buf == nil {
		r.buf = buffers.Get().(*[bufferSize]byte)
	}
	for {
		n, err := syscall.Read(int(fd), r.buf[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			r.release()
			return false
		case err != nil:
			r.n, r.err = 0, os.NewSyscallError("read", err)
			return true
		}
		r.n = n
		return true
	}
}

func (r *receiver) release() {
	if r.buf != nil {
		buffers.Put(r.buf)
		r.buf = nil
	}
}

// flow is one direction of a pair.
type flow struct {
	pair     *portablePair
	src, dst end
	last     *atomic.Int64
	in, out  *atomic.Uint64
	observe  func([]byte) bool

	sharedIn, sharedOut *atomic.Uint64 // nil where nobody counts

	closed, srcBroke, dstBroke Reason

	discard bool // dst broke: take what src still sends, so that it can end well
}

// from is the side of src.
func (f *flow) from() int {
	if f == &f.pair.up {
		return client
	}
	return upstream
}

// run copies until src has ended or the pair was told to close, and passes the
// end on to dst.
func (f *flow) run() {
	err := f.copy()
	f.src.conn.portable.release()
	p := f.pair
	switch {
	case errors.Is(err, io.EOF):
		p.conclude(f.closed, nil)
		p.linger(p.options.linger)
	case isTimeout(err): // Close was called
	default:
		p.conclude(f.srcBroke, err)
		p.linger(int32(ticks(errorLinger)))
	}
	parted := p.partAtEnd(f)
	if !f.discard {
		f.dst.closeWrite()
	}
	if parted {
		f.drain()
	}
}

// copy returns what ended src, never nil.
func (f *flow) copy() error {
	c := f.src.conn
	if err := f.take(); err != nil {
		return err
	}
	for {
		b, err := c.portable.receive()
		c.unread, c.end = b, err
		if isTimeout(err) {
			return err
		}
		if err := f.take(); err != nil {
			return err
		}
		c.portable.release()
	}
}

// take forwards what can be made of the bytes at hand. The first call also
// brings what came with the handshake.
func (f *flow) take() error {
	c := f.src.conn
	if f.src.tls == nil {
		if len(c.unread) > 0 {
			f.forward(c.unread)
			c.unread = nil
		}
		return c.end
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := f.src.tls.Read(buf[:])
		if n > 0 {
			f.forward(buf[:n])
		}
		switch {
		case err == errNoData:
			return nil
		case err != nil:
			return streamEnd(err)
		}
	}
}

// streamEnd takes FIN without close_notify for an ordinary end: it is common
// among devices, and the bytes of MQTT say themselves where they end, so
// nothing can be cut off unnoticed.
func streamEnd(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}

func (f *flow) forward(b []byte) {
	if f.pair.parting != nil {
		if b = f.pair.show(f.from(), b); len(b) == 0 {
			return
		}
	}
	f.last.Store(f.pair.relay.clock.Load())
	f.in.Add(uint64(len(b)))
	if f.observe != nil && f.observe(b) {
		f.observe = nil
	}
	if f.sharedIn != nil {
		f.sharedIn.Add(uint64(len(b)))
	}
	f.deliver(b)
}

// deliver sends payload to dst.
func (f *flow) deliver(b []byte) {
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
		f.pair.linger(int32(ticks(errorLinger)))
	}
}

// isTimeout reports whether a deadline of ours passed. A connection that timed
// out in the kernel (ETIMEDOUT) is not meant.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func (e end) Write(p []byte) (int, error) {
	if e.tls != nil {
		return e.tls.Write(p)
	}
	return e.conn.Write(p)
}

// closeWrite passes the end of a stream on: close_notify where there is TLS
// (RFC 8446 section 6.1), then FIN.
func (e end) closeWrite() {
	if e.tls != nil {
		e.tls.CloseWrite()
	}
	e.conn.CloseWrite()
}

// close ends both directions. A peer that still takes bytes gets a
// close_notify first where there is TLS.
func (e end) close(takes bool) {
	if e.tls != nil && takes {
		e.tls.Close()
		return
	}
	e.conn.Close()
}
