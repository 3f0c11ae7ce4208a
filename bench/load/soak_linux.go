package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/bench/mqtt"
)

// SoakOptions describe connections that are held while some of them end and others come in their place.
type SoakOptions struct {
	Options
	For   time.Duration `json:"for"`   // from when all are open
	Churn float64       `json:"churn"` // connections that end in a second, every other one by RST with a message under way
	Every time.Duration `json:"every"` // mean time between messages on a connection
}

// SoakResult is what became of them. All are closed.
type SoakResult struct {
	Opened   int64          `json:"opened"`
	Closed   int64          `json:"closed"` // in order, those of the end included
	Reset    int64          `json:"reset"`
	Messages int64          `json:"messages"` // that came back as they were
	Lost     int64          `json:"lost"`
	Wrong    int64          `json:"wrong"`            // that came back as something else
	Failed   map[string]int `json:"failed,omitempty"` // connections that were not to be had and messages that were lost, by error
}

type ending bool

const (
	inOrder ending = false
	byReset ending = true
)

// soak is one run. Each connection is held by a goroutine, which opens the next when it has ended.
type soak struct {
	SoakOptions
	dial    func(context.Context) (*client, error)
	dialing chan struct{} // holds one for each dial under way
	opening sync.WaitGroup
	end     chan ending // taken by the connection that waits for longest
	failed  failures

	opened, closed, reset, messages, lost, wrong atomic.Int64
}

// Soak returns when the time is over, or ctx, and all connections are closed.
func Soak(ctx context.Context, opts SoakOptions) (SoakResult, error) {
	if opts.Conns <= 0 || opts.Every <= 0 {
		return SoakResult{}, errors.New("load: a soak needs connections, and a time between messages")
	}
	config, err := opts.tls()
	if err != nil {
		return SoakResult{}, err
	}
	s := &soak{SoakOptions: opts, dialing: make(chan struct{}, dialers), end: make(chan ending)}
	s.dial = func(ctx context.Context) (*client, error) { return dial(ctx, opts.Addr, config) }

	holding, release := context.WithCancel(ctx)
	defer release()
	var wg sync.WaitGroup
	s.opening.Add(opts.Conns)
	for i := range opts.Conns {
		wg.Go(func() { s.hold(holding, i) })
	}
	s.opening.Wait()
	s.churn(ctx)
	release()
	wg.Wait()
	return SoakResult{
		Opened: s.opened.Load(), Closed: s.closed.Load(), Reset: s.reset.Load(),
		Messages: s.messages.Load(), Lost: s.lost.Load(), Wrong: s.wrong.Load(), Failed: s.failed.byError(),
	}, nil
}

// churn ends connections until the time is over.
func (s *soak) churn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.For)
	defer cancel()
	var due <-chan time.Time // never, without churn
	if s.Churn > 0 {
		tick := time.NewTicker(time.Duration(float64(time.Second) / s.Churn))
		defer tick.Stop()
		due = tick.C
	}
	for how := inOrder; ; how = !how {
		select {
		case <-due:
		case <-ctx.Done():
			return
		}
		select {
		case s.end <- how:
		case <-ctx.Done():
			return
		}
	}
}

// hold keeps a connection open, another one after each that ended.
func (s *soak) hold(ctx context.Context, slot int) {
	opened := sync.OnceFunc(s.opening.Done)
	defer opened()
	random := rand.New(rand.NewPCG(uint64(slot), 2))
	for generation := 0; ctx.Err() == nil; generation++ {
		c, err := s.open(ctx, fmt.Sprintf("soak-%05d-%d", slot, generation))
		if err == nil {
			opened()
			err = s.use(ctx, c, random)
		}
		if err != nil && ctx.Err() == nil {
			s.failed.add(err)
			opened()
			sleep(ctx, time.Second) // or a proxy that is down would be dialled without end
		}
	}
}

func (s *soak) open(ctx context.Context, id string) (*client, error) {
	s.dialing <- struct{}{}
	defer func() { <-s.dialing }()
	c, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.greet(id, s.FirstPublish); err != nil {
		return nil, err
	}
	s.opened.Add(1)
	return c, nil
}

// use exchanges messages until the connection is to end, and ends it. The error is that of a message.
func (s *soak) use(ctx context.Context, c *client, random *rand.Rand) error {
	pause := func() time.Duration { return time.Duration(random.ExpFloat64() * float64(s.Every)) }
	next := time.NewTimer(pause())
	defer next.Stop()
	for {
		select {
		case <-next.C:
			if err := s.exchange(c, message(random)); err != nil {
				_ = c.Close()
				return err
			}
			next.Reset(pause())
			continue
		case how := <-s.end:
			if how == byReset {
				s.reset.Add(1)
				_, _ = c.Write(message(random))
				_ = c.tcp.SetLinger(0)
				_ = c.tcp.Close()
				return nil
			}
		case <-ctx.Done():
		}
		s.closed.Add(1)
		_ = c.Close()
		return nil
	}
}

var errWrong = errors.New("a message came back as something else")

// exchange sends a PUBLISH, which has to come back as it is.
func (s *soak) exchange(c *client, packet []byte) error {
	p, err := c.roundTrip(packet, mqtt.Publish)
	switch {
	case err != nil:
		s.lost.Add(1)
		return fmt.Errorf("message: %w", err)
	case !bytes.Equal(p.Raw, packet):
		s.wrong.Add(1)
		return errWrong
	}
	s.messages.Add(1)
	return nil
}

func message(random *rand.Rand) []byte {
	payload := make([]byte, 16+random.IntN(240))
	for i := range payload {
		payload[i] = byte(random.Uint32())
	}
	return mqtt.AppendPublish(nil, topic, 0, 0, payload)
}

func sleep(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
