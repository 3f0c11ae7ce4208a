package grpcrelay

import (
	"context"
	"net"
	"sync"
	"time"
)

// Driver is the portable way to run a group: two goroutines for a connection and
// a lock for all of them. Where there is an event loop, the loop is the better driver.
type Driver struct {
	mu    sync.Mutex
	group *Group
}

// NewDriver makes a group and a driver for it. It starts nothing.
func NewDriver(o Options) *Driver { return &Driver{group: NewGroup(o)} }

// Do runs f with the group for itself and sends what came of it. The handler runs
// in here as well, so it must not call Do.
func (d *Driver) Do(f func(*Group)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.group.tell()
	f(d.group)
	d.group.Flush()
}

// Run sees to deadlines until ctx ends.
func (d *Driver) Run(ctx context.Context) {
	t := time.NewTicker(time.Duration(wheelTick))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			d.Do(func(g *Group) { g.Tick(now) })
		}
	}
}

// ServeClient carries a connection of a client until it has ended, and closes it.
// begun, if not nil, is called first with the group locked.
func (d *Driver) ServeClient(nc net.Conn, begun func(*Client)) {
	w := newWriter(nc)
	var cl *Client
	d.Do(func(g *Group) {
		cl = g.Client(w)
		if begun != nil {
			begun(cl)
		}
	})
	d.serve(w, cl)
}

// ServeProvider does the same for a connection to a provider.
func (d *Driver) ServeProvider(nc net.Conn, o ProviderOptions, begun func(*Provider)) {
	w := newWriter(nc)
	var p *Provider
	d.Do(func(g *Group) {
		p = g.Provider(w, o)
		if begun != nil {
			begun(p)
		}
	})
	d.serve(w, p)
}

// driven is what the driver knows of both kinds of connection.
type driven interface {
	Receive([]byte)
	Resume()
	Ended(error)
}

func (d *Driver) serve(w *writer, c driven) {
	var writing sync.WaitGroup
	writing.Go(func() { w.run(func() { d.Do(func(*Group) { c.Resume() }) }) })
	b := make([]byte, 64<<10)
	for {
		n, err := w.nc.Read(b)
		if n > 0 {
			d.Do(func(*Group) { c.Receive(b[:n]) })
		}
		if err != nil {
			// Before Ended, which asks for the backlog: a write that is under way may
			// have reached the peer, and a call in it must not count as never sent.
			w.stop()
			writing.Wait()
			d.Do(func(*Group) { c.Ended(err) })
			break
		}
	}
	w.nc.Close()
}

// writer sends to a net.Conn from a goroutine of its own.
type writer struct {
	nc      net.Conn
	mu      sync.Mutex
	more    *sync.Cond
	pending []byte
	sending int // bytes of the write that is under way
	closing bool
	stopped bool
}

// closeTimeout bounds how long a connection may take to be closed in good order.
const closeTimeout = 5 * time.Second

func newWriter(nc net.Conn) *writer {
	w := &writer{nc: nc}
	w.more = sync.NewCond(&w.mu)
	return w
}

func (w *writer) Write(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, b...) // also when nothing is sent any more: Backlog tells so
	w.more.Signal()
}

func (w *writer) Backlog() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending) + w.sending
}

func (w *writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = true
	w.nc.SetDeadline(time.Now().Add(closeTimeout))
	w.more.Signal()
}

// stop ends run at once.
func (w *writer) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.nc.SetWriteDeadline(time.Unix(1, 0))
	w.more.Signal()
}

// run sends until the connection is closed or fails, and calls sent after each write.
func (w *writer) run(sent func()) {
	var b []byte
	for {
		w.mu.Lock()
		for len(w.pending) == 0 && !w.closing && !w.stopped {
			w.more.Wait()
		}
		if w.stopped || len(w.pending) == 0 {
			w.mu.Unlock()
			w.finish()
			return
		}
		b, w.pending = w.pending, b[:0]
		w.sending = len(b)
		w.mu.Unlock()
		n, err := w.nc.Write(b)
		w.mu.Lock()
		w.sending = len(b) - n
		w.stopped = w.stopped || err != nil
		w.mu.Unlock()
		if err != nil {
			w.nc.Close() // the reader reports it
			return
		}
		sent()
	}
}

// finish ends the connection such that what was sent arrives: a close with bytes
// unread would be a reset, which may overtake the last frames.
func (w *writer) finish() {
	if half, ok := w.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
		w.nc.SetReadDeadline(time.Now().Add(time.Second))
		return
	}
	w.nc.Close()
}
