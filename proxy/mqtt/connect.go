package mqtt

import (
	"errors"
	"fmt"
	"io"
)

// Protocol levels of the CONNECT packet (MQTT 3.1.1 section 3.1.2.2, MQTT 5.0
// section 3.1.2.2).
const (
	Level31  = 3
	Level311 = 4
	Level5   = 5
)

// Connect is what an edge wants to know of a CONNECT packet. The strings are as
// the client sent them: they may be of any length up to 65,535 bytes and need
// not be valid UTF-8.
type Connect struct {
	Level      byte   // Level31, Level311 or Level5
	CleanStart bool   // clean session before 5.0
	KeepAlive  uint16 // seconds; 0 means the client promises nothing
	ClientID   string
	Username   string // "" also when there is none
}

// Version returns the protocol version as people write it.
func (c *Connect) Version() string {
	switch c.Level {
	case Level31:
		return "3.1"
	case Level311:
		return "3.1.1"
	case Level5:
		return "5"
	}
	return ""
}

var (
	// ErrIncomplete says that the packet goes on after the bytes given.
	ErrIncomplete = errors.New("the packet is not complete yet")
	// ErrTooLarge says that the packet announces more than the allowed size.
	ErrTooLarge = errors.New("the packet is larger than allowed")
	// ErrNotConnect says that the bytes do not begin with an MQTT CONNECT.
	ErrNotConnect = errors.New("the first packet is not CONNECT")
	// ErrMalformed says that a CONNECT packet breaks the specification.
	ErrMalformed = errors.New("malformed CONNECT packet")
)

// packet type 1 with the reserved flags 0 (MQTT 5.0 section 2.1)
const connectType = 0x10

// ParseConnect reads a CONNECT packet at the start of b and returns how many
// bytes it takes; b may go on with further packets. A packet of more than max
// bytes is ErrTooLarge; one that has not arrived whole is ErrIncomplete, except
// that what can be told to be wrong already is said at once.
func ParseConnect(b []byte, max int) (Connect, int, error) {
	var c Connect
	if len(b) == 0 {
		return c, 0, ErrIncomplete
	}
	if b[0] != connectType {
		return c, 0, fmt.Errorf("%w: %s", ErrNotConnect, guess(b))
	}
	length, n, err := varint(b[1:])
	if err != nil {
		return c, 0, err
	}
	size := 1 + n + length
	if size > max {
		return c, 0, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, max)
	}
	r := reader{b: b[1+n : min(len(b), size)]}
	whole := len(b) >= size
	c, err = r.connect()
	switch {
	case err == errShort && whole:
		return Connect{}, 0, fmt.Errorf("%w: a field is longer than the packet", ErrMalformed)
	case err == errShort:
		return Connect{}, 0, ErrIncomplete
	case err != nil:
		return Connect{}, 0, err
	case !whole:
		return Connect{}, 0, ErrIncomplete
	case len(r.b) > 0:
		return Connect{}, 0, fmt.Errorf("%w: %d bytes after the last field", ErrMalformed, len(r.b))
	}
	return c, size, nil
}

// ReadConnect reads from r until a whole CONNECT packet of at most max bytes
// has come. It returns every byte that it read, the packet first and then what
// came behind it; they are in buf if it has the room, which nil has not. The
// memory it takes beyond buf grows with what has arrived, not with what the packet
// announces.
func ReadConnect(r io.Reader, buf []byte, max int) (Connect, []byte, error) {
	var c Connect
	b, err := readFirst(r, buf, func(b []byte) (err error) {
		c, _, err = ParseConnect(b, max)
		return err
	})
	return c, b, err
}

// connect reads the variable header and payload (MQTT 5.0 section 3.1.2, 3.1.3).
func (r *reader) connect() (Connect, error) {
	var c Connect
	name, err := r.bytes()
	if err != nil {
		return c, err
	}
	level, err := r.byte()
	if err != nil {
		return c, err
	}
	// Bridges of mosquitto set the highest bit of the level.
	c.Level = level &^ 0x80
	switch {
	case string(name) == "MQTT" && (c.Level == Level311 || level == Level5):
	case string(name) == "MQIsdp" && c.Level == Level31:
	case string(name) == "MQTT" || string(name) == "MQIsdp":
		return c, fmt.Errorf("%w: protocol %q level %d is not known", ErrMalformed, name, level)
	default:
		return c, fmt.Errorf("%w: protocol name is not MQTT", ErrNotConnect)
	}
	flags, err := r.byte()
	if err != nil {
		return c, err
	}
	const (
		reserved   = 0x01
		cleanStart = 0x02
		will       = 0x04
		willQoS    = 0x18
		willRetain = 0x20
		password   = 0x40
		username   = 0x80
	)
	switch {
	case flags&reserved != 0: // MQTT-3.1.2-3
		return c, fmt.Errorf("%w: the reserved flag is set", ErrMalformed)
	case flags&willQoS == willQoS: // MQTT-3.1.2-12
		return c, fmt.Errorf("%w: will QoS 3", ErrMalformed)
	case flags&will == 0 && flags&(willQoS|willRetain) != 0: // MQTT-3.1.2-11, -13
		return c, fmt.Errorf("%w: will QoS or retain without a will", ErrMalformed)
	}
	c.CleanStart = flags&cleanStart != 0
	if c.KeepAlive, err = r.uint16(); err != nil {
		return c, err
	}
	if c.Level == Level5 {
		if err := r.skipProperties(); err != nil {
			return c, err
		}
	}
	id, err := r.bytes()
	if err != nil {
		return c, err
	}
	if flags&will != 0 {
		if c.Level == Level5 {
			if err := r.skipProperties(); err != nil {
				return c, err
			}
		}
		if _, err := r.bytes(); err != nil { // topic
			return c, err
		}
		if _, err := r.bytes(); err != nil { // payload
			return c, err
		}
	}
	var user []byte
	if flags&username != 0 {
		if user, err = r.bytes(); err != nil {
			return c, err
		}
	}
	if flags&password != 0 {
		if _, err := r.bytes(); err != nil {
			return c, err
		}
	}
	c.ClientID, c.Username = string(id), string(user)
	return c, nil
}

// guess names what a stream that is not MQTT looks like, for the operator who
// wonders why it was refused.
func guess(b []byte) string {
	starts := func(s string) bool {
		return len(b) >= min(len(s), 3) && string(b[:min(len(b), len(s))]) == s[:min(len(b), len(s))]
	}
	switch {
	case starts("PROXY "), starts("\r\n\r\n\x00\r\nQUIT\n"):
		return "it looks like a PROXY protocol header from a peer that is not in proxy_protocol.trust"
	case b[0] == 0x16 && (len(b) == 1 || b[1] == 0x03):
		return "it looks like TLS on a listener without tls"
	case starts("GET "), starts("POST "), starts("HEAD "), starts("OPTIONS "):
		return "it looks like HTTP"
	}
	return fmt.Sprintf("it begins with %#02x", b[0])
}
