package broker

import (
	"crypto/tls"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// sessionHook tells the listener of accepted CONNECTs, before CONNACK is sent: a client that has its CONNACK is listed.
type sessionHook struct {
	mqtt.HookBase
	connected func(*conn, Client)
}

func (h *sessionHook) ID() string { return "sessions" }

func (h *sessionHook) Provides(b byte) bool { return b == mqtt.OnSessionEstablish }

func (h *sessionHook) OnSessionEstablish(cl *mqtt.Client, pk packets.Packet) {
	c := unwrap(cl)
	client := c.identity()
	client.ID = cl.ID
	client.Username = string(pk.Connect.Username)
	client.CleanSession = pk.Connect.Clean
	client.ProtocolVersion = pk.ProtocolVersion
	client.Keepalive = pk.Connect.Keepalive
	h.connected(c, client)
}

// messageHook tells of messages that clients published.
type messageHook struct {
	mqtt.HookBase
	published func(Message)
}

func (h *messageHook) ID() string { return "messages" }

func (h *messageHook) Provides(b byte) bool { return b == mqtt.OnPublished }

func (h *messageHook) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	if !cl.Net.Inline {
		h.published(Message{
			ClientID: cl.ID, Topic: pk.TopicName, Payload: pk.Payload, QoS: pk.FixedHeader.Qos, Retain: pk.FixedHeader.Retain,
		})
	}
}

func unwrap(cl *mqtt.Client) *conn {
	if t, ok := cl.Net.Conn.(*tls.Conn); ok {
		return t.NetConn().(*conn)
	}
	return cl.Net.Conn.(*conn)
}
