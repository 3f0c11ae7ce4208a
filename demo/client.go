package demo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	writeTimeout = 5 * time.Second
	readTimeout  = 20 * time.Second // a device that publishes is answered all the time
	keepAlive    = 60               // seconds
)

// client is one MQTT connection over TLS. One goroutine may read while others
// write.
type client struct {
	conn    *tls.Conn
	r       *bufio.Reader
	version byte // 4 is MQTT 3.1.1

	mu sync.Mutex // of writes
}

// dial connects to the edge from a source address of its own.
func dial(ctx context.Context, edge *net.TCPAddr, source *net.TCPAddr, config *tls.Config, version byte) (*client, error) {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience, LocalAddr: source}, Config: config}
	c, err := d.DialContext(ctx, "tcp", edge.String())
	if err != nil {
		return nil, err
	}
	return &client{conn: c.(*tls.Conn), r: bufio.NewReader(c), version: version}, nil
}

// connect opens the MQTT connection and subscribes to one topic with QoS 1.
func (c *client) connect(id, topic string) error {
	if err := c.write(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect},
		Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: id, Clean: true, Keepalive: keepAlive,
		},
	}); err != nil {
		return err
	}
	if err := c.expect(packets.Connack, 0); err != nil {
		return err
	}
	if err := c.write(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, // the bits that SUBSCRIBE must have
		PacketID:    1,
		Filters:     packets.Subscriptions{{Filter: topic, Qos: 1}},
	}); err != nil {
		return err
	}
	return c.expect(packets.Suback, 1)
}

// expect reads a packet that is to be of this type and say this code.
func (c *client) expect(kind, code byte) error {
	pk, err := c.read()
	if err != nil {
		return err
	}
	got := pk.ReasonCode
	if len(pk.ReasonCodes) > 0 {
		got = pk.ReasonCodes[0]
	}
	if pk.FixedHeader.Type != kind || got != code {
		return fmt.Errorf("%s with code %#x came where %s with %#x was due",
			packets.PacketNames[pk.FixedHeader.Type], got, packets.PacketNames[kind], code)
	}
	return nil
}

// publish sends a message with QoS 1; a PUBACK with this id is the answer.
func (c *client) publish(topic string, payload []byte, id uint16) error {
	return c.write(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, TopicName: topic, Payload: payload, PacketID: id,
	})
}

func (c *client) acknowledge(id uint16) error {
	return c.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: id})
}

// disconnect says goodbye and closes.
func (c *client) disconnect() {
	_ = c.write(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	c.close()
}

func (c *client) close() { _ = c.conn.Close() }

func (c *client) write(pk packets.Packet) error {
	pk.ProtocolVersion = c.version
	var buf bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		err = pk.ConnectEncode(&buf)
	case packets.Subscribe:
		err = pk.SubscribeEncode(&buf)
	case packets.Publish:
		err = pk.PublishEncode(&buf)
	case packets.Puback:
		err = pk.PubackEncode(&buf)
	case packets.Disconnect:
		err = pk.DisconnectEncode(&buf)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err = c.conn.Write(buf.Bytes())
	return err
}

// read returns the next packet. Those that only servers read are left undecoded.
func (c *client) read() (packets.Packet, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return packets.Packet{}, err
	}
	pk := packets.Packet{ProtocolVersion: c.version}
	first, err := c.r.ReadByte()
	if err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	if pk.FixedHeader.Remaining, _, err = packets.DecodeLength(c.r); err != nil {
		return pk, err
	}
	body := make([]byte, pk.FixedHeader.Remaining)
	if _, err := io.ReadFull(c.r, body); err != nil {
		return pk, err
	}
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackDecode(body)
	case packets.Suback:
		err = pk.SubackDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Disconnect:
		err = errors.New("the server sent DISCONNECT")
	}
	return pk, err
}
