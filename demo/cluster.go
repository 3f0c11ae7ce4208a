package demo

import (
	"fmt"
	"sync"

	"github.com/mqedge/mqedge/demo/broker"
	"github.com/mqedge/mqedge/demo/hooks"
)

const (
	founders   = 3        // brokers that are there from the start
	latecomer  = founders // the one that is added
	allBrokers = founders + 1
)

// cluster is brokers of which each hands what its clients publish to the
// others, as nodes of EMQX do. Once hooked each makes the hook calls of EMQX, too.
type cluster struct {
	calls *calls

	mu      sync.RWMutex
	addrs   [allBrokers]string         // they keep them from their first start
	hooks   string                     // where hook calls go; "": nowhere
	brokers [allBrokers]*broker.Broker // nil while not running
	nodes   [allBrokers]*hooks.Node    // nil while not running or not hooked
}

// startCluster starts the founders. It gives each broker a loopback address of its
// own where the system has them: no outgoing connection can take the port of a
// killed broker then.
func startCluster() (*cluster, error) {
	c := &cluster{calls: newCalls()}
	for i := range c.addrs {
		c.addrs[i] = loopback(fmt.Sprintf("127.0.0.%d", 11+i)) + ":0"
	}
	for i := range founders {
		if err := c.revive(i); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// revive starts broker i, empty, on the address it had if it ran before.
func (c *cluster) revive(i int) error {
	if err := c.load(i); err != nil {
		return err
	}
	b, err := broker.Start(broker.Options{
		Addr: c.addr(i), Name: fmt.Sprintf("broker-%d", i+1), ProxyProtocol: true,
		OnEvent: func(e broker.Event) {
			if n := c.node(i); n != nil && e.Kind == broker.Connected {
				n.Connected(e.Client.ID)
			}
		},
		OnMessage: func(m broker.Message) {
			c.forward(i, m)
			if n := c.node(i); n != nil {
				n.Published(m.ClientID, m.Topic, m.Payload, m.QoS)
			}
		},
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
	b, n := c.brokers[i], c.nodes[i]
	c.brokers[i], c.nodes[i] = nil, nil
	c.mu.Unlock()
	if n != nil {
		n.Close() // first: clients may be waiting for an answer to a call
	}
	if b != nil {
		b.Close() // not under the lock: it waits for clients, which may be in forward
	}
}

func (c *cluster) close() {
	c.unhook()
	for i := range c.brokers {
		c.kill(i)
	}
}

// hook has all brokers make hook calls to addr, as if they had started just now.
func (c *cluster) hook(addr string) error {
	c.mu.Lock()
	c.hooks = addr
	c.mu.Unlock()
	for i, b := range c.running() {
		if b == nil {
			continue
		}
		if err := c.load(i); err != nil {
			return err
		}
	}
	return nil
}

// unhook ends that.
func (c *cluster) unhook() {
	c.mu.Lock()
	nodes := c.nodes
	c.hooks, c.nodes = "", [allBrokers]*hooks.Node{}
	c.mu.Unlock()
	for _, n := range nodes {
		if n != nil {
			n.Close()
		}
	}
}

// load begins the hook calls of broker i, if it is to make any, with OnProviderLoaded.
func (c *cluster) load(i int) error {
	c.mu.Lock()
	if c.hooks == "" || c.nodes[i] != nil { // it may be there from an attempt to start the broker
		c.mu.Unlock()
		return nil
	}
	n, err := hooks.NewNode(hooks.NodeOptions{
		Addr: c.hooks, Name: nodeName(i), Began: c.calls.began, Ended: c.calls.ended,
	})
	c.nodes[i] = n
	c.mu.Unlock()
	if err == nil {
		n.Load()
	}
	return err
}

// nodeName is what broker i calls itself in hook calls.
func nodeName(i int) string { return fmt.Sprintf("broker-%d@demo", i+1) }

// addr is where broker i listens. Its port is 0 before its first start.
func (c *cluster) addr(i int) string { return c.addresses()[i] }

func (c *cluster) addresses() [allBrokers]string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.addrs
}

func (c *cluster) node(i int) *hooks.Node {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.nodes[i]
}

func (c *cluster) forward(from int, m broker.Message) {
	for i, b := range c.running() {
		if i != from && b != nil {
			_ = b.Publish(m) // a broker that is just dying serves nobody
		}
	}
}

func (c *cluster) running() [allBrokers]*broker.Broker {
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

// clientsOf are the ids of those of broker i.
func (c *cluster) clientsOf(i int) map[string]bool {
	ids := make(map[string]bool)
	for id, client := range c.clients() {
		if client.broker == i {
			ids[id] = true
		}
	}
	return ids
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
