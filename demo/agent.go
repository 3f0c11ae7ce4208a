package demo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"sync"

	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/edge"
)

// What is announced, and what the edge's upstreams ask for.
const (
	emqxService  = "emqx"
	hooksService = "hooks"
)

// agent is a second mqedge that serves nobody and announces what runs on its host.
type agent struct {
	edge       *edge.Edge
	join, keys string

	mu     sync.Mutex
	offers []configs.Announcement // what the next reload finds in the configuration

	stop  context.CancelFunc
	ended chan struct{}
}

// startAgent starts one that knows of one other member.
func startAgent(join, keys, version string, offers []configs.Announcement) (*agent, error) {
	a := &agent{join: join, keys: keys, offers: offers, ended: make(chan struct{})}
	a.edge = edge.New(edge.Options{Load: a.load, LogOutput: io.Discard, Version: version})
	if err := a.edge.Start(); err != nil {
		return nil, err
	}
	stop, stopNow := context.WithCancel(context.Background())
	a.stop = stopNow
	go func() {
		defer close(a.ended)
		a.edge.Run(context.Background(), stop)
	}()
	return a, nil
}

// load is what a configuration file would say.
func (a *agent) load() (*configs.Config, configs.Problems) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := configs.Default()
	c.Admin.Bind, c.AccessLog.Path = "", ""
	c.Gossip = gossipSection("agent", a.keys)
	c.Gossip.Join, c.Gossip.Announce = []string{a.join}, a.offers
	return &c, nil
}

// announce changes the configuration and has it loaded, as SIGHUP does.
func (a *agent) announce(offers []configs.Announcement) error {
	a.mu.Lock()
	a.offers = offers
	a.mu.Unlock()
	return a.edge.Reload()
}

// close ends the agent at once. Nobody is told: the edge has ended.
func (a *agent) close() {
	a.stop()
	<-a.ended
}

// offer is an announcement of a service at host:port.
func offer(service, addr string) configs.Announcement {
	a := configs.DefaultAnnouncement()
	a.Service, a.Address = service, addr
	return a
}

// gossipSection is that of both members.
func gossipSection(name, keys string) *configs.Gossip {
	g := configs.DefaultGossip()
	g.Name, g.Bind, g.Label, g.KeyFile = name, "127.0.0.1:0", "demo", keys
	return &g
}

// newGossipKey is what mqedge keygen prints.
func newGossipKey() []byte {
	key := make([]byte, 32)
	rand.Read(key) // it never fails
	return append(base64.StdEncoding.AppendEncode(nil, key), '\n')
}
