package grpcrelay

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/grpc/codes"
)

// Client is a connection of a client: we are the server. Its methods Receive,
// Resume and Ended are for the driver.
type Client struct {
	conn
	// Data belongs to the handler.
	Data any

	streams  map[uint32]*Call // some only wait for the client's END_STREAM
	last     uint32           // highest stream
	prefaced int              // bytes of the preface that came
	opened   int64
	live     int // calls that are not over
	held     int // bytes of requests
	buffered int // bytes of answers
	drain    drainState
	drainBy  int64
	abuse    abuse
	recent   [64]recentStream
	recentAt int
}

// Client takes a connection of a client into the group.
func (g *Group) Client(w Writer) *Client {
	g.tell()
	cl := &Client{streams: make(map[uint32]*Call), opened: g.now}
	cl.conn.open(g, w, cl)
	g.clients[cl] = struct{}{}
	cl.touch()
	cl.out = appendFrameHead(cl.out, 6, frameSettings, 0, 0)
	cl.out = appendSetting(cl.out, settingWindow, uint32(g.o.StreamWindow))
	if more := g.o.ConnWindow - firstWindow; more > 0 {
		cl.out = appendWindow(cl.out, 0, int64(more))
	}
	return cl
}

// Idle tells whether no stream is open, so that closing the connection hurts no call.
func (cl *Client) Idle() bool { return len(cl.streams) == 0 }

// Close closes the connection now. Its calls are cancelled.
func (cl *Client) Close() {
	cl.group.tell()
	cl.fail(connError{codeNone, "closing"})
}

// Receive takes bytes that came from the client; it keeps none of b.
func (cl *Client) Receive(b []byte) {
	if cl.prefaced < len(preface) && !cl.closed {
		n := min(len(preface)-cl.prefaced, len(b))
		if string(b[:n]) != preface[cl.prefaced:cl.prefaced+n] {
			cl.group.tell()
			cl.fail(connError{codeProtocol, "this is not HTTP/2"})
			return
		}
		cl.prefaced += n
		b = b[n:]
	}
	if len(b) > 0 {
		cl.conn.Receive(b)
	}
}

func (cl *Client) take(f frame) error {
	switch f.kind {
	case frameData:
		return cl.takeData(f)
	case frameHeaders:
		return cl.takeHeaders(f)
	case frameReset:
		return cl.takeReset(f)
	case frameWindow:
		return cl.takeWindow(f)
	case framePriority:
		if f.id == 0 {
			return connError{codeProtocol, "PRIORITY without a stream"}
		}
		if len(f.body) != 5 {
			return streamError{f.id, codeFrameSize, "PRIORITY has not 5 bytes"}
		}
		if binary.BigEndian.Uint32(f.body)&maxStreamID == f.id {
			return streamError{f.id, codeProtocol, "a stream depends on itself"}
		}
	case frameSettings:
		if cl.grown {
			cl.grown = false
			for _, c := range cl.open() {
				c.pump(false)
			}
		}
	case frameGoaway:
		if f.id != 0 || len(f.body) < 8 {
			return connError{codeProtocol, "GOAWAY is malformed"}
		}
	}
	return cl.cheap() // PING, SETTINGS, PRIORITY, GOAWAY and what we do not know
}

func (cl *Client) takeHeaders(f frame) error {
	h, err := cl.dec.decode(f.body)
	if err != nil {
		return err
	}
	if f.id%2 == 0 {
		return connError{codeProtocol, "a client's stream has an even number"}
	}
	end := f.flags&flagEnd != 0
	if c := cl.streams[f.id]; c != nil {
		return cl.takeTrailers(c, h, end)
	}
	if f.id <= cl.last {
		switch cl.how(f.id) {
		case closedByUs:
			return cl.cheap()
		case closedByPeer:
			return streamError{f.id, codeStreamClosed, "HEADERS after RST_STREAM"}
		case closedByBoth:
			return connError{codeStreamClosed, "HEADERS on a stream that is over"}
		}
		return connError{codeProtocol, "the number of a stream is lower than one before"}
	}
	cl.last = f.id
	cl.abuse.useful++
	if why := h.requestError(); why != "" {
		return streamError{f.id, codeProtocol, why}
	}
	if end && h.contentLength > 0 {
		return streamError{f.id, codeProtocol, "the body is not as long as content-length says"}
	}
	if len(cl.streams) >= 2*cl.group.o.MaxCalls {
		return connError{codeCalm, "there are too many streams"}
	}
	cl.begin(f.id, h, end)
	return nil
}

// begin makes a call of a header.
func (cl *Client) begin(id uint32, h *Header, end bool) {
	g := cl.group
	c := g.newCall()
	c.group, c.client, c.id, c.head, c.began = g, cl, id, h, g.now
	c.expect, c.recvWindow, c.sendWindow = h.contentLength, int64(g.o.StreamWindow), cl.firstWindow
	c.requestEnded, c.kept = end, true
	cl.streams[id] = c
	cl.live++
	switch {
	case h.tooLarge:
		c.end(status{codes.ResourceExhausted, "the header is too large"}, nil)
		return
	case h.method != "POST" || !h.grpc || h.path[0] != '/':
		cl.refuseHTTP(c)
		return
	case h.refused != "":
		c.end(status{codes.Internal, h.refused}, nil)
		return
	case len(cl.streams) > g.o.MaxCalls:
		c.end(status{codes.ResourceExhausted, "this connection has too many calls"}, nil)
		return
	}
	if h.whole == wholeUnknown {
		h.whole = wholeNo
		if g.o.Whole != nil && g.o.Whole(h.path) {
			h.whole = wholeYes
		}
	}
	c.whole = h.whole == wholeYes
	if h.hasTimeout || c.whole {
		d := g.o.Timeout
		if h.hasTimeout {
			d = h.timeout
		}
		if c.whole {
			d -= min(g.o.Margin, d/10)
		}
		c.deadline = max(c.began+int64(d), 1)
		g.wheel.put(c, c.deadline)
	}
	switch {
	case !c.whole:
		c.told = true
		g.o.Handler.Call(c)
	case end:
		c.gather(nil, true)
	}
}

