package h2

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Preface is what a client sends first.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Frame types (section 6).
const (
	Data         = 0x0
	Headers      = 0x1
	RSTStream    = 0x3
	Settings     = 0x4
	PushPromise  = 0x5
	Ping         = 0x6
	GoAway       = 0x7
	WindowUpdate = 0x8
	Continuation = 0x9
)

// Flags. Ack is of SETTINGS and PING.
const (
	Ack        = 0x1
	EndStream  = 0x1
	EndHeaders = 0x4
	Padded     = 0x8
	Priority   = 0x20
)

// Settings (section 6.5.2).
const (
	HeaderTableSize      = 0x1
	MaxConcurrentStreams = 0x3
	InitialWindowSize    = 0x4
)

// Limits as they are before any SETTINGS.
const (
	DefaultWindow          = 65_535
	DefaultHeaderTableSize = 4_096
	maxFrame               = 16_384
	headSize               = 9
)

// ErrFrame is returned for frames that break the rules, or that this package has no use for.
var ErrFrame = errors.New("HTTP/2 frame")

// AppendFrame appends a frame's header; its payload of length bytes must follow.
func AppendFrame(dst []byte, length int, kind, flags byte, stream uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(dst, stream)
}

// Setting is one of a SETTINGS frame.
type Setting struct {
	ID    uint16
	Value uint32
}

// AppendSettings appends a SETTINGS frame.
func AppendSettings(dst []byte, settings ...Setting) []byte {
	dst = AppendFrame(dst, 6*len(settings), Settings, 0, 0)
	for _, s := range settings {
		dst = binary.BigEndian.AppendUint16(dst, s.ID)
		dst = binary.BigEndian.AppendUint32(dst, s.Value)
	}
	return dst
}

// AppendSettingsAck appends what answers the other side's SETTINGS.
func AppendSettingsAck(dst []byte) []byte { return AppendFrame(dst, 0, Settings, Ack, 0) }

// AppendPingAck appends what answers a PING with that payload.
func AppendPingAck(dst, payload []byte) []byte {
	return append(AppendFrame(dst, len(payload), Ping, Ack, 0), payload...)
}

// AppendWindowUpdate appends a WINDOW_UPDATE; stream 0 is the connection.
func AppendWindowUpdate(dst []byte, stream, increment uint32) []byte {
	return binary.BigEndian.AppendUint32(AppendFrame(dst, 4, WindowUpdate, 0, stream), increment)
}

// Frame is one frame as read. Its payload is valid until the next call of Reader.Next.
type Frame struct {
	Type, Flags byte
	Stream      uint32
	Payload     []byte
}

// Has reports whether all those flags are set.
func (f Frame) Has(flags byte) bool { return f.Flags&flags == flags }

// Content is the payload of DATA or HEADERS without padding and priority.
func (f Frame) Content() ([]byte, error) {
	content, padding := f.Payload, 0
	if f.Has(Padded) {
		if len(content) == 0 {
			return nil, fmt.Errorf("%w: padding cut short", ErrFrame)
		}
		padding, content = int(content[0]), content[1:]
	}
	if f.Type == Headers && f.Has(Priority) {
		if len(content) < 5 {
			return nil, fmt.Errorf("%w: priority cut short", ErrFrame)
		}
		content = content[5:]
	}
	if padding > len(content) {
		return nil, fmt.Errorf("%w: %d bytes of padding in %d", ErrFrame, padding, len(content))
	}
	return content[:len(content)-padding], nil
}

// Settings are the settings of a SETTINGS frame.
func (f Frame) Settings() (all []Setting) {
	for p := f.Payload; len(p) >= 6; p = p[6:] {
		all = append(all, Setting{binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])})
	}
	return all
}

// Number is the increment of a WINDOW_UPDATE, or the error code of a RST_STREAM.
func (f Frame) Number() uint32 { return binary.BigEndian.Uint32(f.Payload) }

// GoAwayCode is the error code of a GOAWAY.
func (f Frame) GoAwayCode() uint32 { return binary.BigEndian.Uint32(f.Payload[4:]) }

// Reader cuts frames out of a stream.
type Reader struct {
	r    *bufio.Reader
	used int // bytes of the last frame, still in r
}

// NewReader reads from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, headSize+maxFrame)}
}

// Preface reads what a client sends first.
func (r *Reader) Preface() error {
	got, err := r.r.Peek(len(Preface))
	if err != nil {
		return err
	}
	if string(got) != Preface {
		return fmt.Errorf("%w: no preface of HTTP/2", ErrFrame)
	}
	r.used = len(Preface)
	return nil
}

// Ready reports whether the next frame can be had whole without blocking.
func (r *Reader) Ready() bool {
	buffered := r.r.Buffered() - r.used
	if buffered < headSize {
		return false
	}
	all, _ := r.r.Peek(r.used + headSize) // no error: it is buffered
	return buffered >= headSize+length(all[r.used:])
}

// Next returns the next frame, checked for its length. The error is io.EOF between frames only.
func (r *Reader) Next() (Frame, error) {
	_, _ = r.r.Discard(r.used) // no error: it is buffered
	r.used = 0
	head, err := r.r.Peek(headSize)
	if err != nil {
		if len(head) > 0 && err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	size := headSize + length(head)
	if size > headSize+maxFrame {
		return Frame{}, fmt.Errorf("%w: %d bytes", ErrFrame, size-headSize)
	}
	all, err := r.r.Peek(size)
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	r.used = size
	f := Frame{Type: all[3], Flags: all[4], Stream: binary.BigEndian.Uint32(all[5:]) &^ (1 << 31), Payload: all[headSize:]}
	return f, f.check()
}

func length(head []byte) int { return int(head[0])<<16 | int(head[1])<<8 | int(head[2]) }

// check refuses what the methods of Frame would have to fear.
func (f Frame) check() error {
	n, ok := len(f.Payload), true
	switch f.Type {
	case Data:
		ok = f.Stream != 0
	case Headers:
		ok = f.Stream != 0 && f.Has(EndHeaders)
	case RSTStream:
		ok = f.Stream != 0 && n == 4
	case WindowUpdate:
		ok = n == 4
	case Settings:
		ok = n%6 == 0
	case Ping:
		ok = n == 8
	case GoAway:
		ok = n >= 8
	case PushPromise, Continuation:
		ok = false
	}
	if !ok {
		return fmt.Errorf("%w: type %d with flags %#x and %d bytes", ErrFrame, f.Type, f.Flags, n)
	}
	return nil
}
