package proxy

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// published is three messages with other packets around them, which the client and
// the server may both send.
var published = bytes.Join([][]byte{
	{0x30, 4, 0, 1, 't', 'x'}, {0x40, 2, 0, 1}, {0x34, 6, 0, 1, 't', 0, 1, 'x'}, {0x3a, 6, 0, 1, 't', 0, 2, 'x'}, {0x62, 2, 0, 1},
}, nil)

func (r *rig) wantMessages(t *testing.T, in, out uint64) {
	t.Helper()
	if s := r.Stats(); s.MessagesIn != in || s.MessagesOut != out {
		t.Errorf("%d messages in, %d out; want %d, %d", s.MessagesIn, s.MessagesOut, in, out)
	}
}

func TestMessagesCountFromTheFirstBytesToTheLast(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		e := newEndpoint(t, nil)
		s := settings(MQTT)
		secure(s)
		r := newRig(t, s, e.addr)
		client := enter(r.dial(t))
		hello := append(bytes.Clone(connects("device")["5"]), published...) // without waiting for CONNACK
		send(t, client, hello)
		server := e.next(t)
		receive(t, server, len(hello))
		r.wantMessages(t, 0, 0)
		send(t, server, append(connackOf(5, 0), published...))
		receive(t, client, len(connackOf(5, 0))+len(published))
		send(t, client, published)
		receive(t, server, len(published))
		send(t, server, published)
		receive(t, client, len(published))
		r.wantMessages(t, 6, 6)
		client.Close()
		r.wantClosed(t, "client_closed")
		r.wantMessages(t, 6, 6)
	})
}

func TestMessagesInFramesCountToo(t *testing.T) {
	r := newRig(t, settings(MQTTOverWebSocket), webSocketEndpoint(t, connackOf(5, 0)))
	client := webSocketClient(t, r.dial(t))
	for i, b := range [][]byte{connects("browser")["5"], published, published} {
		must(t, client.WriteMessage(websocket.BinaryMessage, b))
		if _, got, err := client.ReadMessage(); err != nil || i > 0 && !bytes.Equal(got, b) {
			t.Fatalf("got %x, %v", got, err)
		}
	}
	r.wantMessages(t, 6, 6)
}

func TestOnlyListenersOfMQTTHaveASeriesOfMessages(t *testing.T) {
	for protocol, want := range map[Protocol]string{
		TCP: "",
		MQTT: `
# HELP mqedge_mqtt_messages_total PUBLISH packets: in from clients, out to clients.
# TYPE mqedge_mqtt_messages_total counter
mqedge_mqtt_messages_total{direction="in",listener="test"} 0
mqedge_mqtt_messages_total{direction="out",listener="test"} 3
`,
	} {
		e := newEndpoint(t, nil)
		r := newRig(t, settings(protocol), e.addr)
		client := r.dial(t)
		send(t, client, connects("device")["5"])
		server := e.next(t)
		send(t, server, append(connackOf(5, 0), published...))
		receive(t, client, len(connackOf(5, 0))+len(published))
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(r.metrics)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "mqedge_mqtt_messages_total"); err != nil {
			t.Errorf("%s: %v", protocol, err)
		}
	}
}
