package load

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/mqedge/mqedge/bench/h2"
	"github.com/mqedge/mqedge/bench/hook"
)

// Windows for answers, as EMQX opens them.
const (
	answerWindow    = 8_000_000
	answerReplenish = answerWindow / 2
)

// caller is one HTTP/2 connection. Before the first run it belongs to whoever calls load and once; then its reader alone uses
// in and headers, and mu guards the rest.
type caller struct {
	net.Conn
	in      *h2.Reader
	headers *h2.Decoder
	own     []*target // that are called about over this connection

	mu       sync.Mutex
	out      []byte
	encoder  *h2.Encoder
	header   h2.Block // of a call
	slots    []slot
	busy     int       // slots
	waiting  []dueCall // from first on: for a slot, or for the window
	first    int
	turn     int    // in own
	next     uint32 // stream
	received uint32 // bytes of DATA since the last WINDOW_UPDATE
	dead     error  // why nothing can be called any more
	failed   error  // of the last call outside of a run

	settled bool  // the peer's SETTINGS have come
	window  int64 // for requests, of the connection
	initial int64 // of each stream
	limit   int   // on calls under way
}

// slot is for one call under way; with stream 0 it is free.
type slot struct {
	dueCall
	stream uint32
	opened bool // the answer's header has come
	answer []byte
}

type dueCall struct {
	target *target
	run    *callRun      // nil outside of one
	due    time.Duration // since the run began
}

// dialCaller returns when the peer's SETTINGS have come.
func dialCaller(ctx context.Context, opts CallerOptions) (*caller, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", opts.Addr)
	if err != nil {
		return nil, err
	}
	c := &caller{
		Conn: conn, in: h2.NewReader(conn), headers: h2.NewDecoder(),
		encoder: h2.NewEncoder(), header: h2.Block{Fields: hook.Header(hook.Authenticate, opts.Addr)},
		slots: make([]slot, opts.Streams), next: 1,
		window: h2.DefaultWindow, initial: h2.DefaultWindow, limit: opts.Streams,
	}
	c.out = append(c.out, h2.Preface...)
	c.out = h2.AppendSettings(c.out, h2.Setting{ID: h2.InitialWindowSize, Value: answerWindow})
	c.out = h2.AppendWindowUpdate(c.out, 0, answerWindow-h2.DefaultWindow)
	if err := c.await(func() bool { return c.settled }); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("HTTP/2: %w", err)
	}
	return c, nil
}

// load exchanges OnProviderLoaded.
func (c *caller) load(authority string) error {
	c.failed = nil
	t := target{request: hook.LoadedRequest()}
	c.start(dueCall{target: &t}, &h2.Block{Fields: hook.Header(hook.ProviderLoaded, authority)})
	if err := c.answered(); err != nil {
		return fmt.Errorf("OnProviderLoaded: %w", err)
	}
	return nil
}

// once makes a call and waits for its answer.
func (c *caller) once(t *target) error {
	c.failed = nil
	c.call(dueCall{target: t})
	return c.answered()
}

func (c *caller) answered() error {
	if err := c.await(func() bool { return c.busy == 0 && c.first == len(c.waiting) }); err != nil {
		return err
	}
	return c.failed
}

// await sends what there is to send and handles frames until something is so.
func (c *caller) await(so func() bool) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for {
		if err := c.flush(); err != nil {
			return err
		}
		if so() {
			return c.SetDeadline(time.Time{})
		}
		f, err := c.in.Next()
		if err != nil {
			return err
		}
		if err := c.handle(f); err != nil {
			return err
		}
	}
}

// call starts a call as soon as there is room for it; flush must follow.
func (c *caller) call(d dueCall) {
	c.waiting = append(c.waiting, d)
	c.pump()
}

// pump starts what waits.
func (c *caller) pump() {
	for c.first < len(c.waiting) && c.busy < c.limit {
		d := c.waiting[c.first]
		if d.run != nil && d.run.over.Load() {
			c.first++
			continue
		}
		if n := int64(len(d.target.request)); n > c.window || n > c.initial {
			return
		}
		c.first++
		c.start(d, &c.header)
	}
	if c.first == len(c.waiting) {
		c.waiting, c.first = c.waiting[:0], 0
	}
}

func (c *caller) start(d dueCall, header *h2.Block) {
	s := c.slot(0)
	*s = slot{dueCall: d, stream: c.next, answer: s.answer[:0]}
	c.next += 2
	c.busy++
	request := d.target.request
	c.window -= int64(len(request))
	block := c.encoder.Encode(header)
	c.out = append(h2.AppendFrame(c.out, len(block), h2.Headers, h2.EndHeaders, s.stream), block...)
	c.out = append(h2.AppendFrame(c.out, len(request), h2.Data, h2.EndStream, s.stream), request...)
}

// slot is nil when there is none for that stream.
func (c *caller) slot(stream uint32) *slot {
	for i := range c.slots {
		if c.slots[i].stream == stream {
			return &c.slots[i]
		}
	}
	return nil
}

func (c *caller) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.Write(c.out)
	c.out = c.out[:0]
	return err
}
