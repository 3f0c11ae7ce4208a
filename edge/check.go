package edge

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/configs"
)

// check is the active health check of an upstream. It goes on over a reload that changes nothing about it, since its
// verdicts end with it. A nil check checks nothing.
type check struct {
	settings checkSettings
	upstream string
	log      *slog.Logger
	prober   balancer.Prober
	certs    atomic.Pointer[certs.ClientStore] // those of the generation in force; nil = plain TCP
	heard    atomic.Pointer[heard]             // likewise; nil = gossip is not told
	run      *task                             // nil until commit

	mu         sync.Mutex
	mismatched map[string]bool // the endpoints that were last seen to disagree with send_proxy
}

// checkSettings are what a check is made of: with others it is another one.
type checkSettings struct {
	configs.Active
	proxy byte
	tls   bool
}

func (e *Edge) newCheck(upstream string, u *configs.Upstream) *check {
	if u.Health.Active.Type == "none" {
		return nil
	}
	c := &check{
		settings: checkSettings{Active: u.Health.Active, proxy: sendProxy(u.SendProxy), tls: u.TLS != nil},
		upstream: upstream, log: e.log, mismatched: make(map[string]bool),
	}
	c.prober = c.newProber(e.probeName + "-" + upstream)
	return c
}

// newProber makes what asks the endpoints. On the port of the dashboard EMQX speaks plain HTTP, whatever its listeners do.
func (c *check) newProber(clientID string) balancer.Prober {
	s := c.settings
	var secure func(string) *tls.Config
	if s.tls {
		secure = func(host string) *tls.Config { return c.certs.Load().ClientConfig(host) }
	}
	switch s.Type {
	case "mqtt":
		return atPort{s.Port, probe.MQTT{Proxy: s.proxy, TLS: secure, ClientID: clientID, Username: s.Username, Password: s.Password}}
	case "http":
		if s.Port != 0 {
			secure = nil
		}
		return probe.HTTP{Path: s.Path, Port: s.Port, TLS: secure}
	case "grpc":
		return atPort{s.Port, probe.GRPC{TLS: secure}}
	case "emqx":
		return &probe.EMQX{Path: s.Path, Port: s.Port}
	}
	return atPort{s.Port, probe.TCP{Proxy: s.proxy}}
}

// beginCheck starts the check, unless the one before it is the same and goes on in its place.
func (up *upstream) beginCheck(before *upstream) {
	if before != nil {
		if up.check != nil && before.check != nil && up.check.settings == before.check.settings {
			up.check = before.check
		} else {
			before.check.stop()
		}
	}
	c := up.check
	if c == nil {
		return
	}
	c.certs.Store(up.certs)
	c.heard.Store(up.heard)
	if c.run == nil {
		c.run = start(func(ctx context.Context) { up.pool.Check(ctx, checkOptions(c.settings.Active, c)) })
	}
}

func (c *check) stop() {
	if c != nil {
		c.run.stop()
	}
}

// Probe implements [balancer.Prober] and notes what it tells about PROXY protocol.
func (c *check) Probe(ctx context.Context, addr string) error {
	err := c.prober.Probe(ctx, addr)
	if err == nil {
		c.heard.Load().works(addr)
	}
	mismatch, disagrees := errors.AsType[*probe.ProxyMismatch](err)
	_, drains := errors.AsType[balancer.Draining](err)
	if !disagrees && !drains && err != nil {
		return err // it tells nothing of that
	}
	c.mu.Lock()
	before := c.mismatched[addr]
	delete(c.mismatched, addr)
	if disagrees {
		c.mismatched[addr] = true
	}
	c.mu.Unlock()
	switch {
	case disagrees && !before:
		c.log.Warn("PROXY protocol on one side only", "upstream", c.upstream, "endpoint", addr, "error", mismatch)
	case before && !disagrees:
		c.log.Info("endpoint and send_proxy agree about PROXY protocol", "upstream", c.upstream, "endpoint", addr)
	}
	return err
}

// knowsMismatch says whether the check would find an endpoint that does not agree with send_proxy.
func (c *check) knowsMismatch() bool { return c != nil && c.settings.Type == "mqtt" }

func (c *check) mismatches(addr string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mismatched[addr]
}

// atPort asks at another port of the endpoint's host, unless it is 0.
type atPort struct {
	port int
	balancer.Prober
}

func (p atPort) Probe(ctx context.Context, addr string) error {
	if p.port != 0 {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		addr = net.JoinHostPort(host, strconv.Itoa(p.port))
	}
	return p.Prober.Probe(ctx, addr)
}

// probeName is of this process alone: edges whose probes had the same client ids would throw each other out.
func probeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return "mqedge-probe-" + host + "-" + strings.ToLower(rand.Text()[:6])
}
