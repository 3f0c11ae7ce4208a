package e2e

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"

	paho3 "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/pires/go-proxyproto"
)

func TestMQTTOverWebSocketWorksPlainAndWithTLS(t *testing.T) {
	t.Parallel()
	pki, node := newAuthority(t), startWebSocketBroker(t)
	e := start(t, fmt.Sprintf(`
listeners:
  ws:  {bind: 127.0.0.1:0, protocol: mqtt_ws, upstream: emqx}
  wss: {bind: 127.0.0.2:0, protocol: mqtt_ws, upstream: emqx, tls: {certificates: [%s]}}
upstreams:
  emqx: {endpoints: %s}
`, pki.server().yaml(), endpoints(node)))

	browser := dial311(t, "ws://"+e.addr("ws")+"/mqtt", "browser")
	other := dial311(t, "wss://"+e.addr("wss")+"/mqtt", "other", func(o *paho3.ClientOptions) { o.SetTLSConfig(pki.trusting()) })
	browser.subscribe("chat")
	other.publish("chat", "hello")
	if got := receive(t, browser); got != "hello" {
		t.Errorf("received %q", got)
	}
}

func TestTheProxyHeaderGoesBeforeTheWebSocketUpgrade(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	node := startFake(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		header, err := proxyproto.Read(r)
		if err != nil {
			seen <- err.Error()
			return
		}
		request, err := http.ReadRequest(r)
		if err != nil {
			seen <- err.Error()
			return
		}
		seen <- header.SourceAddr.String() + " asks for " + request.URL.Path
	})
	e := start(t, fmt.Sprintf(`
listeners:
  ws: {bind: 127.0.0.1:0, protocol: mqtt_ws, upstream: emqx}
upstreams:
  emqx: {send_proxy: v2, endpoints: %s}
`, endpoints(node.address())))
	c := dial(t, e.addr("ws"))
	_, err := c.Write([]byte("GET /mqtt HTTP/1.1\r\nHost: edge.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n" +
		"\x82\x8f\x00\x00\x00\x00\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x")) // a frame with a mask of zeros
	must(t, err)
	if got, want := <-seen, c.LocalAddr().String()+" asks for /mqtt"; got != want {
		t.Errorf("the endpoint saw %q, want %q", got, want)
	}
}

// startWebSocketBroker returns the address of a broker that speaks MQTT over WebSocket and nothing else.
func startWebSocketBroker(t testing.TB) string {
	t.Helper()
	address := deadAddress(t)
	b := mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)})
	must(t, b.AddHook(new(auth.AllowHook), nil))
	must(t, b.AddListener(listeners.NewWebsocket(listeners.Config{ID: "ws", Address: address})))
	must(t, b.Serve())
	t.Cleanup(func() { b.Close() })
	eventually(t, func() string {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err.Error()
		}
		c.Close()
		return ""
	})
	return address
}
