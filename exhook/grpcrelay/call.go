package grpcrelay

import (
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
)

// Call is a call of a client, or one of our own. It belongs to the handler from
// Handler.Call to Handler.Ended.
type Call struct {
	// Data belongs to the handler.
	Data any

	group  *Group
	client *Client // nil: a call of our own, which ends with done
	done   func(Answer)
	id     uint32
	head   *Header
	began  int64

	// The request. body begins at offset base of all its bytes; what is in it is
	// waiting to be sent, or kept for another attempt.
	body         []byte
	base         int64
	credited     int64 // offset up to which the client's window was given back
	expect       int64 // by content-length; -1: anything
	recvWindow   int64
	freed        int64
	requestEnded bool
	whole        bool
	kept         bool // body still has all of the request
	told         bool // the handler was

	forwards [2]*forward

	// The answer.
	answer     []byte // waiting, from taken on
	taken      int
	sendWindow int64
	tail       tail
	answered   bool // how is decided
	begun      bool // HEADERS are sent
	over       bool
	late       bool
	handled    bool // the handler did something in the callback that is running
	waiting    bool
	// by the forward of a call of our own
	unprocessed bool

	deadline, wake int64 // nanoseconds of the group; 0: none
	timer          timer
}

// tail is what comes after the last byte of an answer.
type tail struct {
	ready  bool
	bare   bool    // END_STREAM on the last DATA, no trailers: not gRPC
	head   *Header // of the provider; nil: status
	status status
}

// What Forward may refuse with.
var (
	ErrOver        = errors.New("grpcrelay: the call is over, answered or late")
	ErrNotReady    = errors.New("grpcrelay: the provider takes no call now")
	ErrUnderWay    = errors.New("grpcrelay: the call has as many forwards as it may")
	ErrRequestGone = errors.New("grpcrelay: the beginning of the request was not kept")
)

// prefixSize is that of each message: a flag for compression and the length.
const prefixSize = 5

// Method is the path: /package.Service/Method.
func (c *Call) Method() string { return c.head.path }

// Header is what the client sent. It may be kept after the call.
func (c *Call) Header() *Header { return c.head }

// Client is the connection that the call came by.
func (c *Call) Client() *Client { return c.client }

// Whole tells whether the request has come whole; Message has it then.
func (c *Call) Whole() bool { return c.whole }

// Message is the one message of a whole call, without its prefix. It is valid
// until the call ends.
func (c *Call) Message() []byte {
	if !c.whole || len(c.body) < prefixSize {
		return nil
	}
	return c.body[prefixSize:]
}

// Compressed tells whether Message is, as grpc-encoding says.
func (c *Call) Compressed() bool { return c.whole && len(c.body) > 0 && c.body[0] != 0 }

// Left is the time until the deadline; false: there is none.
func (c *Call) Left() (time.Duration, bool) {
	return time.Duration(c.deadline - c.group.now), c.deadline != 0
}

// Took is how long the call has been under way.
func (c *Call) Took() time.Duration { return time.Duration(c.group.now - c.began) }

// InFlight is how many forwards are under way.
func (c *Call) InFlight() int {
	n := 0
	for _, f := range c.forwards {
		if f != nil {
			n++
		}
	}
	return n
}

// Answered tells whether it is decided what the client gets.
func (c *Call) Answered() bool { return c.answered || c.begun || c.over }

// Wake has Handler.Woken called after d, unless the call ends before. There is one
// such time for a call; d of 0 takes it back.
func (c *Call) Wake(d time.Duration) {
	if c.over {
		return
	}
	c.wake = 0
	if d > 0 {
		c.wake = c.group.now + int64(d)
	}
	c.arm()
}

// Hold, called in Handler.Forwarded, keeps the call for the handler to decide later.
func (c *Call) Hold() { c.handled = true }

// Reply answers with one message, which must not be compressed, and status OK. An
// empty message is one, too. It does nothing when the call is answered.
func (c *Call) Reply(message []byte) {
	c.handled = true
	if c.Answered() {
		return
	}
	if c.client == nil {
		c.endOwn(Answer{Message: message})
		return
	}
	c.answered = true
	c.cancelForwards(status{codes.Canceled, "the call was answered"})
	c.start(answerHead)
	var prefix [prefixSize]byte
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(message)))
	c.answer = append(append(c.answer[:0], prefix[:]...), message...)
	c.taken = 0
	c.client.buffered += len(c.answer)
	c.tail = tail{ready: true, head: okTrailers}
	c.pump(false)
}

// Fail answers with a status. OK is turned into INTERNAL, since an answer without
// a message is not one. It does nothing when the call is answered.
func (c *Call) Fail(code codes.Code, text string) {
	c.handled = true
	if c.Answered() {
		return
	}
	if code == codes.OK {
		code = codes.Internal
	}
	c.end(status{code, text}, nil)
}

var (
	answerHead = &Header{fields: []hpack.HeaderField{{Name: "content-type", Value: grpcContent}}, shared: true}
	okTrailers = &Header{fields: []hpack.HeaderField{{Name: "grpc-status", Value: "0"}}, shared: true}
)

