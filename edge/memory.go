package edge

import (
	"runtime/debug"
	"time"
)

// Memory for a million connections is mostly what each holds while it is idle,
// but a burst of handshakes leaves as much garbage again behind, and Go returns
// it to the host only bit by bit.
const (
	// burst is how many connections that come or go within burstCheck are worth a
	// clean-up once it is quiet again.
	burst      = 200
	burstCheck = 2 * time.Second
	// dozing is when connections that came in a burst and fell silent have let
	// go of all that they can do without.
	dozing = 10 * time.Second
)

// giveBack returns memory to the host after bursts of connections that come or
// go, at once and again when those that came may doze, until done is closed.
func (e *Edge) giveBack(done <-chan struct{}) {
	t := time.NewTicker(burstCheck)
	defer t.Stop()
	var before, activeBefore uint64
	busy := false // there was a burst since the last time
	doze := time.NewTimer(dozing)
	doze.Stop()
	defer doze.Stop()
	for {
		select {
		case <-done:
			return
		case <-doze.C:
			debug.FreeOSMemory()
			continue
		case <-t.C:
		}
		now, active := connections(e)
		came := now - min(before, now) // a listener may have gone, and its count with it
		left := activeBefore + came - min(active, activeBefore+came)
		before, activeBefore = now, active
		switch {
		case came >= burst || left >= burst:
			busy = true
			doze.Stop()
		case busy && came < burst/10 && left < burst/10:
			busy = false
			debug.FreeOSMemory()
			doze.Reset(dozing)
		}
	}
}

func connections(e *Edge) (accepted, active uint64) {
	for _, l := range e.all() {
		s := l.Stats()
		accepted += s.Accepted
		active += uint64(s.Active)
	}
	return accepted, active
}
