package grpcrelay

import (
	"time"

	"google.golang.org/grpc/codes"
)

// Options of a group. Zero values are replaced by what the fields say.
type Options struct {
	// Handler decides where calls go.
	Handler Handler

	// Whole names the methods whose request is gathered before the handler hears
	// of the call, and whose answer is gathered and checked before the client gets
	// anything of it. They must be unary. Nil: none. It is asked once for a header
	// that repeats.
	Whole func(path string) bool
	// WholeLimit bounds such a request, AnswerLimit such an answer, both with the
	// prefix of the message. What is larger ends in RESOURCE_EXHAUSTED. 4 MiB each.
	WholeLimit, AnswerLimit int
	// Margin is how long before the client's own deadline a whole call ends, so
	// that the status is there in time; at most a tenth of it. 50 ms.
	Margin time.Duration
	// Timeout is for whole calls whose client names none. 30 s.
	Timeout time.Duration

	// KeepRequest is how much of a request that is not whole is kept for another
	// attempt. 64 KiB; negative: nothing.
	KeepRequest int
	// MaxCalls is how many calls a client connection may have at once; more are
	// answered RESOURCE_EXHAUSTED. 16384.
	MaxCalls int
	// Held bounds the bytes of requests, Buffered those of answers, that are kept
	// for one client connection. Calls beyond it end in RESOURCE_EXHAUSTED. 32 MiB each.
	Held, Buffered int
	// StreamWindow and ConnWindow are the flow control windows that clients get.
	// 1 MiB and 16 MiB. Providers get ConnWindow and half of StreamWindow.
	StreamWindow, ConnWindow int
	// Ahead is how much may be queued on a connection beyond what its socket takes
	// before streams wait. 256 KiB.
	Ahead int
	// Backlog is where a peer that does not read is closed. A provider takes no more
	// calls from a quarter of it on. 16 MiB.
	Backlog int
	// HeaderList bounds a header list: RFC 9113, section 6.5.2. 16 KiB.
	HeaderList int
	// Stall ends a call whose answer the client does not take for so long and that
	// has no deadline. 60 s.
	Stall time.Duration

	// Resets is how many streams a client may reset in ten seconds. 2000.
	Resets int
	// Quiet is after how much silence a provider with calls in flight is pinged,
	// PingTimeout how long its answer may take. 10 s each.
	Quiet, PingTimeout time.Duration
}

func (o Options) withDefaults() Options {
	set(&o.WholeLimit, 4<<20)
	set(&o.AnswerLimit, 4<<20)
	set(&o.Margin, 50*time.Millisecond)
	set(&o.Timeout, 30*time.Second)
	set(&o.KeepRequest, 64<<10)
	set(&o.MaxCalls, 16384)
	set(&o.Held, 32<<20)
	set(&o.Buffered, 32<<20)
	set(&o.StreamWindow, 1<<20)
	set(&o.ConnWindow, 16<<20)
	set(&o.Ahead, 256<<10)
	set(&o.Backlog, 16<<20)
	set(&o.HeaderList, 16<<10)
	set(&o.Stall, 60*time.Second)
	set(&o.Resets, 2000)
	set(&o.Quiet, 10*time.Second)
	set(&o.PingTimeout, 10*time.Second)
	o.StreamWindow = max(o.StreamWindow, firstWindow)
	o.ConnWindow = max(o.ConnWindow, firstWindow)
	return o
}

func set[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// Handler decides what becomes of calls. It is called by the group that it was
// given to, within Receive, Ended, Tick, Flush and the methods of calls, so it
// must expect to be called while it calls. It may call anything of the group but
// Flush and Tick.
type Handler interface {
	// Call is told of a new call. Now or later one of Forward, Reply and Fail must
	// be called for it, or its deadline ends it.
	Call(c *Call)
	// Forwarded is told how each forward ended, exactly once. If the call is not
	// answered yet the handler may Forward again, Reply, Fail or Hold. If it does
	// none of these, an answer with status OK goes to the client, and a failure
	// does when no other forward is under way.
	Forwarded(c *Call, o Outcome)
	// Woken is told that the time of Call.Wake has come.
	Woken(c *Call)
	// Late is told that the time of a call is up and it has no answer; its forwards
	// have ended by then. It may Reply or Fail; otherwise DEADLINE_EXCEEDED it is.
	Late(c *Call)
	// Ended is told once of every call that Call was told of, last of all: nothing
	// of c may be used afterwards.
	Ended(c *Call, e End)
}

// Outcome is how a forward ended.
type Outcome struct {
	Provider *Provider
	Data     any // of ForwardOptions

	Code codes.Code
	Text string
	// Answered: the provider said the code itself. Otherwise it was found here.
	Answered bool
	// Message is the answer to a whole call that ended OK, without its prefix;
	// valid during the callback.
	Message    []byte
	Compressed bool // the message is, as grpc-encoding says
	// Sent: something of the call was, or may have been, handed to the socket.
	Sent bool
	// Unprocessed: the provider has surely not acted on the call. It refused it,
	// said so by GOAWAY, or was lost before anything was sent.
	Unprocessed bool
	// Begun: the client has got a part of the answer, so nothing else can be tried.
	Begun bool
	// Cancelled: it was ended from this side, because the call was answered in
	// another way, its client gave up, or its time was up.
	Cancelled bool
	Took      time.Duration
}

// End is how a call ended.
type End struct {
	Code      codes.Code // as sent to the client
	Cancelled bool       // by the client, or lost with its connection
	Took      time.Duration
}
