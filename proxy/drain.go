package proxy

import (
	"context"
	"math/rand/v2"
	"time"
)

// drainStep is the least time between two looks at how many are due.
const drainStep = 10 * time.Millisecond

// Drain closes all live connections of the listeners for the reason given,
// spread evenly over the time given, so that their clients do not all come back
// at once. It returns early when ctx ends or none is left. Connections that
// were still in a handshake when it began are closed at the end.
func Drain(ctx context.Context, listeners []*Listener, over time.Duration, reason string) {
	var victims []*conn
	for _, l := range listeners {
		victims = append(victims, l.conns.all()...)
	}
	rand.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	start := time.Now()
	t := time.NewTicker(drainStep)
	defer t.Stop()
	closed := 0
	for over > 0 && live(listeners) > 0 {
		elapsed := time.Since(start)
		if elapsed >= over {
			break
		}
		share := float64(elapsed) / float64(over)
		for due := min(1+int(share*float64(len(victims))), len(victims)); closed < due; closed++ {
			victims[closed].close(reason)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
	CloseAll(listeners, reason)
}

// CloseAll closes the live connections of the listeners at once.
func CloseAll(listeners []*Listener, reason string) {
	for _, l := range listeners {
		for _, c := range l.conns.all() {
			c.close(reason)
		}
	}
}

func live(listeners []*Listener) int {
	n := 0
	for _, l := range listeners {
		n += l.conns.len()
	}
	return n
}
