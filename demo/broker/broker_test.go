package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/demo/broker"
)

const patience = 5 * time.Second

func TestAClientPublishesToAnother(t *testing.T) {
	b := start(t, broker.Options{})
	received := make(chan string, 1)
	subscribe(t, connect(t, b, "listener", dialPlain), "rooms/1", received)
	publish(t, connect(t, b, "speaker", dialPlain), "rooms/1", "21.5")

	if got := receive(t, received); got != "21.5" {
		t.Errorf("received %q, want 21.5", got)
	}
	eventually(t, "one message in and one out", func() bool {
		in, out := b.Messages()
		return in == 1 && out == 1
	})
}

func TestBrokersThatPassMessagesOnMakeNoLoop(t *testing.T) {
	var a, b *broker.Broker
	a = start(t, broker.Options{OnMessage: func(m broker.Message) { _ = b.Publish(m) }})
	b = start(t, broker.Options{OnMessage: func(m broker.Message) { _ = a.Publish(m) }})
	received := make(chan string, 8)
	subscribe(t, connect(t, b, "listener", dialPlain), "rooms/1", received)
	subscribe(t, connect(t, a, "neighbour", dialPlain), "rooms/1", received)
	speaker := connect(t, a, "speaker", dialPlain)
	publish(t, speaker, "rooms/1", "21.5")
	for range 2 {
		if got := receive(t, received); got != "21.5" {
			t.Errorf("received %q, want 21.5", got)
		}
	}
	publish(t, speaker, "rooms/1", "end")
	for range 2 {
		if got := receive(t, received); got != "end" {
			t.Errorf("received %q once more", got)
		}
	}
}

func TestTLSStartsAfterThePROXYHeader(t *testing.T) {
	b := start(t, broker.Options{ProxyProtocol: true, TLS: &tls.Config{Certificates: []tls.Certificate{certificate(t)}}})
	connect(t, b, "device", func(addr string) (net.Conn, error) {
		c, err := dialWith([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 4711 8883\r\n"))(addr)
		if err != nil {
			return nil, err
		}
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true}), nil
	})
	if got := b.Clients()[0].Addr.String(); got != "192.0.2.1:4711" {
		t.Errorf("client address %s, want 192.0.2.1:4711", got)
	}
}

