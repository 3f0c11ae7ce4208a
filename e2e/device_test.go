package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// First bytes of MQTT packets.
const (
	packetConnect    = 0x10
	packetConnack    = 0x20
	packetPublish    = 0x30
	packetPublishQ1  = 0x32
	packetPuback     = 0x40
	packetPingreq    = 0xc0
	packetPingresp   = 0xd0
	packetDisconnect = 0xe0
)

// device is an MQTT 3.1.1 client that does what the test says and nothing else.
type device struct {
	net.Conn
	r *bufio.Reader
}

// connectPacket is a CONNECT with a clean session.
func connectPacket(id string, keepalive uint16) []byte {
	body := []byte("\x00\x04MQTT\x04\x02")
	body = binary.BigEndian.AppendUint16(body, keepalive)
	body = binary.BigEndian.AppendUint16(body, uint16(len(id)))
	body = append(body, id...)
	return append(binary.AppendUvarint([]byte{packetConnect}, uint64(len(body))), body...)
}

// readPacket reads one packet, whose kind is its first byte.
func readPacket(r *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(r) // MQTT's variable byte integer is the same
	if err != nil {
		return 0, nil, err
	}
	if n > 1<<28 {
		return 0, nil, fmt.Errorf("a packet of %d bytes", n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// introduce connects as an MQTT client over conn.
func introduce(conn net.Conn, id string, keepalive uint16) (*device, error) {
	d := &device{Conn: conn, r: bufio.NewReader(conn)}
	conn.SetDeadline(time.Now().Add(patience()))
	if _, err := conn.Write(connectPacket(id, keepalive)); err != nil {
		return nil, err
	}
	kind, body, err := readPacket(d.r)
	if err != nil {
		return nil, fmt.Errorf("%s: waiting for CONNACK: %w", id, err)
	}
	if kind != packetConnack || len(body) != 2 || body[1] != 0 {
		return nil, fmt.Errorf("%s: not accepted: %#x % x", id, kind, body)
	}
	return d, nil
}

// connect connects a client to addr, over TLS unless config is nil.
func connect(addr string, config *tls.Config, id string) (*device, error) {
	var conn net.Conn
	var err error
	dialer := &net.Dialer{Timeout: patience()}
	if config != nil {
		conn, err = tls.DialWithDialer(dialer, "tcp", addr, config)
	} else {
		conn, err = dialer.Dial("tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	d, err := introduce(conn, id, 0)
	if err != nil {
		conn.Close()
	}
	return d, err
}

// mustConnect connects a client for as long as the test lasts.
func mustConnect(t testing.TB, addr string, config *tls.Config, id string) *device {
	t.Helper()
	d, err := connect(addr, config, id)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// ping proves that the way to the broker and back is open.
func (d *device) ping() error {
	return d.exchange([]byte{packetPingreq, 0}, packetPingresp)
}

// publish sends a message and waits until the broker has acknowledged it.
func (d *device) publish(topic string, payload []byte) error {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(topic)))
	body = append(body, topic...)
	body = append(body, 0, 1) // packet identifier
	body = append(body, payload...)
	packet := append(binary.AppendUvarint([]byte{packetPublishQ1}, uint64(len(body))), body...)
	return d.exchange(packet, packetPuback)
}

func (d *device) exchange(packet []byte, answer byte) error {
	d.SetDeadline(time.Now().Add(patience()))
	if _, err := d.Write(packet); err != nil {
		return err
	}
	kind, body, err := readPacket(d.r)
	if err != nil {
		return err
	}
	if kind != answer {
		return fmt.Errorf("answered %#x % x instead of %#x", kind, body, answer)
	}
	return nil
}

// leave says goodbye, as a client does that had enough.
func (d *device) leave() error {
	_, err := d.Write([]byte{packetDisconnect, 0})
	return errors.Join(err, d.Close())
}

// awaitClosed reads until the other side has closed the connection.
func awaitClosed(t testing.TB, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience()))
	_, err := io.Copy(io.Discard, c)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("the connection is still open: %v", err)
	}
}

// dial opens a plain connection for as long as the test lasts.
func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, patience())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience()))
	return c.(*net.TCPConn)
}

// dialTLS opens a TLS connection for as long as the test lasts.
func dialTLS(t testing.TB, addr string, config *tls.Config) *tls.Conn {
	t.Helper()
	c := tls.Client(dial(t, addr), config)
	must(t, c.Handshake())
	return c
}

func portOf(t testing.TB, address string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	n, err := strconv.Atoi(port)
	must(t, err)
	return n
}
