package probe

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/mqedge/mqedge/balancer"
)

// Control packets, MQTT 5.0 section 2.1.2.
const (
	packetConnect    = 0x10
	packetConnack    = 0x20
	packetPingreq    = 0xc0
	packetPingresp   = 0xd0
	packetDisconnect = 0xe0
)

const (
	longestAnswer = 64 << 10 // bytes of all packets that a probe reads

	// keepAlive is in seconds: when the edge vanishes in the middle of a probe, EMQX gives up after 1.5 times as long.
	keepAlive = 10

	alertTLS = 0x15 // first byte of a TLS alert, RFC 8446 section 5.1
)

// connectPacket is a CONNECT with clean start and no will, MQTT 5.0 and 3.1.1 section 3.1.
func (m MQTT) connectPacket(addr string) ([]byte, error) {
	flags := byte(0x02)
	payload := []string{m.clientID(addr)}
	if m.Username != "" || m.Password != "" { // 3.1.1 allows no password without a user name
		flags |= 0x80
		payload = append(payload, m.Username)
	}
	if m.Password != "" {
		flags |= 0x40
		payload = append(payload, m.Password)
	}
	body := []byte{0, 4, 'M', 'Q', 'T', 'T', m.level(), flags, 0, keepAlive}
	if m.level() == 5 {
		body = append(body, 0) // no properties
	}
	for _, s := range payload {
		if len(s) > math.MaxUint16 {
			return nil, errors.New("CONNECT: a client id, user name or password of more than 65535 bytes")
		}
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(s))), s...)
	}
	// A remaining length is what encoding/binary calls a varint.
	return append(binary.AppendUvarint([]byte{packetConnect}, uint64(len(body))), body...), nil
}

// readPacket returns the first byte of a packet and what comes after its length.
func readPacket(r *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	size := 0
	for shift := 0; ; shift += 7 {
		if shift == 28 {
			return 0, nil, errors.New("a packet length of more than four bytes")
		}
		b, err := r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		size |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	if size > longestAnswer {
		return 0, nil, fmt.Errorf("a packet of %d bytes", size)
	}
	body = make([]byte, size)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// connack is what an endpoint thinks of a CONNECT.
type connack struct {
	code  byte
	level byte // 5: a reason code; 4: a return code
	asked byte // level of the CONNECT
}

// readConnack tells by its length what a CONNACK is of: a broker that does not know MQTT 5.0 refuses it in 3.1.1.
func readConnack(r *bufio.Reader, asked byte) (connack, error) {
	if first, err := r.Peek(1); err != nil {
		return connack{}, missing("CONNACK", err)
	} else if first[0] == alertTLS {
		return connack{}, errors.New("no CONNACK: the endpoint speaks TLS, is upstream tls missing?")
	} else if first[0] != packetConnack {
		return connack{}, fmt.Errorf("no CONNACK: the answer begins with 0x%02X, is this an MQTT listener?", first[0])
	}
	_, body, err := readPacket(r)
	switch {
	case err != nil:
		return connack{}, missing("CONNACK", err)
	case len(body) == 2:
		return connack{code: body[1], level: 4, asked: asked}, nil
	case len(body) > 2 && asked == 5:
		return connack{code: body[1], level: 5, asked: asked}, nil
	}
	return connack{}, fmt.Errorf("no CONNACK: one of %d bytes makes no sense", len(body))
}

func (a connack) accepted() bool { return a.code == 0 }

// senseless is whether the endpoint could not make sense of the CONNECT, as with a PROXY header that it did not expect.
func (a connack) senseless() bool {
	if a.level == 5 {
		return a.code >= 0x80 && a.code <= 0x83
	}
	return a.code == 1 && a.asked == 4 // EMQX has this one for all of the above
}

// refusal is nil when the endpoint refused the probe, but not because of its own state.
func (a connack) refusal() error {
	if a.level == 4 {
		switch {
		case a.code == 1 && a.asked == 5: // it knows 3.1.1 only
			return nil
		case a.code == 2, a.code == 4, a.code == 5: // identifier rejected, bad user name or password, not authorized
			return nil
		}
		return fmt.Errorf("answers CONNECT with %s", returnCode(a.code))
	}
	switch a.code {
	case 0x84, 0x85, 0x86, 0x87, 0x8a, 0x8c: // version, client id, credentials, not authorized, banned, authentication method
		return nil
	case 0x9c, 0x9d:
		return balancer.Draining{Reason: "answers CONNECT with " + reasonCode(a.code)}
	}
	return fmt.Errorf("answers CONNECT with %s", reasonCode(a.code))
}

// disconnected is what a DISCONNECT instead of PINGRESP means. Only MQTT 5.0 endpoints send one.
func disconnected(body []byte) error {
	code := byte(0)
	if len(body) > 0 {
		code = body[0]
	}
	text := "ends the connection with DISCONNECT " + reasonCode(code)
	if code == 0x9c || code == 0x9d {
		return balancer.Draining{Reason: text}
	}
	return errors.New(text)
}

// returnCode names a code of MQTT 3.1.1 section 3.2.2.3.
func returnCode(code byte) string {
	switch code {
	case 1:
		return "1 unacceptable protocol version"
	case 3:
		return "3 server unavailable"
	}
	return fmt.Sprint(code)
}

// reasonCode names a code of MQTT 5.0 section 2.4.
func reasonCode(code byte) string {
	return fmt.Sprintf("0x%02X %s", code, reasonName(code))
}

func reasonName(code byte) string {
	switch code {
	case 0x00:
		return "normal disconnection"
	case 0x80:
		return "unspecified error"
	case 0x81:
		return "malformed packet"
	case 0x82:
		return "protocol error"
	case 0x83:
		return "implementation specific error"
	case 0x88:
		return "server unavailable"
	case 0x89:
		return "server busy"
	case 0x8b:
		return "server shutting down"
	case 0x8e:
		return "session taken over, another edge probes with this client id"
	case 0x95:
		return "packet too large"
	case 0x97:
		return "quota exceeded"
	case 0x98:
		return "administrative action"
	case 0x9c:
		return "use another server"
	case 0x9d:
		return "server moved"
	case 0x9f:
		return "connection rate exceeded"
	}
	return "of no known name"
}
