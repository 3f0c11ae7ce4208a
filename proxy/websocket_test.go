package proxy

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/mqedge/mqedge/proxy/mqtt"
)

// webSocketEndpoint accepts every upgrade, answers CONNECT and echoes what follows.
func webSocketEndpoint(t *testing.T, answer []byte) (addr string) {
	t.Helper()
	upgrader := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		if _, b, err := c.ReadMessage(); err != nil || b[0] != 0x10 {
			return
		}
		for c.WriteMessage(websocket.BinaryMessage, answer) == nil {
			if _, answer, err = c.ReadMessage(); err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func webSocketClient(t *testing.T, conn net.Conn) *websocket.Conn {
	t.Helper()
	d := websocket.Dialer{
		NetDial: func(string, string) (net.Conn, error) { return conn, nil }, Subprotocols: []string{"mqtt"},
		HandshakeTimeout: patience, EnableCompression: true,
	}
	c, _, err := d.Dial("ws://edge.test/mqtt", nil)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestMQTTOverWebSocketIsUnderstoodAsMQTTIs(t *testing.T) {
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		s := settings(MQTTOverWebSocket)
		secure(s)
		r := newRig(t, s, closedPort(t), webSocketEndpoint(t, connackOf(5, 0)))
		client := webSocketClient(t, enter(r.dial(t)))
		for i, want := range [][]byte{connackOf(5, 0), {0xc0, 0}} { // each answer is to what was sent before it
			send := connects("browser")["5"]
			if i > 0 {
				send = want
			}
			must(t, client.WriteMessage(websocket.BinaryMessage, send))
			if _, got, err := client.ReadMessage(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %x, %v; want %x", got, err, want)
			}
		}
		if got := r.list("browser", 0); len(got) != 1 || got[0].KeepAlive != 60 {
			t.Errorf("connections: %+v", got)
		}
		client.Close()
		if l := r.wantClosed(t, "client_closed"); l.ClientID != "browser" || l.Connack == nil || *l.Connack != 0 {
			t.Errorf("access log: %+v", l)
		}
	})
}

func TestARefusalOverWebSocketIsAConnackInAFrame(t *testing.T) {
	r := newRig(t, settings(MQTTOverWebSocket), closedPort(t))
	client := webSocketClient(t, r.dial(t))
	must(t, client.WriteMessage(websocket.BinaryMessage, connects("browser")["5"]))
	if _, got, err := client.ReadMessage(); err != nil || len(got) != 5 || got[3] != mqtt.ServerUnavailable {
		t.Errorf("got %x, %v", got, err)
	}
	if _, _, err := client.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseTryAgainLater) {
		t.Errorf("then %v", err)
	}
	r.wantRefused(t, "upstream_failed", 502)
}

func TestARequestThatIsNoUpgradeForMQTTIsAnsweredInHTTP(t *testing.T) {
	for request, status := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":         "426",
		"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n":      "405",
		"GET / HTTP/1.1\r\nHost: x\r\n\x00\r\n\r\n": "400",
	} {
		r := newRig(t, settings(MQTTOverWebSocket), closedPort(t))
		client := r.dial(t)
		client.SetDeadline(time.Now().Add(patience))
		send(t, client, []byte(request))
		if got := string(receiveEnd(t, client)); !strings.HasPrefix(got, "HTTP/1.1 "+status+" ") {
			t.Errorf("%q: got %q", request, got)
		}
		if l := r.lines(t, 1)[0]; l.Reason != "not_websocket" {
			t.Errorf("access log: %+v", l)
		}
	}
}
