package grpcrelay

import (
	"encoding/binary"

	"google.golang.org/grpc/codes"
)

// takeData takes a part of the request.
func (c *Call) takeData(b []byte, end bool) error {
	if c.expect >= 0 {
		if c.expect -= int64(len(b)); c.expect < 0 || end && c.expect > 0 {
			c.client.credit(len(b))
			return streamError{c.id, codeProtocol, "the body is not as long as content-length says"}
		}
	}
	switch {
	case c.over || c.answered:
		c.client.credit(len(b))
		if end {
			c.endRequest()
		}
	case c.whole:
		c.gather(b, end)
	default:
		c.requestEnded = end
		c.passRequest(b)
	}
	return nil
}

// endRequest is the end of the request, by a frame without data.
func (c *Call) endRequest() {
	c.requestEnded = true
	switch {
	case c.over:
		c.client.forget(c, closedByBoth)
	case c.answered:
	case c.whole && !c.told:
		c.gather(nil, true)
	default:
		c.passRequest(nil)
	}
}

// gather collects the request of a whole call and tells the handler when it is
// complete. The client's windows are given back at once, so that calls that are
// not complete cannot hold up each other; Options.Held bounds them instead.
func (c *Call) gather(b []byte, end bool) {
	cl := c.client
	c.requestEnded = end
	if len(c.body)+len(b) > c.group.o.WholeLimit {
		cl.credit(len(b))
		c.end(status{codes.ResourceExhausted, "the message is too large"}, nil)
		return
	}
	if cl.held+len(b) > c.group.o.Held {
		cl.credit(len(b))
		c.end(status{codes.ResourceExhausted, "too many requests are waiting"}, nil)
		return
	}
	c.body = append(c.body, b...)
	cl.held += len(b)
	c.credit(len(b))
	cl.credit(len(b))
	if !end {
		return
	}
	if len(c.body) < prefixSize || uint32(len(c.body)-prefixSize) != binary.BigEndian.Uint32(c.body[1:]) {
		c.end(status{codes.Internal, "the request is not one message"}, nil)
		return
	}
	c.told = true
	c.group.o.Handler.Call(c)
}

// passRequest takes a part of a request that is not whole, which goes on to the
// provider as far as its windows let it.
func (c *Call) passRequest(b []byte) {
	f, o := c.forwards[0], &c.group.o
	if n := len(b); f != nil && n > 0 && !c.kept && len(c.body) == 0 && !f.waiting &&
		int64(n) <= f.sendWindow && n <= f.provider.room() {
		var flags uint8
		if c.requestEnded {
			flags, f.requestEnd = flagEnd, true
		}
		f.provider.data(f.id, b, flags)
		f.sent += int64(n)
		f.sendWindow -= int64(n)
		c.base = f.sent
		c.requestMoved(f)
		return
	}
	c.body = append(c.body, b...)
	c.client.held += len(b)
	if len(c.body) > o.KeepRequest || c.client.held > o.Held {
		c.kept = false
	}
	if f != nil {
		f.pump(false)
		if !f.ended {
			c.drop(f)
		}
	}
}

// requestMoved is called when a forward has sent more: what was sent for the
// first time is given back to the client's windows.
func (c *Call) requestMoved(f *forward) {
	if c.client == nil || c.whole {
		return
	}
	if n := f.sent - c.credited; n > 0 {
		c.credited = f.sent
		c.credit(int(n))
		c.client.credit(int(n))
	}
	if !c.kept && f.sent-c.base >= maxFrame {
		c.drop(f)
	}
}

// drop lets go of what was sent and need not be kept.
func (c *Call) drop(f *forward) {
	n := int(f.sent - c.base)
	if c.kept || n == 0 || n < len(c.body)/2 {
		return
	}
	rest := copy(c.body, c.body[n:])
	c.body = c.body[:rest]
	c.base += int64(n)
	c.client.held -= n
}

// credit gives the client's window of the stream back.
func (c *Call) credit(n int) {
	c.freed += int64(n)
	cl := c.client
	if c.requestEnded || c.freed < int64(c.group.o.StreamWindow)/4 || cl.closed {
		return
	}
	cl.touch()
	cl.out = appendWindow(cl.out, c.id, c.freed)
	c.recvWindow += c.freed
	c.freed = 0
}
