package docker

import "time"

// State is how it stands with the Engine.
type State struct {
	Connected bool
	Error     string // why not; "" before the first attempt
	Version   string // of the API
	Since     time.Time
}

// report is what was logged of a container.
type report struct {
	text    string
	offered bool
	warned  bool
}

// State says how it stands with the Engine.
func (a *Agent) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// report logs what becomes of a container, once.
func (a *Agent) report(c Container) {
	before, now := a.reported[c.ID], report{c.summary(), len(c.Offers) > 0, true}
	if before.text == now.text {
		return
	}
	a.reported[c.ID] = now
	switch {
	case c.Wrong:
		a.log.Warn("container cannot be announced", "container", c.Name, "reason", c.Reason)
	case before.offered && !now.offered:
		a.log.Info("container is not announced any more", "container", c.Name, "reason", c.Reason)
	default:
		for _, o := range c.Offers {
			a.log.Info("container offers an endpoint", "container", c.Name, "service", o.Service, "address", o.Addr, "check", o.Check.Type)
		}
	}
	for _, w := range c.Warnings {
		if before.warned {
			break
		}
		a.log.Warn("container: "+w, "container", c.Name)
	}
}

func (a *Agent) found() {
	a.mu.Lock()
	a.state = State{Connected: true, Version: a.engine.version, Since: time.Now()}
	a.mu.Unlock()
	if a.outage {
		a.log.Info("the Docker Engine answers again", "socket", a.o.Socket)
	}
	a.outage = false
}

// lost complains once, until the Engine has answered.
func (a *Agent) lost(err error) {
	a.mu.Lock()
	if a.state.Connected || a.state.Since.IsZero() {
		a.state.Since = time.Now()
	}
	a.state.Connected, a.state.Error = false, err.Error()
	a.mu.Unlock()
	if a.outage {
		a.log.Debug("the Docker Engine does not answer", "socket", a.o.Socket, "error", err)
		return
	}
	a.outage = true
	a.log.Warn("the Docker Engine does not answer: what is known of its containers stays", "socket", a.o.Socket, "error", err)
}
