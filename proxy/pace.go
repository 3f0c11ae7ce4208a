package proxy

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mqedge/mqedge/proxy/admit"
	"github.com/mqedge/mqedge/proxy/relay"
)

// paceStep is the least time between two looks at whose turn it is. A gate
// loses no token by it.
const paceStep = 5 * time.Millisecond

var (
	errTooMany   = errors.New("too many at once")
	errLeftQueue = errors.New("the client left while it waited")
)

// pacer has connections wait for their turn at a gate. While any do, a goroutine
// of its own tells them when it comes.
type pacer struct {
	serving *sync.WaitGroup // the listener's, which the goroutine is one of

	mu      sync.Mutex
	gate    admit.Gate[*relay.Conn]
	running bool
	changed chan struct{} // holds one word to the goroutine that there is something new
}

func newPacer(serving *sync.WaitGroup, l admit.Limit) *pacer {
	p := &pacer{serving: serving, changed: make(chan struct{}, 1)}
	p.gate.Configure(l, time.Now())
	return p
}

// configure puts l in force, also for those that wait.
func (p *pacer) configure(l admit.Limit) {
	p.mu.Lock()
	p.gate.Configure(l, time.Now())
	p.mu.Unlock()
	p.look()
}

// waiting returns how many wait.
func (p *pacer) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gate.Len()
}

// pass returns nil when stream, of a client at from, may go on. It waits, in
// the stream's strand, until that is so, or the gate refuses it (errTooMany), or
// the stream is aborted (net.ErrClosed). It gives up when the client has left,
// unless halfClose says that this may be the client's way to end its request.
func (p *pacer) pass(stream *relay.Conn, from netip.Addr, halfClose bool) error {
	p.mu.Lock()
	if p.gate.Pass(time.Now()) {
		p.mu.Unlock()
		return nil
	}
	e := &admit.Entry[*relay.Conn]{Value: stream}
	displaced := p.gate.Enter(e, from, time.Now())
	p.run()
	p.mu.Unlock()
	if displaced != nil {
		displaced.Value.Wake()
	}
	for {
		if done, err := p.outcome(e); done {
			return err
		}
		err := stream.Park()
		if err == nil && !halfClose && stream.Left() {
			err = errLeftQueue
		}
		if err != nil {
			p.leave(e)
			return err
		}
	}
}

func (p *pacer) outcome(e *admit.Entry[*relay.Conn]) (done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Outcome() {
	case admit.Waiting:
		return false, nil
	case admit.Admitted:
		return true, nil
	}
	return true, errTooMany
}

func (p *pacer) leave(e *admit.Entry[*relay.Conn]) {
	p.mu.Lock()
	p.gate.Cancel(e)
	p.mu.Unlock()
	p.look()
}

// look has the goroutine, if there is one, look again before its time.
func (p *pacer) look() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// run starts the goroutine unless it runs, if anybody waits. The caller holds
// the lock, and is one of serving.
func (p *pacer) run() {
	if p.running || p.gate.Len() == 0 {
		return
	}
	p.running = true
	p.serving.Go(p.tell)
}

// tell tells those that wait when they may go on or need not wait any longer, until
// nobody waits.
func (p *pacer) tell() {
	t := time.NewTimer(0)
	defer t.Stop()
	var settled []*admit.Entry[*relay.Conn]
	for {
		p.mu.Lock()
		now := time.Now()
		settled = p.gate.Admit(now, settled[:0])
		next, more := p.gate.Next()
		p.running = more
		p.mu.Unlock()
		for _, e := range settled {
			e.Value.Wake()
		}
		if !more {
			return
		}
		clear(settled)
		t.Reset(max(next.Sub(now), paceStep))
		select {
		case <-t.C:
		case <-p.changed:
		}
	}
}

// waitTurn has the connection wait until connect_rate lets it in.
func (c *conn) waitTurn(stream *relay.Conn) error {
	s := c.early.settings
	if s.ConnectRate.PerSecond == 0 {
		return nil
	}
	// A shutdown may end the request of a client whose bytes nobody understands.
	halfClose := s.Protocol == TCP && s.TLS == nil
	if err := c.listener.connects.pass(stream, c.from().Addr(), halfClose); err != nil {
		r := notPassed(err, reasonConnectRate)
		r.limit = err == errTooMany && s.TLS == nil // a handshake only to say so would be the storm
		return r
	}
	// A reload may have come while it waited: it goes where clients go now, unless that is another kind of listener.
	if now := c.listener.settings.Load(); now.Protocol == s.Protocol && (now.TLS == nil) == (s.TLS == nil) {
		c.early.settings = now
	}
	return nil
}

// notPassed is the refusal for an error of pass.
func notPassed(err error, reason string) *refusal {
	switch {
	case err == errTooMany:
		return &refusal{reason: reason, status: 503}
	case err == errLeftQueue, errors.Is(err, net.ErrClosed):
		return &refusal{reason: reasonClientGone, status: 400, err: err}
	}
	return &refusal{reason: reasonLocalLimit, status: 500, err: err}
}

// turnstile is where a full handshake waits.
type turnstile struct {
	conn    *conn
	stream  *relay.Conn
	expires time.Time     // the deadline of the handshake, but for
	waited  time.Duration // which does not count
	refused *refusal      // instead of the error of the handshake
}

// pass is what [relay.Relay.Handshake] calls. On error it has closed the stream, so
// that no alert is sent: none says to come back later.
func (t *turnstile) pass() error {
	began := time.Now()
	err := errTooMany
	if !t.conn.early.turnedAway { // else it would take the turn of one that can be served
		err = t.conn.listener.fulls.pass(t.stream, t.conn.from().Addr(), false)
	}
	t.waited = time.Since(began)
	if err != nil {
		t.refused = notPassed(err, reasonHandshakeRate)
		t.stream.Close()
		return err
	}
	t.stream.SetDeadline(t.expires.Add(t.waited))
	return nil
}
