package grpcrelay

import (
	"time"

	"google.golang.org/grpc/codes"
)

// ForwardOptions of one forward. The zero value passes the call on as it is.
type ForwardOptions struct {
	Path      string        // instead of the client's
	Authority string        // instead of the client's
	Timeout   time.Duration // of this forward; the call's deadline holds anyway
	Data      any           // comes back in Outcome
}

// forward is one attempt: a stream at a provider.
type forward struct {
	call     *Call
	provider *Provider
	data     any
	id       uint32
	began    int64
	deadline int64 // of this forward alone; 0: none
	expires  int64 // as the provider was told; 0: never
	offset   uint64

	sent       int64 // offset in the request
	sendWindow int64
	requestEnd bool // is sent
	waiting    bool

	head       *Header
	answer     []byte // of a whole call
	recvWindow int64
	freed      int64
	answerEnd  bool // has come, or the stream is reset
	ended      bool
}

// Forward sends the call to a provider. A whole call may be forwarded to a second
// one while the first has not answered; the first good answer wins. A call whose
// request is no longer kept from its beginning can be forwarded once only.
func (c *Call) Forward(p *Provider, o ForwardOptions) error {
	slot := 0
	switch {
	case c.over || c.answered || c.begun || c.late:
		return ErrOver
	case p.Room() == 0:
		return ErrNotReady
	case c.base > 0:
		return ErrRequestGone
	case c.forwards[0] != nil:
		if slot = 1; !c.whole || c.forwards[1] != nil {
			return ErrUnderWay
		}
	}
	g := c.group
	f := g.newForward()
	f.call, f.provider, f.data, f.began = c, p, o.Data, g.now
	f.sendWindow, f.recvWindow = p.firstWindow, int64(g.o.StreamWindow)/2
	c.forwards[slot] = f
	c.handled = true
	p.add(f)
	if o.Timeout > 0 && (c.deadline == 0 || g.now+int64(o.Timeout) < c.deadline) {
		f.deadline = g.now + int64(o.Timeout)
		c.arm()
	}
	f.expires = earliest(c.deadline, f.deadline)
	f.start(o)
	f.pump(false)
	return nil
}

// start sends the header of the request.
func (f *forward) start(o ForwardOptions) {
	c, p := f.call, f.provider
	key := blockKey{head: c.head, path: c.head.path, authority: c.head.authority}
	if o.Path != "" {
		key.path = o.Path
	}
	if o.Authority != "" {
		key.authority = o.Authority
	}
	if key.authority == "" {
		key.authority = p.o.Authority
	}
	if p.o.TLS {
		key.form = formRequestTLS
	}
	p.touch()
	at := len(p.out)
	f.offset = p.offset()
	p.out = append(p.out, frameGap[:]...)
	p.out = p.enc.block(p.out, key)
	if f.expires != 0 {
		p.out = p.enc.timeout(p.out, time.Duration(f.expires-f.began))
	}
	var flags uint8
	if c.requestEnded && len(c.body) == 0 {
		flags, f.requestEnd = flagEnd, true
	}
	p.out = endHeaders(p.out, at, p.maxFrame, f.id, flags)
}

// pump sends what the windows let through of the request.
func (f *forward) pump(one bool) {
	c, p := f.call, f.provider
	if f.ended || f.waiting {
		return
	}
	for !f.requestEnd {
		left := int(c.base + int64(len(c.body)) - f.sent)
		if left == 0 && !c.requestEnded {
			return
		}
		n := 0
		if left > 0 {
			if f.sendWindow <= 0 {
				return
			}
			room := p.room()
			if room <= 0 {
				p.wait(f)
				return
			}
			n = min(left, room, int(f.sendWindow), p.maxFrame)
		}
		var flags uint8
		if n == left && c.requestEnded {
			flags, f.requestEnd = flagEnd, true
		}
		at := f.sent - c.base
		p.data(f.id, c.body[at:at+int64(n)], flags)
		f.sent += int64(n)
		f.sendWindow -= int64(n)
		c.requestMoved(f)
		if one && n < left {
			p.wait(f)
			return
		}
	}
}

func (f *forward) setWaiting(w bool) { f.waiting = w }

// credit gives the provider's window of the stream back.
func (f *forward) credit(n int) {
	f.freed += int64(n)
	if f.answerEnd || f.freed < int64(f.call.group.o.StreamWindow)/8 || f.provider.closed {
		return
	}
	f.provider.touch()
	f.provider.out = appendWindow(f.provider.out, f.id, f.freed)
	f.recvWindow += f.freed
	f.freed = 0
}

// broken ends a forward whose answer cannot be used.
func (f *forward) broken(s status, code resetCode) {
	f.cancel(code, Outcome{Code: s.code, Text: s.text})
}

// cancel ends a forward from this side.
func (f *forward) cancel(code resetCode, o Outcome) {
	if f.ended {
		return
	}
	if !f.answerEnd || !f.requestEnd {
		f.provider.reset(f.id, code)
	}
	f.answerEnd, f.requestEnd = true, true
	f.finish(o, nil)
}

// finish is the end of a forward, however it came about; h has the provider's
// own status, if there is one.
func (f *forward) finish(o Outcome, h *Header) {
	if f.ended {
		return
	}
	c, p := f.call, f.provider
	f.ended = true
	delete(p.streams, f.id)
	if !f.requestEnd {
		p.reset(f.id, codeNone)
	}
	if f.waiting {
		p.unwait(f)
	}
	if c.forwards[0] == f {
		c.forwards[0] = nil
	} else {
		c.forwards[1] = nil
	}
	passing := c.begun && !c.answered
	o.Provider, o.Data = p, f.data
	o.Begun = c.begun
	o.Sent = p.sentTo(f.offset)
	o.Unprocessed = o.Unprocessed || !o.Sent
	o.Took = time.Duration(c.group.now - f.began)
	c.handled = false
	if c.client != nil {
		c.group.o.Handler.Forwarded(c, o)
	} else {
		p.own--
		c.unprocessed = o.Unprocessed
	}
	switch {
	case c.over || c.answered:
	case passing && o.Cancelled:
	case passing && h == nil:
		c.abort(status{o.Code, o.Text})
	case passing:
		c.end(status{o.Code, o.Text}, h)
	case c.handled || o.Cancelled:
	case o.Code == codes.OK && c.whole:
		c.pass(f, h)
	case o.Code == codes.OK: // trailers-only, of a stream without answers
		c.end(status{}, h)
	case c.forwards[0] == nil && c.forwards[1] == nil:
		c.end(status{o.Code, o.Text}, h)
	}
	c.group.deadForwards = append(c.group.deadForwards, f)
	p.roomMade()
}

// pass gives the client the answer to a whole call.
func (c *Call) pass(f *forward, h *Header) {
	c.answered = true
	c.cancelForwards(status{codes.Canceled, "another provider was faster"})
	if c.client == nil {
		c.endOwn(Answer{Message: f.answer[prefixSize:]})
		return
	}
	c.start(f.head)
	c.answer, f.answer, c.taken = f.answer, c.answer, 0
	c.client.buffered += len(c.answer)
	c.tail = tail{ready: true, head: h}
	c.pump(false)
}
