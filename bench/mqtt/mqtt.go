package mqtt

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Packet types, as in the upper half of a packet's first byte (MQTT 3.1.1, section 2.2.1).
const (
	Connect  = 1
	Connack  = 2
	Publish  = 3
	Puback   = 4
	Pingreq  = 12
	Pingresp = 13
)

// MaxPacket bounds what Reader accepts; a benchmark's packets are far smaller.
const MaxPacket = 64 << 10

// ErrTooLarge is returned for a packet beyond MaxPacket or with a length of more than four bytes.
var ErrTooLarge = errors.New("MQTT packet too large")

// AppendConnect appends a CONNECT with a clean session.
func AppendConnect(dst []byte, clientID string, keepalive uint16) []byte {
	dst = append(dst, Connect<<4)
	dst = appendLength(dst, 10+2+len(clientID))
	dst = append(dst, 0, 4, 'M', 'Q', 'T', 'T', 4, 1<<1)
	dst = binary.BigEndian.AppendUint16(dst, keepalive)
	return appendString(dst, clientID)
}

// AppendConnack appends a CONNACK that accepts.
func AppendConnack(dst []byte) []byte { return append(dst, Connack<<4, 2, 0, 0) }

// AppendPublish appends a PUBLISH; id is left out when qos is 0.
func AppendPublish(dst []byte, topic string, qos byte, id uint16, payload []byte) []byte {
	n := 2 + len(topic) + len(payload)
	if qos > 0 {
		n += 2
	}
	dst = append(dst, Publish<<4|qos<<1)
	dst = appendLength(dst, n)
	dst = appendString(dst, topic)
	if qos > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	return append(dst, payload...)
}

// AppendPuback appends a PUBACK.
func AppendPuback(dst []byte, id uint16) []byte {
	return binary.BigEndian.AppendUint16(append(dst, Puback<<4, 2), id)
}

// AppendPingreq appends a PINGREQ.
func AppendPingreq(dst []byte) []byte { return append(dst, Pingreq<<4, 0) }

// AppendPingresp appends a PINGRESP.
func AppendPingresp(dst []byte) []byte { return append(dst, Pingresp<<4, 0) }

func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func appendLength(dst []byte, n int) []byte {
	return binary.AppendUvarint(dst, uint64(n)) // the same encoding up to four bytes
}

// Packet is one packet as read. Its bytes are valid until the next call of Reader.Next.
type Packet struct {
	Raw  []byte // the whole packet
	Body []byte // what follows the length
}

// Type is one of the packet types above.
func (p Packet) Type() byte { return p.Raw[0] >> 4 }

// Topic is that of a PUBLISH; nil when it is cut short.
func (p Packet) Topic() []byte {
	if len(p.Body) < 2 {
		return nil
	}
	n := 2 + int(binary.BigEndian.Uint16(p.Body))
	if len(p.Body) < n {
		return nil
	}
	return p.Body[2:n]
}

// Publish takes a PUBLISH apart.
func (p Packet) Publish() (qos byte, id uint16, payload []byte, err error) {
	qos = p.Raw[0] >> 1 & 3
	topic := p.Topic()
	if topic == nil {
		return 0, 0, nil, errors.New("PUBLISH: topic cut short")
	}
	rest := p.Body[2+len(topic):]
	if qos == 0 {
		return 0, 0, rest, nil
	}
	if len(rest) < 2 {
		return 0, 0, nil, errors.New("PUBLISH: packet id cut short")
	}
	return qos, binary.BigEndian.Uint16(rest), rest[2:], nil
}

// Reader cuts packets out of a stream.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

// NewReader reads from r, which may have bytes buffered already.
func NewReader(r *bufio.Reader) *Reader { return &Reader{r: r} }

// Buffered reports whether more bytes can be had without blocking.
func (r *Reader) Buffered() bool { return r.r.Buffered() > 0 }

// Next returns the next packet. The error is io.EOF only between packets.
func (r *Reader) Next() (Packet, error) {
	first, err := r.r.ReadByte()
	if err != nil {
		return Packet{}, err
	}
	r.buf = append(r.buf[:0], first)
	length := 0
	for shift := 0; ; shift += 7 {
		if shift == 28 {
			return Packet{}, ErrTooLarge
		}
		b, err := r.r.ReadByte()
		if err != nil {
			return Packet{}, cutShort(err)
		}
		r.buf = append(r.buf, b)
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
	}
	if length > MaxPacket {
		return Packet{}, ErrTooLarge
	}
	head := len(r.buf)
	r.buf = append(r.buf, make([]byte, length)...)
	if _, err := io.ReadFull(r.r, r.buf[head:]); err != nil {
		return Packet{}, cutShort(err)
	}
	return Packet{Raw: r.buf, Body: r.buf[head:]}, nil
}

// Expect reads the next packet and fails unless it has the given type.
func (r *Reader) Expect(packetType byte) (Packet, error) {
	p, err := r.Next()
	if err != nil {
		return Packet{}, err
	}
	if p.Type() != packetType {
		return Packet{}, fmt.Errorf("packet of type %d where %d was due", p.Type(), packetType)
	}
	return p, nil
}

func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