// end is the one way to a status: trailers-only if nothing was sent, trailers
// otherwise. With head it is the provider's.
func (c *Call) end(s status, head *Header) {
	c.answered = true
	c.cancelForwards(status{codes.Canceled, "the call was answered"})
	if c.client == nil {
		c.endOwn(Answer{Code: s.code, Text: s.text, Unprocessed: c.unprocessed})
		return
	}
	c.tail = tail{ready: true, head: head, status: s}
	c.pump(false)
}

// abort ends a call whose answer has begun: what waits is dropped.
func (c *Call) abort(s status) {
	if c.waiting {
		c.client.unwait(c)
	}
	c.client.buffered -= len(c.answer) - c.taken
	c.answer, c.taken = c.answer[:0], 0
	c.end(s, nil)
}

// start sends the header of an answer.
func (c *Call) start(h *Header) {
	cl := c.client
	c.begun = true
	cl.touch()
	at := len(cl.out)
	cl.out = append(cl.out, frameGap[:]...)
	cl.out = cl.enc.block(cl.out, blockKey{head: h, form: formAnswer})
	cl.out = endHeaders(cl.out, at, cl.maxFrame, c.id, 0)
}

// pump sends what the windows let through of the answer, and its tail.
func (c *Call) pump(one bool) {
	cl := c.client
	if c.over || c.waiting {
		return
	}
	for c.taken < len(c.answer) {
		if c.sendWindow <= 0 {
			c.stall()
			return
		}
		room := cl.room()
		if room <= 0 {
			c.stall()
			cl.wait(c)
			return
		}
		n := min(len(c.answer)-c.taken, room, int(c.sendWindow), cl.maxFrame)
		var flags uint8
		if c.tail.bare && n == len(c.answer)-c.taken {
			flags = flagEnd
		}
		cl.data(c.id, c.answer[c.taken:c.taken+n], flags)
		cl.abuse.useful++
		c.taken += n
		c.sendWindow -= int64(n)
		cl.buffered -= n
		if f := c.forwards[0]; f != nil && !c.whole {
			f.credit(n)
		}
		if one && c.taken < len(c.answer) {
			cl.wait(c)
			return
		}
	}
	c.answer, c.taken = c.answer[:0], 0
	if c.tail.ready {
		c.sendTail()
	}
}

// stall sees to it that an answer that the client does not take ends one day.
func (c *Call) stall() {
	if c.answered && c.deadline == 0 {
		c.deadline = c.group.now + int64(c.group.o.Stall)
		c.arm()
	}
}

func (c *Call) sendTail() {
	if c.tail.bare {
		c.finish(End{Code: codes.Unimplemented})
		return
	}
	cl := c.client
	cl.touch()
	at := len(cl.out)
	cl.out = append(cl.out, frameGap[:]...)
	switch {
	case c.tail.head == nil:
		cl.out = cl.enc.status(cl.out, !c.begun, c.tail.status)
	case c.begun:
		cl.out = cl.enc.block(cl.out, blockKey{head: c.tail.head, form: formTrailers})
	default:
		cl.out = cl.enc.block(cl.out, blockKey{head: c.tail.head, form: formTrailersOnly})
	}
	cl.out = endHeaders(cl.out, at, cl.maxFrame, c.id, flagEnd)
	code := c.tail.status.code
	if c.tail.head != nil {
		code = codes.Code(c.tail.head.grpcStatus)
	}
	c.finish(End{Code: code})
}

func (c *Call) setWaiting(w bool) { c.waiting = w }

// finish is the end of a call, however it came about.
func (c *Call) finish(e End) {
	if c.over {
		return
	}
	c.over = true
	c.cancelForwards(status{codes.Canceled, "the call ended"})
	cl := c.client
	if c.waiting {
		cl.unwait(c)
	}
	cl.held -= len(c.body)
	if !c.whole {
		cl.credit(int(c.base + int64(len(c.body)) - c.credited))
	}
	cl.buffered -= len(c.answer) - c.taken
	c.taken = len(c.answer)
	cl.live--
	if c.told {
		e.Took = c.Took()
		c.group.o.Handler.Ended(c, e)
	} else {
		c.group.stats.Refused++
	}
	switch {
	case c.requestEnded:
		cl.forget(c, closedByBoth)
	default:
		// The client may go on sending. It is not told to stop, which would be a
		// reset: what comes is dropped for a while.
		c.body = c.body[:0]
		c.deadline = c.group.now + int64(lingerTime)
		c.group.wheel.put(c, c.deadline)
	}
}

const lingerTime = 10 * time.Second

// withdraw ends the call because its client is gone or gave it up. The stream is
// off the connection already.
func (c *Call) withdraw() {
	c.requestEnded = true
	c.finish(End{Code: codes.Canceled, Cancelled: true})
}

func (c *Call) cancelForwards(s status) {
	for _, f := range c.forwards {
		if f != nil {
			f.cancel(codeCancel, Outcome{Code: s.code, Text: s.text, Cancelled: true})
		}
	}
}
