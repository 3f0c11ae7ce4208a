package edge

import (
	"runtime/debug"
	"time"
)

// Memory for a million connections is mostly what each holds while it is idle,
// but a burst of handshakes leaves as much garbage again behind, and Go returns
// it to the host only bit by bit.
const (
	// burst is how many new connections within burstCheck are worth a clean-up
	// once it is quiet again.
	burst      = 200
	burstCheck = 2 * time.Second
)

// giveBack returns memory to the host after bursts of new connections, once
// for each, until done is closed.
func (e *Edge) giveBack(done <-chan struct{}) {
	t := time.NewTicker(burstCheck)
	defer t.Stop()
	var before uint64
	busy := false // there was a burst since the last time
	for {
		select {
		case <-done:
			return
		case <-t.C:
		}
		now := accepted(e)
		came := now - min(before, now) // a listener may have gone, and its count with it
		before = now
		switch {
		case came >= burst:
			busy = true
		case busy && came < burst/10:
			busy = false
			debug.FreeOSMemory()
		}
	}
}

func accepted(e *Edge) uint64 {
	var n uint64
	for _, l := range e.all() {
		n += l.Stats().Accepted
	}
	return n
}
