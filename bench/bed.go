//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/peers"
	"github.com/mqedge/mqedge/bench/report"
	"github.com/mqedge/mqedge/bench/sink"
)

// bed is what one measurement lies on: a fresh proxy between a fresh load generator and a fresh sink, so that nothing,
// ports in TIME_WAIT included, is left over from the measurement before.
type bed struct {
	proxy *peers.Process
	load  *child
	sink  *child
	ca    []byte // nil is plain TCP
	seed  uint64
}

type bedOptions struct {
	dir  string
	peer peers.Peer
	cert *certificate // nil is plain TCP
	grpc bool         // hook servers in place of the sink, and plain TCP
	seed uint64
}

// newBed starts all three. End them with close, also when there is an error.
func newBed(ctx context.Context, opts bedOptions) (*bed, error) {
	b := &bed{seed: opts.seed}
	proxied, upstream := peers.Options{Dir: opts.dir, Calls: opts.grpc}, "sink"
	if opts.grpc {
		upstream = "provider"
	}
	if opts.cert != nil {
		proxied.Cert, proxied.Key, b.ca = opts.cert.certFile, opts.cert.keyFile, opts.cert.pem
	}
	var err error
	// Three endpoints on addresses of their own: each has all source ports to itself.
	if b.sink, err = startChild(ctx, upstream, "127.0.0.2:0", "127.0.0.3:0", "127.0.0.4:0"); err != nil {
		return b, err
	}
	if err := b.sink.dec.Decode(&proxied.Endpoints); err != nil {
		return b, fmt.Errorf("%s: %w", upstream, err)
	}
	if b.load, err = startChild(ctx, "load"); err != nil {
		return b, err
	}
	b.proxy, err = opts.peer.Start(ctx, proxied)
	return b, err
}

func (b *bed) close() {
	if b.load != nil {
		b.load.close()
	}
	if b.proxy != nil {
		b.proxy.Stop()
	}
	if b.sink != nil {
		b.sink.close()
	}
}

func (b *bed) ask(request load.Request) (reply load.Reply, err error) {
	if err := b.load.ask(request, &reply); err != nil {
		return reply, fmt.Errorf("load: %w", err)
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

// client describes n connections to the proxy.
func (b *bed) client(n, firstPublish int) load.Options {
	return load.Options{Addr: b.proxy.Addr, Conns: n, CA: b.ca, ServerName: serverName, FirstPublish: firstPublish}
}

// connect opens n connections and begins the measurement with what became of them.
func (b *bed) connect(n, firstPublish int) (m report.Measurement, err error) {
	opts := b.client(n, firstPublish)
	reply, err := b.ask(load.Request{Connect: &opts})
	if err != nil {
		return m, err
	}
	return m, connected(&m, n, reply.Outcome)
}

// connected enters what became of n connections; none at all is an error.
func connected(m *report.Measurement, n int, outcome *load.Outcome) error {
	m.Connections = outcome.OK
	if m.Connections == 0 {
		return fmt.Errorf("no connection through the proxy: %v", outcome.Failed)
	}
	if m.Connections < n {
		m.Remark("%d of %d connections failed: %v", n-m.Connections, n, outcome.Failed)
	}
	return nil
}

// checkSink adds to m what the sink found wrong.
func (b *bed) checkSink(m *report.Measurement) error {
	var seen sink.Stats
	if err := b.sink.ask("stats", &seen); err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	if seen.WithoutHeader > 0 {
		m.Remark("%d connections reached the sink without a PROXY header", seen.WithoutHeader)
	}
	if seen.Malformed > 0 {
		m.Remark("%d connections brought the sink malformed bytes", seen.Malformed)
	}
	if seen.Connections < int64(m.Connections) {
		m.Remark("the sink saw only %d of %d connections", seen.Connections, m.Connections)
	}
	return nil
}
