package ws

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mqedge/mqedge/proxy/mqtt"
)

// ErrClosed says that a close frame came before the packet.
var ErrClosed = errors.New("the WebSocket was closed before the first packet was whole")

// overhead is what may come beside the first packet: headers of frames, pings.
// A client that sends each byte in a frame of its own needs six times the packet.
const overhead = 1 << 10

// ReadConnect reads a client's frames until a CONNECT packet of at most limit
// bytes is whole, however many frames it lies in. Rest is what ReadUpgrade read
// beyond the request; it is taken over. ReadConnect returns all bytes from the
// first frame on as they came, to be passed on: they may end within a frame, and
// pings among them are the endpoint's to answer.
//
// The errors of package mqtt are about the packet, those of this package about
// the frames; [CloseCode] knows what to tell the client. Limit bounds the frames
// too, with 1 KiB for all that is not the packet.
func ReadConnect(r io.Reader, rest []byte, limit int) (mqtt.Connect, []byte, error) {
	p := payloadReader{src: r, raw: rest, limit: limit + overhead, frames: frames{flags: masked}}
	c, _, err := mqtt.ReadConnect(&p, nil, limit)
	return c, p.raw, err
}

// ReadConnack is ReadConnect for the frames of an endpoint and its CONNACK, to a
// client of that level; rest is from ReadAccepted. What it returns is for the client.
func ReadConnack(r io.Reader, rest []byte, level byte, limit int) (mqtt.Connack, []byte, error) {
	p := payloadReader{src: r, raw: rest, limit: limit + overhead}
	c, _, err := mqtt.ReadConnack(&p, nil, level, limit)
	return c, p.raw, err
}

// CloseCode returns the code with which to close the connection of a client
// after ReadConnect returned err.
func CloseCode(err error) uint16 {
	switch {
	case errors.Is(err, ErrClosed):
		return CloseNormal
	case errors.Is(err, ErrText):
		return CloseUnsupportedData
	case errors.Is(err, mqtt.ErrTooLarge):
		return CloseTooBig
	case errors.Is(err, ErrProtocol), errors.Is(err, mqtt.ErrNotConnect), errors.Is(err, mqtt.ErrMalformed):
		return CloseProtocolError
	}
	return ClosePolicyViolation
}

// payloadReader reads the payload of messages and keeps all that came.
type payloadReader struct {
	src    io.Reader
	raw    []byte
	seen   int // of raw
	limit  int // of raw
	frames frames
}

func (r *payloadReader) Read(p []byte) (int, error) {
	for {
		for r.seen < len(r.raw) {
			part := r.raw[r.seen:]
			part = part[:min(len(part), len(p))] // so that its payload has room
			payload, left := r.frames.next(part)
			r.seen += len(part) - len(left)
			if r.frames.broken() {
				return 0, r.frames.err()
			}
			if r.frames.state == closed {
				return 0, ErrClosed
			}
			if len(payload) > 0 {
				return r.frames.unmask(p, payload), nil
			}
		}
		if err := r.receive(); err != nil {
			return 0, err
		}
	}
}

func (r *payloadReader) receive() error {
	if len(r.raw) >= r.limit {
		return fmt.Errorf("%w: more than %d bytes of frames", mqtt.ErrTooLarge, r.limit)
	}
	if len(r.raw) == cap(r.raw) {
		r.raw = slices.Grow(r.raw, max(len(r.raw), 512))
	}
	n, err := r.src.Read(r.raw[len(r.raw):min(cap(r.raw), r.limit)])
	r.raw = r.raw[:len(r.raw)+n]
	switch {
	case n > 0:
		return nil // the error comes again
	case err == io.EOF && len(r.raw) > 0:
		return io.ErrUnexpectedEOF
	}
	return err
}
