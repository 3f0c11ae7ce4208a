package relay

import (
	"net"
	"os"
	"sync"
	"time"
)

// Acceptor takes connections off a listening socket in the form that is best
// for its relay.
type Acceptor struct {
	relay  *Relay
	ln     *net.TCPListener // nil with loops
	listen *Conn            // of a loop

	mu      sync.Mutex
	running bool
	closed  chan struct{}
}

// Acceptor returns one for ln, which is its own from then on. Connections have
// its TCP_NODELAY, and what [Acceptor.Configure] says.
func (r *Relay) Acceptor(ln *net.TCPListener) (*Acceptor, error) {
	a := &Acceptor{relay: r, ln: ln, closed: make(chan struct{})}
	if len(r.loops) == 0 {
		return a, nil
	}
	defer ln.Close() // Go's netpoller is not to hear of the socket
	raw, err := ln.SyscallConn()
	if err != nil {
		return nil, err
	}
	a.listen, err = r.listenInLoop(raw)
	a.ln = nil
	return a, err
}

// Configure makes the connections that come from now on have the options of t. On
// Linux they inherit all of them from the listening socket; elsewhere only
// whether they are probed. It does nothing after Close.
func (a *Acceptor) Configure(t TCP) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.closed:
		return nil
	default:
	}
	if a.listen != nil {
		return t.listen(a.listen.socket.fd)
	}
	raw, err := a.ln.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = t.listen(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// File returns the listening socket once more, for another process to listen on too. The caller closes it. Its error is
// net.ErrClosed after Close.
func (a *Acceptor) File() (*os.File, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.closed:
		return nil, net.ErrClosed
	default:
	}
	if a.listen != nil {
		return a.listen.socket.file()
	}
	return fileOf(a.ln)
}

// Run runs f, which may wait by Accept and Pause alone, and returns after it. It
// is called once.
func (a *Acceptor) Run(f func()) {
	a.mu.Lock()
	select {
	case <-a.closed:
		a.mu.Unlock()
		return
	default:
	}
	a.running = true
	a.mu.Unlock()
	if a.listen == nil {
		f()
		return
	}
	done := make(chan struct{})
	a.relay.Go(a.listen, func() {
		f()
		a.listen.Close()
		close(done)
	})
	<-done
}

// Close ends the waiting of the function that runs, if one does. It is called
// once. Connections that the kernel still queues are reset when Run returns.
func (a *Acceptor) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(a.closed)
	switch {
	case a.listen == nil:
		a.ln.Close()
	case a.running:
		a.listen.Abort()
	default:
		a.listen.Close()
	}
}

// Accept waits for the next connection, which is to be given to [Relay.Go]. Its
// error is net.ErrClosed after Close, or one of accept(2).
func (a *Acceptor) Accept() (*Conn, error) {
	if a.listen != nil {
		return a.relay.acceptInLoop(a.listen)
	}
	tcp, err := a.ln.AcceptTCP()
	if err != nil {
		return nil, err
	}
	for a.relay.held.Load() { // it was waiting when it came to that
		if !a.Pause(holdLook) {
			tcp.Close()
			return nil, net.ErrClosed
		}
	}
	return NewConn(tcp, nil)
}

// Pause waits for d, or until Close, and then reports false.
func (a *Acceptor) Pause(d time.Duration) bool {
	if a.listen != nil {
		return a.listen.socket.pause(d)
	}
	select {
	case <-a.closed:
		return false
	case <-time.After(d):
		return true
	}
}

// holdLook is how long after Hold(false) accepting goes on at the latest.
const holdLook = 100 * time.Millisecond

// Hold makes all acceptors of the relay wait, those that come later too, or go
// on. Connections stay in the kernel's queue meanwhile, but for one that a
// portable acceptor may have in hand; those that are carried go on.
func (r *Relay) Hold(on bool) { r.held.Store(on) }
