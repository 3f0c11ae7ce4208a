package load

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mqedge/mqedge/bench/h2"
)

var errAnswer = errors.New("the answer is not that to the call")

// handle takes a frame in; flush must follow. An error is that of the connection.
func (c *caller) handle(f h2.Frame) error {
	switch f.Type {
	case h2.Headers:
		return c.answerHeader(f)
	case h2.Data:
		return c.answerData(f)
	case h2.Settings:
		c.settings(f)
	case h2.Ping:
		if !f.Has(h2.Ack) {
			c.out = h2.AppendPingAck(c.out, f.Payload)
		}
	case h2.WindowUpdate:
		if f.Stream == 0 { // that of a stream is large enough for its only message
			c.window += int64(f.Number())
			c.pump()
		}
	case h2.RSTStream:
		if s := c.slot(f.Stream); s != nil {
			c.finish(s, fmt.Errorf("RST_STREAM with code %d", f.Number()))
		}
	case h2.GoAway:
		return fmt.Errorf("GOAWAY with code %d", f.GoAwayCode())
	}
	return nil
}

func (c *caller) settings(f h2.Frame) {
	if f.Has(h2.Ack) {
		return
	}
	for _, s := range f.Settings() {
		switch s.ID {
		case h2.HeaderTableSize:
			c.encoder.Limit(s.Value)
		case h2.MaxConcurrentStreams:
			c.limit = int(min(uint32(len(c.slots)), s.Value))
		case h2.InitialWindowSize:
			c.initial = int64(s.Value)
		}
	}
	c.settled = true
	c.out = h2.AppendSettingsAck(c.out)
	c.pump()
}

// answerHeader takes in the header before a message, or the trailer after it, or the one that is both and says that a call failed.
func (c *caller) answerHeader(f h2.Frame) error {
	block, err := f.Content()
	if err != nil {
		return err
	}
	header, err := c.headers.Decode(block)
	if err != nil {
		return err
	}
	s := c.slot(f.Stream)
	if s == nil {
		return fmt.Errorf("an answer on stream %d, which has no call", f.Stream)
	}
	if !s.opened && (header.Status != "200" || !strings.HasPrefix(header.ContentType, "application/grpc")) {
		c.finish(s, fmt.Errorf("status %q, content type %q", header.Status, header.ContentType))
		return nil
	}
	s.opened = true
	switch {
	case !f.Has(h2.EndStream):
	case header.GRPCStatus != "0":
		c.finish(s, fmt.Errorf("grpc-status %q: %s", header.GRPCStatus, header.GRPCMessage))
	case !s.target.right(s.answer):
		c.finish(s, errAnswer)
	default:
		c.finish(s, nil)
	}
	return nil
}

func (c *caller) answerData(f h2.Frame) error {
	c.received += uint32(len(f.Payload))
	if c.received > answerReplenish {
		c.out = h2.AppendWindowUpdate(c.out, 0, c.received)
		c.received = 0
	}
	content, err := f.Content()
	if err != nil {
		return err
	}
	s := c.slot(f.Stream)
	switch {
	case s == nil: // of a call that has failed
	case !s.opened || len(s.answer)+len(content) > s.target.room():
		c.finish(s, errAnswer)
	case f.Has(h2.EndStream):
		c.finish(s, errors.New("no grpc-status"))
	default:
		s.answer = append(s.answer, content...)
	}
	return nil
}

// finish ends a call and starts what waits for its slot.
func (c *caller) finish(s *slot, err error) {
	d := s.dueCall
	s.stream, s.dueCall = 0, dueCall{}
	c.busy--
	if d.run == nil {
		c.failed = err
	} else if d.run.end(d, err) {
		c.waiting = append(c.waiting, c.following(d.run))
	}
	c.pump()
}

// following is the next call of a run that goes as fast as it can.
func (c *caller) following(r *callRun) dueCall {
	c.turn = (c.turn + 1) % len(c.own)
	return dueCall{target: c.own[c.turn], run: r, due: r.begin()}
}