func TestTwoBrokersInOneProcessKnowOnlyTheirOwnClients(t *testing.T) {
	a, b := start(t, broker.Options{Name: "a"}), start(t, broker.Options{Name: "b"})
	connect(t, a, "on-a", dialPlain)
	connect(t, b, "on-b", dialPlain)
	for _, each := range []struct {
		broker *broker.Broker
		client string
	}{{a, "on-a"}, {b, "on-b"}} {
		clients := each.broker.Clients()
		if len(clients) != 1 || clients[0].ID != each.client {
			t.Errorf("clients %+v, want only %s", clients, each.client)
		}
		if n := each.broker.Connections(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	}
}

func TestAKilledBrokerDropsItsClientsWithoutAWordAndComesBackOnItsAddress(t *testing.T) {
	events := make(chan broker.Event, 8)
	first := start(t, broker.Options{OnEvent: func(e broker.Event) { events <- e }})
	c := mqttConn(t, first, "device")

	first.Close()
	if rest, err := readAll(c); len(rest) > 0 {
		t.Errorf("a dying broker sent % x (%v), want nothing", rest, err)
	}
	if e := <-events; e.Kind != broker.Connected || e.Client.ID != "device" {
		t.Errorf("first event %v %q, want connected device", e.Kind, e.Client.ID)
	}
	if e := <-events; e.Kind != broker.Disconnected || e.Err == nil {
		t.Errorf("second event %v with error %v, want disconnected with an error", e.Kind, e.Err)
	}

	second := start(t, broker.Options{Addr: first.Addr()})
	if second.Addr() != first.Addr() {
		t.Errorf("came back on %s, want %s", second.Addr(), first.Addr())
	}
	connect(t, second, "device", dialPlain)
}

func TestAKilledBrokerPublishesNoWills(t *testing.T) {
	b := start(t, broker.Options{})
	heir := mqttConn(t, b, "heir")
	subscribe := []byte{0x82, 10, 0, 1, 0, 5, 'w', 'i', 'l', 'l', 's', 0}
	if _, err := heir.Write(subscribe); err != nil {
		t.Fatal(err)
	}
	suback := make([]byte, 5)
	if _, err := io.ReadFull(heir, suback); err != nil || suback[0] != 0x90 {
		t.Fatalf("answer % x (%v), want a SUBACK", suback, err)
	}
	for i := range 50 { // so many that some connection closes before the heir's
		connect(t, b, fmt.Sprint("testator-", i), dialPlain, func(o *paho.ClientOptions) { o.SetWill("wills", "gone", 0, false) })
	}
	b.Close()
	if will, _ := readAll(heir); len(will) > 0 {
		t.Errorf("a dying broker sent % x, want nothing", will)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	b, err := broker.Start(broker.Options{ProxyProtocol: true})
	if err != nil {
		t.Fatal(err)
	}
	silent := dial(t, b.Addr(), nil)
	half := dial(t, b.Addr(), []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\x10\x20"))
	eventually(t, "both connections", func() bool { return b.Connections() == 2 })
	began := time.Now()
	b.Close()
	b.Close()
	if took := time.Since(began); took > time.Second {
		t.Errorf("closing took %s, want it at once", took)
	}
	goleak.VerifyNone(t, before)
	_ = silent.Close()
	_ = half.Close()
}

func TestATakenOverClientIsListedOnce(t *testing.T) {
	events := make(chan broker.Event, 8)
	b := start(t, broker.Options{OnEvent: func(e broker.Event) { events <- e }})
	mqttConn(t, b, "device")
	mqttConn(t, b, "device")
	for range 3 { // two connected, one disconnected
		<-events
	}
	if clients := b.Clients(); len(clients) != 1 {
		t.Errorf("clients %+v, want one", clients)
	}
}

func TestAClientLeavesTheListWhenItDisconnects(t *testing.T) {
	events := make(chan broker.Event, 8)
	b := start(t, broker.Options{OnEvent: func(e broker.Event) { events <- e }})
	connect(t, b, "device", dialPlain).Disconnect(100)
	<-events
	if e := <-events; e.Kind != broker.Disconnected || e.Err != nil {
		t.Errorf("event %v with error %v, want disconnected without", e.Kind, e.Err)
	}
	if clients := b.Clients(); len(clients) != 0 {
		t.Errorf("clients %+v, want none", clients)
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	b := start(t, broker.Options{})
	if _, err := broker.Start(broker.Options{Addr: b.Addr()}); err == nil {
		t.Error("a second broker started on the same address")
	}
}

func start(t *testing.T, opts broker.Options) *broker.Broker {
	t.Helper()
	b, err := broker.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

type dialer func(addr string) (net.Conn, error)

func dialPlain(addr string) (net.Conn, error) { return net.Dial("tcp", addr) }

func dialWith(header []byte) dialer {
	return func(addr string) (net.Conn, error) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return nil, err
		}
		_, err = c.Write(header)
		return c, err
	}
}

func connect(t *testing.T, b *broker.Broker, id string, dial dialer, more ...func(*paho.ClientOptions)) paho.Client {
	t.Helper()
	opts := paho.NewClientOptions().AddBroker("tcp://" + b.Addr()).SetClientID(id).SetAutoReconnect(false).SetConnectTimeout(patience)
	opts.SetCustomOpenConnectionFn(func(uri *url.URL, _ paho.ClientOptions) (net.Conn, error) { return dial(uri.Host) })
	for _, set := range more {
		set(opts)
	}
	c := paho.NewClient(opts)
	wait(t, c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func subscribe(t *testing.T, c paho.Client, topic string, received chan<- string) {
	t.Helper()
	wait(t, c.Subscribe(topic, 0, func(_ paho.Client, m paho.Message) { received <- string(m.Payload()) }))
}

func publish(t *testing.T, c paho.Client, topic, payload string) {
	t.Helper()
	wait(t, c.Publish(topic, 0, false, payload))
}

func wait(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("no answer in time")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

// connectPacket is a CONNECT of MQTT 3.1.1 with clean session, keepalive 60 and a client id.
func connectPacket(id string) []byte {
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, byte(len(id))}, id...)
	return append([]byte{0x10, byte(len(body))}, body...)
}

// mqttConn is a bare connection that has got its CONNACK.
func mqttConn(t *testing.T, b *broker.Broker, id string) net.Conn {
	t.Helper()
	c := dial(t, b.Addr(), connectPacket(id))
	expectConnack(t, c)
	return c
}

func dial(t *testing.T, addr string, first []byte) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(first); err != nil {
		t.Fatal(err)
	}
	return c
}

func expectConnack(t *testing.T, c net.Conn) {
	t.Helper()
	answer := make([]byte, 4)
	if _, err := c.Read(answer); err != nil || answer[0] != 0x20 || answer[3] != 0 {
		t.Fatalf("answer % x (%v), want a CONNACK that accepts", answer, err)
	}
}

// readAll reads to the end of the connection; a timeout fails, a reset is an end like any other.
func readAll(c net.Conn) (got []byte, err error) {
	buf := make([]byte, 256)
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			return got, err
		}
	}
}

func expectClosed(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := readAll(c); len(got) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read % x, %v; want the connection closed without an answer", got, err)
	}
}

func receive(t *testing.T, received <-chan string) string {
	t.Helper()
	select {
	case m := <-received:
		return m
	case <-time.After(patience):
		t.Fatal("nothing received")
		return ""
	}
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain for " + what)
		}
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func port(t *testing.T, addr net.Addr) uint16 {
	t.Helper()
	_, p, err := net.SplitHostPort(addr.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}
