package grpcrelay

import (
	"errors"
	"time"
)

// Writer is what a connection is sent by. It must not call back into the group.
type Writer interface {
	// Write takes all of b. What the socket does not take at once the writer
	// keeps, a copy of it: b is used again.
	Write(b []byte)
	// Backlog is how many bytes were written and not taken by the socket yet.
	// It may be asked after the connection has ended, too.
	Backlog() int
	// Close ends the connection once what was written has been sent, or cannot be.
	Close()
}

// conn is what both ends of HTTP/2 have in common.
type conn struct {
	group  *Group
	writer Writer
	peer   peer
	enc    encoder
	dec    decoder

	rest []byte // of a frame that has not come whole

	out      []byte // frames for the next flush
	flushed  uint64 // bytes that the writer was given
	backlog  int    // of the writer, when it was last asked
	answers  int    // to control frames, since the backlog was empty
	dirty    bool   // in Group.dirty
	closing  bool   // with the next flush
	closed   bool   // nothing is read or sent any more
	gone     bool   // so said the driver
	err      error  // why it is closed
	settled  bool   // the peer's first SETTINGS came
	pinged   bool   // a ping of ours is not answered
	acked    func() // what the answer to it means
	waiting  []sender
	waitHead int

	sendWindow  int64 // of the connection, as the peer lets us
	firstWindow int64 // of each new stream, as the peer lets us
	grown       bool  // it has become larger: open streams may send
	maxFrame    int   // of the peer
	recvWindow  int64 // of the connection, as we let the peer
	freed       int64 // received and done with, not given back yet

	blockID    uint32 // of the block that CONTINUATIONs go on with; 0 is none
	blockFlags uint8
	blockParts int
	block      []byte
}

// peer is the role that a conn plays: [Client] or [Provider].
type peer interface {
	take(f frame) error
	settings(key uint16, value uint32) error
	lost()          // end all that is there
	goaway() uint32 // the last stream that was or may be acted on
	streamFailed(e streamError)
}

// sender is one stream of a connection that waits for the connection to take more.
type sender interface {
	// pump sends what it can, or one frame of it where others wait as well.
	pump(one bool)
	setWaiting(bool)
}

func (c *conn) open(g *Group, w Writer, p peer) {
	*c = conn{
		group: g, writer: w, peer: p,
		enc: newEncoder(), dec: newDecoder(g.o.HeaderList, &g.known),
		sendWindow: firstWindow, firstWindow: firstWindow, maxFrame: maxFrame,
		recvWindow: int64(g.o.ConnWindow),
	}
}

// touch makes c part of the next flush; whoever appends to out calls it before.
func (c *conn) touch() {
	if c.out == nil {
		c.out = c.group.buffer()
	}
	if !c.dirty {
		c.dirty = true
		c.group.dirty = append(c.group.dirty, c)
	}
}

func (c *conn) flush() {
	c.dirty = false
	if len(c.out) > 0 && !c.gone {
		c.writer.Write(c.out)
		c.flushed += uint64(len(c.out))
		c.backlog = c.writer.Backlog()
	}
	c.group.release(c.out)
	c.out = nil
	if c.backlog == 0 {
		c.answers = 0
	}
	if c.closing {
		c.closing = false
		if !c.gone {
			c.writer.Close()
		}
		return
	}
	if c.backlog > c.group.o.Backlog && !c.closed {
		c.fail(connError{codeCalm, "the peer does not read"})
		return
	}
	if !c.closed {
		c.pumpWaiting()
	}
}

// Resume is for the driver to call when the writer's backlog has become smaller
// or is gone.
func (c *conn) Resume() {
	if c.closed {
		return
	}
	c.group.tell()
	c.backlog = c.writer.Backlog()
	if c.backlog == 0 {
		c.answers = 0
	}
	c.pumpWaiting()
}

