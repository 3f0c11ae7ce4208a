package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery"
)

// Type is what to ask for.
type Type string

const (
	A   Type = "a"   // addresses of both families, which are used with Options.Port
	SRV Type = "srv" // hosts with ports and weights: those of the best priority are primary, the others backup
)

// Options is what to ask, and how often. Name has to be set, and Port for type A.
type Options struct {
	Name     string
	Port     uint16
	Type     Type          // empty means A
	Interval time.Duration // between questions; 0 means 10 s
	Timeout  time.Duration // of one question; 0 means 5 s
	Resolver string        // IP:port of the server to ask; empty means those of the system
	Log      *slog.Logger  // nil means none
}

const (
	defaultInterval = 10 * time.Second
	defaultTimeout  = 5 * time.Second
	firstRetry      = time.Second // while nothing is known
	mostEndpoints   = 1024
)

// Source gives a sink what the DNS says.
type Source struct {
	o        Options
	resolver *net.Resolver

	mu     sync.Mutex
	status Status
}

// Status is how asking goes. It is safe to keep.
type Status struct {
	Name      string
	Endpoints int       // in use
	Answered  time.Time // when the answer in use was given; zero before the first
	Err       error     // why the latest answer is not in use; nil when it is
	Questions uint64
	Failures  uint64 // questions whose answer was not used, or not wholly
}

// New returns an error that names the key to change when the options cannot work.
func New(o Options) (*Source, error) {
	if o.Type == "" {
		o.Type = A
	}
	switch {
	case o.Name == "":
		return nil, errors.New("dns.name: set it to the name to resolve")
	case o.Type != A && o.Type != SRV:
		return nil, fmt.Errorf("dns.type %q: want a or srv", o.Type)
	case o.Type == A && o.Port == 0:
		return nil, errors.New("dns.port: set it: addresses come without a port (SRV records have one: dns.type: srv)")
	case o.Interval < 0 || o.Timeout < 0:
		return nil, errors.New("dns.interval: want a duration above 0")
	}
	if o.Interval == 0 {
		o.Interval = defaultInterval
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Source{o: o, resolver: net.DefaultResolver, status: Status{Name: o.Name}}
	if o.Resolver != "" {
		s.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, o.Resolver)
		}}
	}
	return s, nil
}

// Run asks until ctx ends, at intervals that differ a little so that edges do not all ask at once.
func (s *Source) Run(ctx context.Context, sink discovery.Sink) error {
	var current []balancer.Endpoint
	targets := make(map[string][]string) // what SRV targets last resolved to
	retry := min(firstRetry, s.o.Interval)
	for {
		asking, cancel := context.WithTimeout(ctx, s.o.Timeout)
		next, err := s.ask(asking, targets)
		cancel()
		if ctx.Err() != nil {
			return nil
		}
		changed := len(next) > 0 && !slices.Equal(next, current)
		if len(next) > 0 {
			current = next
		}
		s.note(len(current), len(next) > 0, err)
		if changed {
			sink.Update(slices.Clone(current))
		}
		wait := s.o.Interval
		if len(current) == 0 {
			wait = retry
			retry = min(2*retry, s.o.Interval)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait*9/10 + rand.N(wait/5+1)):
		}
	}
}

// Status is how asking goes now.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Source) note(endpoints int, used bool, err error) {
	s.mu.Lock()
	before := s.status.Err
	s.status.Endpoints = endpoints
	s.status.Questions++
	if used {
		s.status.Answered = time.Now()
	}
	s.status.Err = err
	if err != nil {
		s.status.Failures++
	}
	s.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		s.o.Log.Warn("dns: the last good answer stays in use", "name", s.o.Name, "endpoints", endpoints, "error", err)
	case err == nil && before != nil:
		s.o.Log.Info("dns: answers are good again", "name", s.o.Name, "endpoints", endpoints)
	}
}