const notGRPC = "This port speaks gRPC.\n"

// refuseHTTP answers what is HTTP but not gRPC, so in HTTP.
func (cl *Client) refuseHTTP(c *Call) {
	code := 415
	if c.head.method != "POST" {
		code = 405
	} else if c.head.grpc {
		code = 404
	}
	cl.touch()
	at := len(cl.out)
	cl.out = append(cl.out, frameGap[:]...)
	cl.out = cl.enc.httpStatus(cl.out, code)
	c.answered, c.begun = true, true
	c.tail = tail{ready: true, bare: true}
	if c.head.method == "HEAD" {
		cl.out = endHeaders(cl.out, at, cl.maxFrame, c.id, flagEnd)
		c.sendTail()
		return
	}
	cl.out = endHeaders(cl.out, at, cl.maxFrame, c.id, 0)
	c.answer = append(c.answer[:0], notGRPC...)
	cl.buffered += len(notGRPC)
	c.pump(false)
}

// takeTrailers: gRPC has none in requests, so they only end one.
func (cl *Client) takeTrailers(c *Call, h *Header, end bool) error {
	switch {
	case c.requestEnded:
		return streamError{c.id, codeStreamClosed, "HEADERS after the end of the request"}
	case !end || h.pseudo != 0 || h.wrong != "":
		return streamError{c.id, codeProtocol, "the trailers of a request are malformed"}
	case c.expect > 0:
		return streamError{c.id, codeProtocol, "the body is not as long as content-length says"}
	}
	c.endRequest()
	return nil
}

func (cl *Client) takeData(f frame) error {
	if f.id == 0 || f.id > cl.last || f.id%2 == 0 {
		return connError{codeProtocol, "DATA on a stream that is not open"}
	}
	size := len(f.body)
	if cl.recvWindow -= int64(size); cl.recvWindow < 0 {
		return connError{codeFlowControl, "more DATA than the window of the connection"}
	}
	if err := f.unpad(); err != nil {
		return err
	}
	cl.credit(size - len(f.body))
	c, end := cl.streams[f.id], f.flags&flagEnd != 0
	if c == nil || c.requestEnded {
		cl.credit(len(f.body))
		if c == nil && cl.how(f.id) == closedByUs {
			return cl.cheap()
		}
		return streamError{f.id, codeStreamClosed, "DATA on a stream that is closed"}
	}
	if c.recvWindow -= int64(size); c.recvWindow < 0 {
		cl.credit(len(f.body))
		return streamError{f.id, codeFlowControl, "more DATA than the window of the stream"}
	}
	c.freed += int64(size - len(f.body))
	if len(f.body) > 0 {
		cl.abuse.useful++
	} else if !end {
		return cl.cheap()
	}
	return c.takeData(f.body, end)
}

func (cl *Client) takeReset(f frame) error {
	switch {
	case len(f.body) != 4:
		return connError{codeFrameSize, "RST_STREAM has not 4 bytes"}
	case f.id == 0 || f.id > cl.last || f.id%2 == 0:
		return connError{codeProtocol, "RST_STREAM on a stream that is not open"}
	}
	if c := cl.streams[f.id]; c != nil {
		cl.forget(c, closedByPeer)
		c.withdraw()
	}
	return cl.countReset()
}

func (cl *Client) takeWindow(f frame) error {
	if f.id > cl.last || f.id != 0 && f.id%2 == 0 {
		return connError{codeProtocol, "WINDOW_UPDATE on a stream that is not open"}
	}
	if f.id != 0 {
		n := int64(binary.BigEndian.Uint32(f.body) & maxWindow)
		if n == 0 {
			return streamError{f.id, codeProtocol, "WINDOW_UPDATE of nothing"}
		}
		if c := cl.streams[f.id]; c != nil {
			if c.sendWindow += n; c.sendWindow > maxWindow {
				return streamError{f.id, codeFlowControl, "the window of the stream overflows"}
			}
			c.pump(false)
		}
	}
	return cl.cheap()
}

func (cl *Client) settings(key uint16, value uint32) error {
	if key != settingWindow {
		return nil
	}
	more := int64(value) - cl.firstWindow
	cl.firstWindow = int64(value)
	for _, c := range cl.streams {
		if c.sendWindow += more; c.sendWindow > maxWindow {
			return connError{codeFlowControl, "the window of a stream overflows"}
		}
	}
	cl.grown = cl.grown || more > 0
	return nil
}

func (cl *Client) goaway() uint32 { return cl.last }

func (cl *Client) String() string {
	return fmt.Sprintf("client connection, %d calls, %d streams opened", cl.live, (cl.last+1)/2)
}