// room is how much DATA the connection takes now.
func (c *conn) room() int {
	if c.closed || c.backlog+len(c.out) >= c.group.o.Ahead {
		return 0
	}
	return int(max(c.sendWindow, 0))
}

func (c *conn) wait(s sender) {
	s.setWaiting(true)
	c.waiting = append(c.waiting, s)
}

// unwait takes a stream that has ended off the queue.
func (c *conn) unwait(s sender) {
	s.setWaiting(false)
	for i := c.waitHead; i < len(c.waiting); i++ {
		if c.waiting[i] == s {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return
		}
	}
}

// pumpWaiting lets streams that wait for the connection send, a frame each in turn.
func (c *conn) pumpWaiting() {
	for c.waitHead < len(c.waiting) && c.room() > 0 {
		s := c.waiting[c.waitHead]
		c.waiting[c.waitHead] = nil
		c.waitHead++
		if c.waitHead > 64 && c.waitHead > len(c.waiting)/2 {
			n := copy(c.waiting, c.waiting[c.waitHead:])
			clear(c.waiting[n:])
			c.waiting, c.waitHead = c.waiting[:n], 0
		}
		s.setWaiting(false)
		s.pump(true)
	}
	if c.waitHead == len(c.waiting) {
		c.waiting, c.waitHead = c.waiting[:0], 0
	}
}

// data appends a DATA frame and takes it off the connection's window.
func (c *conn) data(id uint32, b []byte, flags uint8) {
	c.touch()
	c.out = append(appendFrameHead(c.out, len(b), frameData, flags, id), b...)
	c.sendWindow -= int64(len(b))
}

// credit counts bytes of the connection's window that are free again and gives
// them back a quarter of the window at a time.
func (c *conn) credit(n int) {
	c.freed += int64(n)
	if c.freed >= int64(c.group.o.ConnWindow)/4 && !c.closed {
		c.touch()
		c.out = appendWindow(c.out, 0, c.freed)
		c.recvWindow += c.freed
		c.freed = 0
	}
}

func (c *conn) reset(id uint32, code resetCode) {
	if !c.closed {
		c.touch()
		c.out = appendReset(c.out, id, code)
	}
}

// fail ends the connection by an error of the peer's: GOAWAY, close.
func (c *conn) fail(err error) {
	if c.closed {
		return
	}
	ce, ok := err.(connError)
	if !ok {
		ce = connError{codeInternal, err.Error()}
	}
	c.touch()
	c.out = appendGoaway(c.out, c.peer.goaway(), ce.code, ce.why)
	c.shut(err)
}

// shut closes the connection with the next flush and ends all that is there now.
func (c *conn) shut(err error) {
	c.touch()
	c.closing = true
	c.end(err)
}

func (c *conn) end(err error) {
	if c.err = err; err == nil {
		c.err = errClosed
	}
	c.closed = true
	c.group.release(c.rest)
	c.rest, c.block, c.waiting, c.waitHead = nil, nil, nil, 0
	c.peer.lost()
}

// Ended is for the driver to tell that the connection is gone, whatever the
// reason. Its writer is not used any more.
func (c *conn) Ended(err error) {
	c.gone = true
	if c.closed {
		return
	}
	c.group.tell()
	c.backlog = c.writer.Backlog()
	c.end(err)
}

// Closed tells whether the connection is closed, by either side.
func (c *conn) Closed() bool { return c.closed }

// Err is why the connection is closed; nil while it is not.
func (c *conn) Err() error { return c.err }

var errClosed = errors.New("grpcrelay: the connection was closed")

// sentTo tells whether the byte at an offset of all that was ever queued has
// been, or may yet be, handed to the socket.
func (c *conn) sentTo(offset uint64) bool {
	return !c.gone || offset < c.flushed-uint64(c.backlog)
}

func (c *conn) offset() uint64 { return c.flushed + uint64(len(c.out)) }

const handshakeTimeout = 10 * time.Second
