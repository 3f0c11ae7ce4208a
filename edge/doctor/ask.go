package doctor

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
	"github.com/mqedge/mqedge/certs"
)

const (
	longestAsk = 3 * time.Second // for the answer of an endpoint
	askAtOnce  = 32              // endpoints
)

// Ask connects to every endpoint as mqedge would, and to the Engine of containers, and notes in h what came of it.
// Where clients speak MQTT it is a client that comes and goes, which also finds
// out whether both sides agree about PROXY protocol.
func Ask(ctx context.Context, h *Host, o Options) {
	h.look(ctx, o)
	h.Endpoints = make(map[string]error)
	var mu sync.Mutex
	var wg sync.WaitGroup
	turn := make(chan struct{}, askAtOnce)
	for _, u := range newNeeds(o.Config).upstreams {
		prober, err := newProber(u)
		for _, e := range u.endpoints {
			wg.Go(func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				err := err
				if err == nil {
					ctx, cancel := context.WithTimeout(ctx, longestAsk)
					defer cancel()
					err = prober.Probe(ctx, e.address)
				}
				mu.Lock()
				defer mu.Unlock()
				h.Endpoints[e.key] = err
			})
		}
	}
	wg.Wait()
}

// newProber returns what asks the endpoints of an upstream.
func newProber(u upstream) (balancer.Prober, error) {
	var version byte
	switch u.config.SendProxy {
	case "v1":
		version = 1
	case "v2":
		version = 2
	}
	var secure func(string) *tls.Config
	if t := u.config.TLS; t != nil {
		store, err := certs.OpenClient("upstreams."+u.name, certs.ClientOptions{
			CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile, ServerName: t.ServerName,
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, err
		}
		secure = store.ClientConfig
	}
	switch {
	case len(u.protocols) > 0 && !slices.ContainsFunc(u.protocols, func(p string) bool { return p != "mqtt" }):
		active := u.config.Health.Active
		return probe.MQTT{Proxy: version, TLS: secure, Username: active.Username, Password: active.Password}, nil
	case secure != nil && version == 0:
		return handshake{secure}, nil
	}
	return probe.TCP{Proxy: version}, nil
}

// handshake asks an endpoint for no more than TLS.
type handshake struct {
	config func(serverName string) *tls.Config
}

// Probe implements [balancer.Prober].
func (p handshake) Probe(ctx context.Context, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	dialer := tls.Dialer{Config: p.config(host)}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}
