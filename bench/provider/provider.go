package provider

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"github.com/mqedge/mqedge/bench/endpoints"
)

// Stats are what the providers have seen so far.
type Stats struct {
	Open      int     `json:"open"`      // connections now
	Loaded    []int64 `json:"loaded"`    // OnProviderLoaded, by endpoint
	Calls     []int64 `json:"calls"`     // OnClientAuthenticate, by endpoint
	Cancelled int64   `json:"cancelled"` // calls that were reset before their end
	Malformed int64   `json:"malformed"` // connections ended for bytes that are no call
}

// Providers are a set of listening endpoints.
type Providers struct {
	*endpoints.Set

	counts               []counts // by endpoint
	cancelled, malformed atomic.Int64
}

type counts struct{ loaded, calls atomic.Int64 }

// Listen opens the addresses and serves them until Close.
func Listen(addrs ...string) (p *Providers, err error) {
	p = &Providers{counts: make([]counts, len(addrs))}
	p.Set, err = endpoints.Listen(p.serve, addrs...)
	if err != nil {
		return nil, fmt.Errorf("provider: %w", err)
	}
	return p, nil
}

// Stats may be called at any time.
func (p *Providers) Stats() Stats {
	s := Stats{Open: p.Open(), Cancelled: p.cancelled.Load(), Malformed: p.malformed.Load()}
	for i := range p.counts {
		s.Loaded = append(s.Loaded, p.counts[i].loaded.Load())
		s.Calls = append(s.Calls, p.counts[i].calls.Load())
	}
	return s
}

// serve tells bytes that make no sense from a connection that merely ended, as those of a readiness check do.
func (p *Providers) serve(endpoint int, c net.Conn) {
	err := newConn(c, &p.counts[endpoint], &p.cancelled).serve()
	var network net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) {
		return
	}
	p.malformed.Add(1)
}
