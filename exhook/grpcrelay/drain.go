package grpcrelay

import "time"

type drainState uint8

const (
	drainNot    drainState = iota
	drainIdle              // at the first moment without a call
	drainPinged            // told; calls that crossed it are served
	drainNow
)

// Drain closes the connection at the first moment with no stream open. Until
// then it serves calls as ever: EMQX loses calls when it hears GOAWAY earlier.
func (cl *Client) Drain() {
	if cl.drain == drainNot {
		cl.drain = drainIdle
		cl.drainStep()
	}
}

// drainStep tells an idle client to go, and goes when that has surely arrived. A
// call that crosses the news is served, and the connection closed after it.
func (cl *Client) drainStep() {
	if cl.closed || len(cl.streams) > 0 {
		return
	}
	switch cl.drain {
	case drainIdle:
		cl.drain, cl.drainBy = drainPinged, cl.group.now+int64(2*time.Second)
		cl.touch()
		cl.out = appendGoaway(cl.out, maxStreamID, codeNone, "")
		cl.ping(func() {
			cl.drain = drainNow
			cl.drainStep()
		})
	case drainNow:
		cl.fail(connError{codeNone, ""})
	}
}
