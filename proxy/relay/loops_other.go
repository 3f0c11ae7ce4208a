//go:build !linux

package relay

// loop is the event loop that only Linux has.
type loop struct{}

func (*loop) run()   {}
func (*loop) stop()  {}
func (*loop) close() {}

func (*Relay) openLoops(int) error { return nil }

func (r *Relay) addToLoop(c, u end, o Options, done func(Result)) (Pair, error) {
	return r.addPortable(c, u, o, done), nil
}

type watchdog struct{ relay *Relay }

func (*watchdog) look() {}
