package provider

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/mqedge/mqedge/bench/h2"
	"github.com/mqedge/mqedge/bench/hook"
)

const (
	window      = 8_000_000 // for requests, as large as EMQX's own for answers
	replenish   = window / 2
	maxRequest  = 64 << 10
	maxCalls    = 10_000 // at once on one connection
	contentType = "application/grpc+proto"
)

// conn is one HTTP/2 connection from a proxy, served by one goroutine.
type conn struct {
	net.Conn
	in     *h2.Reader
	out    []byte
	answer []byte // scratch

	counts    *counts
	cancelled *atomic.Int64
	requests  *h2.Decoder
	answers   answers

	open     []*call // whose request is not complete
	free     []*call
	received uint32 // bytes of DATA since the last WINDOW_UPDATE

	sendWindow    int64   // of the connection
	initialWindow int64   // of each stream
	ready         []*call // answered as soon as the window allows
}

type call struct {
	stream  uint32
	path    string
	request []byte // DATA so far
	credit  int64  // of WINDOW_UPDATE for this stream
}

func newConn(c net.Conn, counts *counts, cancelled *atomic.Int64) *conn {
	return &conn{
		Conn: c, in: h2.NewReader(c), counts: counts, cancelled: cancelled, requests: h2.NewDecoder(), answers: newAnswers(),
		sendWindow: h2.DefaultWindow, initialWindow: h2.DefaultWindow,
	}
}

func (c *conn) serve() error {
	if err := c.in.Preface(); err != nil {
		return err
	}
	c.out = h2.AppendSettings(c.out, h2.Setting{ID: h2.InitialWindowSize, Value: window})
	c.out = h2.AppendWindowUpdate(c.out, 0, window-h2.DefaultWindow)
	for {
		if !c.in.Ready() && len(c.out) > 0 {
			if _, err := c.Write(c.out); err != nil {
				return err
			}
			c.out = c.out[:0]
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

func (c *conn) handle(f h2.Frame) error {
	switch f.Type {
	case h2.Headers:
		return c.begin(f)
	case h2.Data:
		return c.data(f)
	case h2.Settings:
		return c.settings(f)
	case h2.Ping:
		if !f.Has(h2.Ack) {
			c.out = h2.AppendPingAck(c.out, f.Payload)
		}
	case h2.WindowUpdate:
		c.credit(f)
		return c.answerReady()
	case h2.RSTStream:
		before := len(c.open) + len(c.ready)
		is := func(each *call) bool { return each.stream == f.Stream }
		c.open, c.ready = slices.DeleteFunc(c.open, is), slices.DeleteFunc(c.ready, is)
		c.cancelled.Add(int64(before - len(c.open) - len(c.ready)))
	}
	return nil // what is left needs no answer
}

func (c *conn) settings(f h2.Frame) error {
	if f.Has(h2.Ack) {
		return nil
	}
	for _, s := range f.Settings() {
		switch s.ID {
		case h2.HeaderTableSize:
			c.answers.encoder.Limit(s.Value)
		case h2.InitialWindowSize:
			for _, each := range c.ready {
				each.credit += int64(s.Value) - c.initialWindow
			}
			c.initialWindow = int64(s.Value)
		}
	}
	c.out = h2.AppendSettingsAck(c.out)
	return c.answerReady()
}

func (c *conn) credit(f h2.Frame) {
	if f.Stream == 0 {
		c.sendWindow += int64(f.Number())
		return
	}
	for _, calls := range [][]*call{c.open, c.ready} {
		for _, each := range calls {
			if each.stream == f.Stream {
				each.credit += int64(f.Number())
			}
		}
	}
}

func (c *conn) begin(f h2.Frame) error {
	content, err := f.Content()
	if err != nil {
		return err
	}
	header, err := c.requests.Decode(content)
	if err != nil {
		return err
	}
	if header.Method != "POST" || header.Path != hook.Authenticate && header.Path != hook.ProviderLoaded || !strings.HasPrefix(header.ContentType, "application/grpc") {
		return fmt.Errorf("unexpected request %+v", *header)
	}
	if f.Has(h2.EndStream) || len(c.open) == maxCalls {
		return errors.New("a call without a message, or too many")
	}
	var opened *call
	if n := len(c.free); n > 0 {
		opened, c.free = c.free[n-1], c.free[:n-1]
	} else {
		opened = new(call)
	}
	*opened = call{stream: f.Stream, path: header.Path, request: opened.request[:0], credit: 0}
	c.open = append(c.open, opened)
	return nil
}

func (c *conn) data(f h2.Frame) error {
	c.received += uint32(len(f.Payload))
	if c.received > replenish {
		c.out = h2.AppendWindowUpdate(c.out, 0, c.received)
		c.received = 0
	}
	i := slices.IndexFunc(c.open, func(each *call) bool { return each.stream == f.Stream })
	if i < 0 {
		return nil // it was reset
	}
	content, err := f.Content()
	if err != nil {
		return err
	}
	current := c.open[i]
	if len(current.request)+len(content) > maxRequest {
		return errors.New("a request too large")
	}
	current.request = append(current.request, content...)
	if !f.Has(h2.EndStream) {
		return nil
	}
	c.open = slices.Delete(c.open, i, i+1)
	current.credit += c.initialWindow
	c.ready = append(c.ready, current)
	return c.answerReady()
}
