package relay

import (
	"crypto/tls"
	"time"

	"github.com/mqedge/mqedge/proxy/relay/record"
)

// tlsSide is all that a loop knows of TLS: its own records in TLS 1.3 to
// clients, else crypto/tls, which is driven resumably: it reads until there is
// no data, and its writes are staged.
type tlsSide struct {
	own   *record.State // nil where crypto/tls has the records
	std   *tls.Conn
	under *Conn // of std
}

func (e end) tlsSide() *tlsSide {
	switch {
	case e.ours != nil:
		return &tlsSide{own: e.ours.rec}
	case e.tls != nil:
		return &tlsSide{std: e.tls, under: e.conn}
	}
	return nil
}

func (e end) leftOver() leftOver {
	rest := leftOver{bytes: e.conn.unread}
	e.conn.unread = nil
	if e.ours != nil {
		rest.plain, rest.err = e.ours.plain, e.ours.err
	}
	return rest
}

// moveTo makes the side work with the buffers of l from now on.
func (t *tlsSide) moveTo(l *loop) {
	if t.under != nil {
		t.under.staged = &l.staged
	}
}

// open forwards what TLS makes of b, the bytes that side i sent, in as few
// writes as it can; end is what follows b. It returns what follows the payload.
func (p *loopPair) open(src *side, i int, b []byte, end error) error {
	if src.tls.own == nil {
		return p.openStd(src, i, b, end)
	}
	l := p.at()
	plain, err := src.tls.own.Open(l.plain[:0], b, &l.work)
	if len(l.work.Reply) > 0 { // the answer to a KeyUpdate, or an alert
		p.write(src, l.work.Reply, 0)
		l.work.Reply = l.work.Reply[:0]
	}
	if len(plain) > 0 {
		p.forward(i, plain)
	}
	if err != nil {
		return err
	}
	return end
}

func (p *loopPair) openStd(src *side, i int, b []byte, end error) error {
	t, plain, n := src.tls, p.at().plain, 0
	t.under.unread, t.under.end = b, end
	for {
		m, err := t.std.Read(plain[n:])
		n += m
		if len(p.at().staged) > 0 { // an answer to the peer, say to its KeyUpdate
			p.send(src, 0)
		}
		if n > 0 && (err != nil || len(plain)-n < 16<<10) {
			p.forward(i, plain[:n])
			n = 0
		}
		switch {
		case err == errNoData:
			t.under.unread = nil // a slice of the loop's buffer
			return nil
		case err != nil:
			return streamEnd(err)
		}
	}
}

// seal stages payload as records.
func (t *tlsSide) seal(l *loop, payload []byte) (err error) {
	if t.own != nil {
		l.staged = t.own.Seal(l.staged, payload)
		return nil
	}
	_, err = t.std.Write(payload)
	return err
}

// closeNotify stages the alert of that name.
func (t *tlsSide) closeNotify(l *loop) {
	if t.own != nil {
		l.staged = t.own.CloseNotify(l.staged)
		return
	}
	t.std.CloseWrite()
}

const (
	// dozeAfter is for how long a pair has carried nothing when its TLS gives up
	// the keys that it can derive again, 2 KiB for 6 µs of work.
	dozeAfter = int32(4 * time.Second / tick)
	// sweepTicks is how many ticks a look at all pairs takes.
	sweepTicks = int(5 * time.Second / tick)
)

// sweep looks at the next of the loop's pairs for some that may doze.
func (l *loop) sweep() {
	for range len(l.pairs)/sweepTicks + 1 {
		if l.swept++; l.swept >= len(l.pairs) {
			l.swept = -1
			return
		}
		if p := l.pairs[l.swept]; p != nil {
			p.doze()
		}
	}
}

func (p *loopPair) doze() {
	if int32(p.at().now)-max(p.sides[client].last, p.sides[upstream].last) < dozeAfter {
		return
	}
	for i := range p.sides {
		if t := p.sides[i].tls; t != nil && t.own != nil {
			t.own.Sleep()
		}
	}
}
