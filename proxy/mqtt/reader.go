package mqtt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// readFirst reads from r until parse has a verdict on all that came, and returns
// all that came, in buf if there is room. io.EOF means that nothing did.
func readFirst(r io.Reader, buf []byte, parse func([]byte) error) ([]byte, error) {
	if buf = buf[:0]; cap(buf) == 0 {
		buf = make([]byte, 0, 512)
	}
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n > 0 {
			if verdict := parse(buf); verdict != ErrIncomplete {
				return buf, verdict
			}
			if len(buf) == cap(buf) {
				buf = append(buf, 0)[:len(buf)]
			}
		}
		if err == io.EOF && len(buf) > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return buf, err
		}
	}
}

// errShort says that a field reaches beyond the bytes at hand.
var errShort = errors.New("it ends too early")

// reader takes fields off the front of b.
type reader struct{ b []byte }

func (r *reader) byte() (byte, error) {
	if len(r.b) < 1 {
		return 0, errShort
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v, nil
}

func (r *reader) uint16() (uint16, error) {
	if len(r.b) < 2 {
		return 0, errShort
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v, nil
}

// bytes reads two bytes of length and that many bytes (MQTT 5.0 section 1.5.4, 1.5.6).
func (r *reader) bytes() ([]byte, error) {
	n, err := r.uint16()
	if err != nil {
		return nil, err
	}
	return r.take(int(n))
}

func (r *reader) take(n int) ([]byte, error) {
	if len(r.b) < n {
		return nil, errShort
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v, nil
}

func (r *reader) skipProperties() error {
	length, n, err := varint(r.b)
	if err == ErrIncomplete {
		return errShort
	}
	if err != nil {
		return err
	}
	r.b = r.b[n:]
	_, err = r.take(length)
	return err
}

// varint reads a variable byte integer (MQTT 5.0 section 1.5.5) of at most four
// bytes.
func varint(b []byte) (value, n int, err error) {
	for i := range 4 {
		if i == len(b) {
			return 0, 0, ErrIncomplete
		}
		value |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return value, i + 1, nil
		}
	}
	return 0, 0, fmt.Errorf("%w: a length of more than four bytes", ErrMalformed)
}
