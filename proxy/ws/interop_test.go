package ws

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/mqedge/mqedge/proxy/mqtt"
)

const patience = 15 * time.Second

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startBroker returns the address of a WebSocket server that tells each request,
// answers the first message with CONNACK and sends all others back.
func startBroker(t *testing.T, u websocket.Upgrader) (string, <-chan *http.Request) {
	t.Helper()
	requests := make(chan *http.Request, 1)
	u.CheckOrigin = func(*http.Request) bool { return true }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests <- r
		c, err := u.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		answer := []byte("\x20\x02\x00\x00")
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			if answer != nil {
				message, answer = answer, nil
			}
			if c.WriteMessage(kind, message) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), requests
}

// startEdge serves one connection with serve and returns where. The test ends
// after serve has.
func startEdge(t *testing.T, serve func(client net.Conn) error) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() {
		client, err := l.Accept()
		if err != nil {
			served <- err
			return
		}
		defer client.Close()
		client.SetDeadline(time.Now().Add(patience))
		served <- serve(client)
	}()
	t.Cleanup(func() {
		l.Close()
		if err := <-served; err != nil {
			t.Errorf("the edge: %v", err)
		}
	})
	return l.Addr().String()
}

// pass is an edge in short: upgrade, learn, reach, relay.
func pass(client net.Conn, endpoint string) error {
	u, rest, err := ReadUpgrade(client, MaxUpgrade)
	if err != nil {
		return err
	}
	if _, err := client.Write(u.AppendAccept(nil)); err != nil {
		return err
	}
	connect, raw, err := ReadConnect(client, rest, 64<<10)
	if err != nil {
		return err
	}
	upstream, err := net.Dial("tcp", endpoint)
	if err != nil {
		return err
	}
	defer upstream.Close()
	key := NewKey()
	if _, err := upstream.Write(u.AppendRequest(nil, key, client.RemoteAddr().(*net.TCPAddr).AddrPort())); err != nil {
		return err
	}
	if rest, err = ReadAccepted(upstream, key); err != nil {
		return err
	}
	if _, err := upstream.Write(raw); err != nil {
		return err
	}
	_, back, err := ReadConnack(upstream, rest, connect.Level, 64<<10)
	if err != nil {
		return err
	}
	if _, err := client.Write(back); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(upstream, client)
		upstream.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(client, upstream)
	client.Close()
	<-done
	return nil
}

func TestAnotherImplementationTalksThroughTheEdgeToItsServer(t *testing.T) {
	broker, requests := startBroker(t, websocket.Upgrader{Subprotocols: []string{"mqtt"}, EnableCompression: true})
	edge := startEdge(t, func(client net.Conn) error { return pass(client, broker) })
	dialer := websocket.Dialer{Subprotocols: []string{"chat", "mqttv3.1"}, EnableCompression: true, HandshakeTimeout: patience}
	fields := http.Header{"Origin": {"https://app.example"}, "X-Forwarded-For": {"1.2.3.4"}}
	c, answer, err := dialer.Dial("ws://"+edge+"/mqtt?a=b", fields)
	must(t, err)
	defer c.Close()
	if c.Subprotocol() != "mqttv3.1" || answer.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("answered %v", answer.Header)
	}
	must(t, c.WriteMessage(websocket.BinaryMessage, []byte(connect(5))))
	_, got, err := c.ReadMessage()
	if err != nil || string(got) != "\x20\x02\x00\x00" {
		t.Fatalf("CONNACK is %q, %v", got, err)
	}
	r := <-requests
	client := netip.MustParseAddrPort(c.LocalAddr().String())
	if r.RequestURI != "/mqtt?a=b" || r.Host != edge || r.Header.Get("Origin") != "https://app.example" ||
		strings.Join(r.Header["X-Forwarded-For"], ",") != client.Addr().String() {
		t.Errorf("the endpoint was asked %s of %s with %v", r.RequestURI, r.Host, r.Header)
	}
	for _, n := range []int{0, 1, 125, 126, 1<<16 - 1, 1 << 16, 1 << 20} {
		want := bytes.Repeat([]byte{'x'}, n)
		must(t, c.WriteMessage(websocket.BinaryMessage, want))
		if _, got, err := c.ReadMessage(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes came back as %d, %v", n, len(got), err)
		}
	}
}

func TestAnotherImplementationHearsTheRefusalAndTheEnd(t *testing.T) {
	edge := startEdge(t, func(client net.Conn) error {
		u, rest, err := ReadUpgrade(client, MaxUpgrade)
		if err != nil {
			return err
		}
		if _, err := client.Write(u.AppendAccept(nil)); err != nil {
			return err
		}
		connect, _, err := ReadConnect(client, rest, 64<<10)
		if err != nil {
			return err
		}
		b := AppendFrame(nil, mqtt.AppendConnack(nil, connect.Level, mqtt.ServerBusy))
		_, err = client.Write(AppendClose(b, CloseTryAgainLater))
		return err
	})
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}, HandshakeTimeout: patience}
	c, _, err := dialer.Dial("ws://"+edge+"/mqtt", nil)
	must(t, err)
	defer c.Close()
	must(t, c.WriteMessage(websocket.BinaryMessage, []byte(connect(5))))
	if kind, got, err := c.ReadMessage(); err != nil || kind != websocket.BinaryMessage || string(got) != "\x20\x02\x00\x03" {
		t.Errorf("CONNACK is %q, %v", got, err)
	}
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, CloseTryAgainLater) {
		t.Errorf("the end is %v", err)
	}
}

func TestAnotherImplementationHearsWhyItsUpgradeIsRefused(t *testing.T) {
	edge := startEdge(t, func(client net.Conn) error {
		_, _, err := ReadUpgrade(client, MaxUpgrade)
		var refusal *RefusalError
		if !errors.As(err, &refusal) {
			return err
		}
		_, err = client.Write(AppendRefusal(nil, refusal.Status, refusal.Error()))
		return err
	})
	dialer := websocket.Dialer{Subprotocols: []string{"chat"}, HandshakeTimeout: patience}
	_, answer, err := dialer.Dial("ws://"+edge+"/mqtt", nil)
	if !errors.Is(err, websocket.ErrBadHandshake) || answer.StatusCode != 400 {
		t.Fatalf("%v, %+v", err, answer)
	}
	if body, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(body), "must offer mqtt") {
		t.Errorf("%q, %v", body, err)
	}
}

func TestAnotherImplementationsServerRefusesWithItsStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		serve http.HandlerFunc
		says  string
	}{
		"another path": {http.NotFound, "404"},
		"no sub-protocol": {func(w http.ResponseWriter, r *http.Request) {
			u := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
			if c, err := u.Upgrade(w, r, nil); err == nil {
				c.Close()
			}
		}, "sub-protocol"},
	} {
		s := httptest.NewServer(tt.serve)
		upstream, err := net.Dial("tcp", s.Listener.Addr().String())
		must(t, err)
		upstream.SetDeadline(time.Now().Add(patience))
		u := read(t, with("Origin:"))
		key := NewKey()
		_, err = upstream.Write(u.AppendRequest(nil, key, netip.AddrPort{}))
		must(t, err)
		if _, err := ReadAccepted(upstream, key); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
		upstream.Close()
		s.Close()
	}
}
