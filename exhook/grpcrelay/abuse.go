package grpcrelay

import "time"

// abuse counts, for a client, what costs us and gains nobody anything. Counts
// start anew every abuseWindow.
type abuse struct {
	since  int64
	resets int
	cheap  int
	useful int // frames that move a call, either way
}

const (
	abuseWindow = int64(10 * time.Second)
	// cheapMost frames without use are let pass in a window, and cheapShare for
	// each that is of use: grpc-go pings and updates windows as data comes.
	cheapMost  = 10000
	cheapShare = 10
)

// cheap counts a PING, SETTINGS, PRIORITY, empty DATA, a WINDOW_UPDATE, an unknown
// frame, and frames on streams that are over.
func (cl *Client) cheap() error {
	a := &cl.abuse
	if a.cheap++; a.cheap > cheapMost+cheapShare*a.useful {
		return connError{codeCalm, "too many frames without use"}
	}
	return nil
}

// countReset counts streams that were begun and not let finish.
func (cl *Client) countReset() error {
	if cl.abuse.resets++; cl.abuse.resets > cl.group.o.Resets {
		return connError{codeCalm, "too many streams were reset"}
	}
	return nil
}

// sweep is called about every second.
func (cl *Client) sweep() {
	now := cl.group.now
	switch {
	case cl.closed:
	case !cl.settled && now-cl.opened > int64(handshakeTimeout):
		cl.fail(connError{codeSettingsTimeout, "no preface and SETTINGS came"})
	case cl.drain == drainPinged && now > cl.drainBy:
		cl.drain = drainNow
		cl.drainStep()
	}
	if now-cl.abuse.since > abuseWindow {
		cl.abuse = abuse{since: now}
	}
}
