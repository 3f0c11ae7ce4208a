package grpcrelay

import (
	"encoding/binary"
	"time"

	"google.golang.org/grpc/codes"
)

// OwnCall is a unary call that no client asked for.
type OwnCall struct {
	Header  *Header // of NewHeader, or of a client's call
	Path    string  // instead of the header's
	Message []byte  // not kept
	Timeout time.Duration
	// Done is called once, unless Group.Call returned an error. Nil is allowed.
	Done func(Answer)
}

// Answer to an own call. Message is valid until Done returns; it is there if Code is OK.
type Answer struct {
	Code    codes.Code
	Text    string
	Message []byte
	// Unprocessed: the provider has surely not acted on it; see Outcome.
	Unprocessed bool
	Took        time.Duration
}

// Call makes a call of our own to a provider. The handler does not hear of it.
func (g *Group) Call(p *Provider, o OwnCall) error {
	g.tell()
	if p.Room() == 0 {
		return ErrNotReady
	}
	c := g.newCall()
	c.group, c.head, c.began, c.done = g, o.Header, g.now, o.Done
	c.whole, c.kept, c.told, c.requestEnded, c.expect = true, true, true, true, -1
	var prefix [prefixSize]byte
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(o.Message)))
	c.body = append(append(c.body[:0], prefix[:]...), o.Message...)
	if o.Timeout > 0 {
		c.deadline = g.now + int64(o.Timeout)
	}
	c.arm()
	return c.Forward(p, ForwardOptions{Path: o.Path})
}

// endOwn ends a call of our own.
func (c *Call) endOwn(a Answer) {
	if c.over {
		return
	}
	c.over, c.answered = true, true
	c.group.wheel.remove(c)
	a.Took = c.Took()
	if c.done != nil {
		c.done(a)
	}
	c.group.deadCalls = append(c.group.deadCalls, c)
}
