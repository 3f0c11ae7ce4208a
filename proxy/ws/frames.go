package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrProtocol says that frames break the rules of WebSocket or of MQTT over it.
	ErrProtocol = errors.New("broken WebSocket framing")
	// ErrText says that a message is text, where MQTT must be binary (MQTT-6.0.0-1).
	ErrText = errors.New("a WebSocket message of text: MQTT is binary")
)

// Opcodes (RFC 6455 section 5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// frames follows the frames of one direction (RFC 6455 section 5) and keeps no
// byte of them. The zero value is ready at the start of what a server sends.
type frames struct {
	left  uint64  // of the payload; within a header, the length as far as it is read
	key   [4]byte // of a frame with a mask
	state state
	need  uint8 // bytes to come of the part of the header that state names
	flags uint8
	at    uint8 // how many bytes of payload the key was used for, modulo 4
}

type state uint8

const (
	inPayload state = iota // or between frames, when nothing is left
	inSecond
	inLength16
	inLength64
	inKey
	closed // after a close frame, which is the last (RFC 6455 section 5.5.1)

	brokenText // from here on nobody can tell where frames end
	brokenOpcode
	brokenReserved
	brokenSequence
	brokenControl
	brokenMask
	brokenLength
)

const (
	masked  = 1 << iota // this direction is a client's
	open                // a message has begun and not ended
	control             // the frame is none of a message
	closing             // the frame is a close frame
)

func (f *frames) broken() bool { return f.state >= brokenText }

// err says how the rules were broken.
func (f *frames) err() error {
	rule := ""
	switch f.state {
	case brokenText:
		return ErrText
	case brokenOpcode:
		rule = "an unknown opcode"
	case brokenReserved:
		rule = "a reserved bit is set, though no extension was agreed on"
	case brokenSequence:
		rule = "a fragment out of order"
	case brokenControl:
		rule = "a control frame in fragments or of more than 125 bytes"
	case brokenMask:
		rule = "a frame of a server with a mask"
		if f.flags&masked != 0 {
			rule = "a frame of a client without a mask"
		}
	case brokenLength:
		rule = "a length that is not in its shortest form"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrProtocol, rule)
}

// atBoundary reports whether a message may be sent between those that passed.
func (f *frames) atBoundary() bool {
	return f.state == inPayload && f.left == 0 && f.flags&open == 0
}

// messageLeft returns how many bytes of the frame belong to a message and are
// to come.
func (f *frames) messageLeft() uint64 {
	if f.state != inPayload || f.flags&control != 0 {
		return 0
	}
	return f.left
}

// next takes p up to the end of a frame with a payload, or what p has of it. It
// returns the part that belongs to a message, still masked, and what follows.
// All of p is gone once frames are broken or have ended.
func (f *frames) next(p []byte) (payload, rest []byte) {
	for f.state != inPayload || f.left == 0 {
		if len(p) == 0 || f.state >= closed {
			return nil, nil
		}
		f.header(p[0])
		p = p[1:]
	}
	n := int(min(f.left, uint64(len(p))))
	f.pass(n)
	if f.flags&control != 0 {
		return nil, p[n:]
	}
	return p[:n], p[n:]
}

// skip accounts for n bytes of a message that nobody looked at. With more than
// there are, what follows is out of order.
func (f *frames) skip(n int) {
	if n < 0 || uint64(n) > f.messageLeft() {
		f.state = brokenSequence
		return
	}
	f.pass(n)
}

// pass accounts for n bytes of payload, at most left.
func (f *frames) pass(n int) {
	f.left -= uint64(n)
	f.at = (f.at + uint8(n)) & 3
	if f.left == 0 && f.flags&closing != 0 {
		f.state = closed
	}
}

// unmask puts into dst what it has room for of payload, the last bytes that next
// returned, without their mask (RFC 6455 section 5.3).
func (f *frames) unmask(dst, payload []byte) int {
	at := int(f.at) - len(payload)
	n := min(len(dst), len(payload))
	for i, c := range payload[:n] {
		dst[i] = c ^ f.key[(at+i)&3]
	}
	return n
}

// header takes one byte of a frame's header.
func (f *frames) header(c byte) {
	switch f.state {
	case inPayload:
		f.first(c)
	case inSecond:
		f.second(c)
	case inLength16, inLength64:
		f.left = f.left<<8 | uint64(c)
		if f.need--; f.need > 0 {
			return
		}
		least := uint64(126)
		if f.state == inLength64 {
			least = 1 << 16
		}
		if f.left < least || f.left >= 1<<63 {
			f.state = brokenLength
			return
		}
		f.length()
	case inKey:
		f.key[4-f.need] = c
		if f.need--; f.need == 0 {
			f.payload()
		}
	}
}

func (f *frames) first(c byte) {
	final, op := c&0x80 != 0, c&0x0f
	if c&0x70 != 0 {
		f.state = brokenReserved
		return
	}
	f.state = inSecond
	f.flags &^= control | closing
	switch op {
	case opText:
		f.state = brokenText
	case opBinary, opContinuation:
		if (op == opContinuation) != (f.flags&open != 0) {
			f.state = brokenSequence
			return
		}
		f.flags |= open
		if final {
			f.flags &^= open
		}
	case opClose, opPing, opPong:
		if !final {
			f.state = brokenControl
			return
		}
		f.flags |= control
		if op == opClose {
			f.flags |= closing
		}
	default:
		f.state = brokenOpcode
	}
}

func (f *frames) second(c byte) {
	if (c&0x80 != 0) != (f.flags&masked != 0) {
		f.state = brokenMask
		return
	}
	f.left = uint64(c & 0x7f)
	switch {
	case f.left > 125 && f.flags&control != 0:
		f.state = brokenControl
	case f.left == 126:
		f.left, f.need, f.state = 0, 2, inLength16
	case f.left == 127:
		f.left, f.need, f.state = 0, 8, inLength64
	default:
		f.length()
	}
}

// length begins what follows the length.
func (f *frames) length() {
	if f.flags&masked != 0 {
		f.need, f.state = 4, inKey
		return
	}
	f.payload()
}

func (f *frames) payload() {
	f.at, f.state = 0, inPayload
	f.pass(0)
}

// Codes of close frames (RFC 6455 section 7.4.1; the last is of its registry).
const (
	CloseNormal          = 1000
	CloseGoingAway       = 1001
	CloseProtocolError   = 1002
	CloseUnsupportedData = 1003
	ClosePolicyViolation = 1008
	CloseTooBig          = 1009
	CloseTryAgainLater   = 1013
)

// AppendFrame appends a message to a client: one packet or several.
func AppendFrame(dst, payload []byte) []byte {
	dst = append(dst, 0x80|opBinary)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// AppendClose appends the frame that is the last to a client.
func AppendClose(dst []byte, code uint16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, 0x80|opClose, 2), code)
}
