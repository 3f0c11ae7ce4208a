package demo

import (
	"fmt"
	"sync"
	"time"

	"github.com/mqedge/mqedge/demo/hooks"
)

// providers is two hook servers.
type providers struct {
	addrs [2]string // they keep them for life

	mu      sync.Mutex
	running [2]*hooks.Provider // nil while killed
	before  [2]int             // calls, in earlier lives
}

// startProviders gives each an address of its own, as startCluster does.
func startProviders() (*providers, error) {
	p := &providers{}
	for i := range p.running {
		p.addrs[i] = loopback(fmt.Sprintf("127.0.0.%d", 21+i)) + ":0"
		if err := p.revive(i); err != nil {
			p.close()
			return nil, err
		}
	}
	return p, nil
}

// revive starts hook server i on the address it had. It knows nothing of its
// former life.
func (p *providers) revive(i int) error {
	started, err := hooks.StartProvider(p.addrs[i])
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.addrs[i], p.running[i] = started.Addr(), started
	return nil
}

// kill ends hook server i and returns what it had heard.
func (p *providers) kill(i int) hooks.Heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[i] == nil {
		return hooks.Heard{}
	}
	p.running[i].Kill()
	heard := p.running[i].Heard()
	p.running[i] = nil
	p.before[i] += heard.Calls
	return heard
}

func (p *providers) close() {
	for i := range p.running {
		p.kill(i)
	}
}

// heard is what hook server i was asked in its present life, and how many calls
// it got in all.
func (p *providers) heard(i int) (now hooks.Heard, inAll int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[i] != nil {
		now = p.running[i].Heard()
	}
	return now, p.before[i] + now.Calls
}

// clientsOf are those whose latest call went to the first.
func clientsOf(its, others hooks.Heard) []string {
	var clients []string
	for id, at := range its.Clients {
		if at.After(others.Clients[id]) {
			clients = append(clients, id)
		}
	}
	return clients
}

// after counts the clients that a hook server heard of after a time.
func after(h hooks.Heard, clients []string, since time.Time) int {
	n := 0
	for _, id := range clients {
		if h.Clients[id].After(since) {
			n++
		}
	}
	return n
}
