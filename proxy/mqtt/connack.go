package mqtt

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Connack is what an edge wants to know of a CONNACK packet. Before 5.0 there
// are the first two fields only.
type Connack struct {
	ReasonCode     byte // the return code before 5.0; see CodeName
	SessionPresent bool

	ServerKeepAlive    uint16 // seconds, in force instead of the client's own if HasServerKeepAlive; 0 means none
	HasServerKeepAlive bool
	AssignedClientID   string // "" unless the client left the choice to the server
	ServerReference    string // "" when there is none
}

var (
	// ErrNotConnack says that the bytes do not begin with a CONNACK that the
	// specification allows.
	ErrNotConnack = errors.New("the endpoint's first packet is not a CONNACK")
	// ErrAuthFirst says that the endpoint wants an exchange of AUTH packets
	// before its CONNACK (MQTT 5.0 section 4.12). It is no failure: client and
	// endpoint must be let talk.
	ErrAuthFirst = errors.New("the endpoint asks for enhanced authentication before its CONNACK")
)

// packet types 2 and 15 with the reserved flags 0 (MQTT 5.0 section 2.1)
const (
	connackType = 0x20
	authType    = 0xf0
)

// ParseConnack reads a CONNACK packet at the start of b, which answers a CONNECT
// of that level, and returns how many bytes it takes; b may go on with further
// packets. A packet of more than max bytes is ErrTooLarge, one that has not
// arrived whole is ErrIncomplete. A server that does not know 5.0 refuses with
// the CONNACK of 3.1.1, which is taken at every level.
func ParseConnack(b []byte, level byte, max int) (Connack, int, error) {
	var c Connack
	switch {
	case len(b) == 0:
		return c, 0, ErrIncomplete
	case b[0] == authType && level == Level5:
		return c, 0, ErrAuthFirst
	case b[0] != connackType:
		return c, 0, fmt.Errorf("%w: %s", ErrNotConnack, guessServer(b))
	}
	length, n, err := varint(b[1:])
	size := 1 + n + length
	switch {
	case err == ErrIncomplete:
		return c, 0, err
	case err != nil:
		return c, 0, fmt.Errorf("%w: a length of more than four bytes", ErrNotConnack)
	case length < 2 || length > 2 && level != Level5:
		return c, 0, fmt.Errorf("%w: a length of %d bytes", ErrNotConnack, length)
	case size > max:
		return c, 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, max)
	case len(b) < size:
		return c, 0, ErrIncomplete
	}
	body := b[1+n : size]
	c.SessionPresent, c.ReasonCode = body[0]&1 != 0 && level != Level31, body[1]
	if length > 2 {
		r := reader{b: body[2:]}
		if err := r.connackProperties(&c); err != nil {
			return Connack{}, 0, fmt.Errorf("%w: %v", ErrNotConnack, err)
		}
	}
	return c, size, nil
}

// ReadConnack reads from r until a whole CONNACK packet of at most max bytes has
// come, the answer to a CONNECT of that level. It returns every byte that it
// read, also with an error: the packet first and then what came behind it.
// They are in buf if it has the room, which nil has not. io.EOF means that the
// endpoint closed before any byte.
func ReadConnack(r io.Reader, buf []byte, level byte, max int) (Connack, []byte, error) {
	var c Connack
	b, err := readFirst(r, buf, func(b []byte) (err error) {
		c, _, err = ParseConnack(b, level, max)
		return err
	})
	return c, b, err
}

// connackProperties reads the properties of a CONNACK (MQTT 5.0 section 3.2.2.3),
// which end the packet.
func (r *reader) connackProperties(c *Connack) error {
	length, n, err := varint(r.b)
	if err != nil || length != len(r.b)-n {
		return errors.New("its properties do not end with the packet")
	}
	r.b = r.b[n:]
	for len(r.b) > 0 {
		id, _ := r.byte()
		if err := r.connackProperty(id, c); err != nil {
			return fmt.Errorf("property %#02x: %w", id, err)
		}
	}
	return nil
}

var errTwice = errors.New("it comes twice")

func (r *reader) connackProperty(id byte, c *Connack) (err error) {
	switch id {
	case 0x24, 0x25, 0x28, 0x29, 0x2a: // maximum QoS and what is available
		_, err = r.byte()
	case 0x21, 0x22: // receive maximum, topic alias maximum
		_, err = r.uint16()
	case 0x11, 0x27: // session expiry interval, maximum packet size
		_, err = r.take(4)
	case 0x15, 0x16, 0x1a, 0x1f: // authentication method and data, response information, reason string
		_, err = r.bytes()
	case 0x26: // user property
		if _, err = r.bytes(); err == nil {
			_, err = r.bytes()
		}
	case 0x12:
		err = r.stringOnce(&c.AssignedClientID)
	case 0x1c:
		err = r.stringOnce(&c.ServerReference)
	case 0x13:
		if c.HasServerKeepAlive {
			return errTwice
		}
		c.HasServerKeepAlive = true
		c.ServerKeepAlive, err = r.uint16()
	default:
		return errors.New("a CONNACK has no such property")
	}
	return err
}

func (r *reader) stringOnce(s *string) error {
	if *s != "" {
		return errTwice
	}
	b, err := r.bytes()
	*s = string(b)
	return err
}

// guessServer names what an endpoint that does not speak MQTT seems to be.
func guessServer(b []byte) string {
	switch {
	case b[0] == 0x15:
		return "it looks like a TLS alert; does the endpoint want tls?"
	case strings.HasPrefix("HTTP/", string(b[:min(len(b), 5)])):
		return "it looks like HTTP"
	}
	return fmt.Sprintf("it begins with %#02x", b[0])
}
