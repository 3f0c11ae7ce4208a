package edge

import (
	"runtime/debug"
	"time"
)

// Memory for a million connections is mostly what each holds while it is idle,
// but a burst of handshakes leaves as much garbage again behind, and Go returns
// it to the host only bit by bit.
const (
	// burst is how many new connections are worth a clean-up once it is quiet.
	burst      = 500
	burstCheck = 2 * time.Second
)

// giveBack returns memory to the host after bursts of new connections, once
// for each, until done is closed.
func (e *Edge) giveBack(done <-chan struct{}) {
	t := time.NewTicker(burstCheck)
	defer t.Stop()
	var before, cleaned uint64
	for {
		select {
		case <-done:
			return
		case <-t.C:
		}
		now := accepted(e)
		if now < before { // a listener is gone, and its count with it
			before, cleaned = now, now
		}
		quiet := now-before < burst/10
		before = now
		if quiet && now-cleaned >= burst {
			cleaned = now
			debug.FreeOSMemory()
		}
	}
}

func accepted(e *Edge) uint64 {
	var n uint64
	for _, l := range e.listeners() {
		n += l.Stats().Accepted
	}
	return n
}
