package hooks

import (
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Provider is a running hook server. All methods may be called at any time from any goroutine.
type Provider struct {
	server *grpc.Server
	addr   string
	ended  chan struct{}

	mu    sync.Mutex
	heard Heard
}

// Heard is what a provider was asked since it started.
type Heard struct {
	Calls   int                  // OnProviderLoaded is none of them
	Early   int                  // of those: that came before their node's OnProviderLoaded
	Nodes   map[string]int       // how many times each node's OnProviderLoaded came
	Clients map[string]time.Time // when each client's latest call came
}

// StartProvider runs a hook server on host:port; it accepts connections when StartProvider returns. End it with Kill.
func StartProvider(addr string) (*Provider, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("start hook server: %w", err)
	}
	p := &Provider{
		addr: l.Addr().String(), ended: make(chan struct{}),
		heard: Heard{Nodes: make(map[string]int), Clients: make(map[string]time.Time)},
	}
	p.server = grpc.NewServer(grpc.ForceServerCodec(codec{}), grpc.UnknownServiceHandler(p.serve))
	go func() {
		defer close(p.ended)
		_ = p.server.Serve(l) // until Stop, or with that it cannot accept: nobody reaches it either way
	}()
	return p, nil
}

// Addr is the address the provider listens on, with the port it got.
func (p *Provider) Addr() string { return p.addr }

// Heard is what the provider was asked so far.
func (p *Provider) Heard() Heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.heard
	h.Nodes, h.Clients = maps.Clone(h.Nodes), maps.Clone(h.Clients)
	return h
}

// Kill ends the provider at once, whatever it is asked at this moment. When it returns the address is free. Killing twice
// does nothing.
func (p *Provider) Kill() {
	p.server.Stop()
	<-p.ended
}

func (p *Provider) serve(_ any, stream grpc.ServerStream) error {
	path, _ := grpc.MethodFromServerStream(stream)
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	answer, err := p.answer(strings.TrimPrefix(path, service), request, time.Now())
	if err != nil {
		return err
	}
	return stream.SendMsg(&answer)
}

func (p *Provider) answer(method string, request []byte, now time.Time) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if method == loaded {
		p.heard.Nodes[string(within(request, 2, 1))]++ // RequestMeta.node
		return loadedResponse(), nil
	}
	// ClientInfo has clientid as its field 2, Message has from as its field 4; node is field 1 of both.
	var answer []byte
	client := within(request, 1, 2)
	switch method {
	case authenticate:
		answer = number(number(nil, typeField, stopAndReturn), boolField, 1)
	case connected:
	case publish:
		client = within(request, 1, 4)
		answer = text(number(nil, typeField, stopAndReturn), messageField, within(request, 1))
	default:
		return nil, status.Errorf(codes.Unimplemented, "%s is not registered here", method)
	}
	p.heard.Calls++
	if p.heard.Nodes[string(within(request, 1, 1))] == 0 {
		p.heard.Early++
	}
	p.heard.Clients[string(client)] = now
	return answer, nil
}
