package demo

import (
	"fmt"
	"sync"

	"github.com/mqedge/mqedge/demo/broker"
)

// cluster is three brokers of which each hands what its clients publish to the
// others, as nodes of EMQX do.
type cluster struct {
	addrs [3]string // they keep them for life

	mu      sync.RWMutex
	brokers [3]*broker.Broker // nil while killed
}

// startCluster gives each broker a loopback address of its own where the system
// has them: no outgoing connection can take the port of a killed broker then.
func startCluster() (*cluster, error) {
	c := &cluster{}
	for i := range c.brokers {
		c.addrs[i] = loopback(fmt.Sprintf("127.0.0.%d", 11+i)) + ":0"
		if err := c.revive(i); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// revive starts broker i, empty, on the address it had.
func (c *cluster) revive(i int) error {
	b, err := broker.Start(broker.Options{
		Addr: c.addrs[i], Name: fmt.Sprintf("broker-%d", i+1), ProxyProtocol: true,
		OnMessage: func(m broker.Message) { c.forward(i, m) },
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addrs[i], c.brokers[i] = b.Addr(), b
	return nil
}

// kill ends broker i without a word to its clients.
func (c *cluster) kill(i int) {
	c.mu.Lock()
	b := c.brokers[i]
	c.brokers[i] = nil
	c.mu.Unlock()
	if b != nil {
		b.Close() // not under the lock: it waits for clients, which may be in forward
	}
}

func (c *cluster) close() {
	for i := range c.brokers {
		c.kill(i)
	}
}

func (c *cluster) forward(from int, m broker.Message) {
	for i, b := range c.running() {
		if i != from && b != nil {
			_ = b.Publish(m) // a broker that is just dying serves nobody
		}
	}
}

func (c *cluster) running() [3]*broker.Broker {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.brokers
}

// seen is a client as the broker that has it knows it.
type seen struct {
	broker.Client
	broker int
}

// clients are all clients of all brokers, by id.
func (c *cluster) clients() map[string]seen {
	all := make(map[string]seen)
	for i, b := range c.running() {
		if b == nil {
			continue
		}
		for _, client := range b.Clients() {
			all[client.ID] = seen{client, i}
		}
	}
	return all
}

// connections is the number of open connections on all brokers.
func (c *cluster) connections() int {
	n := 0
	for _, b := range c.running() {
		if b != nil {
			n += b.Connections()
		}
	}
	return n
}
