package e2e

import (
	"context"
	"net"
	"net/url"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	paho5 "github.com/eclipse/paho.golang/paho"
	paho3 "github.com/eclipse/paho.mqtt.golang"
)

// client is a real MQTT client of either version.
type client interface {
	subscribe(topic string)
	publish(topic, payload string)
	received() <-chan string // payloads
}

// connect311 runs paho's MQTT 3.1.1 client over conn.
func connect311(t testing.TB, conn net.Conn, id string) client {
	t.Helper()
	return dial311(t, "tcp://unused:1", id, func(o *paho3.ClientOptions) {
		o.SetCustomOpenConnectionFn(func(*url.URL, paho3.ClientOptions) (net.Conn, error) { return conn, nil })
	})
}

// dial311 runs paho's MQTT 3.1.1 client, which dials by itself.
func dial311(t testing.TB, brokerURL, id string, options ...func(*paho3.ClientOptions)) client {
	t.Helper()
	c := &client311{t: t, messages: make(chan string, 16)}
	o := paho3.NewClientOptions().AddBroker(brokerURL).SetClientID(id).SetProtocolVersion(4).SetAutoReconnect(false).
		SetConnectRetry(false).SetConnectTimeout(patience())
	o.SetDefaultPublishHandler(func(_ paho3.Client, m paho3.Message) { c.messages <- string(m.Payload()) })
	for _, option := range options {
		option(o)
	}
	c.paho = paho3.NewClient(o)
	c.await(c.paho.Connect())
	t.Cleanup(func() { c.paho.Disconnect(100) })
	return c
}

type client311 struct {
	t        testing.TB
	paho     paho3.Client
	messages chan string
}

func (c *client311) await(token paho3.Token) {
	c.t.Helper()
	if !token.WaitTimeout(patience()) {
		c.t.Fatal("no answer from the broker")
	}
	must(c.t, token.Error())
}

func (c *client311) subscribe(topic string) { c.t.Helper(); c.await(c.paho.Subscribe(topic, 1, nil)) }
func (c *client311) publish(topic, payload string) {
	c.t.Helper()
	c.await(c.paho.Publish(topic, 1, false, payload))
}
func (c *client311) received() <-chan string { return c.messages }

// connect5 runs paho's MQTT 5 client over conn.
func connect5(t testing.TB, conn net.Conn, id string) client {
	t.Helper()
	return connect5With(t, conn, id, nil)
}

// connect5With has told, if not nil, hear of the server's DISCONNECT.
func connect5With(t testing.TB, conn net.Conn, id string, told func(*paho5.Disconnect)) client {
	t.Helper()
	c := &client5{t: t, messages: make(chan string, 16)}
	c.paho = paho5.NewClient(paho5.ClientConfig{
		OnServerDisconnect: told,
		Conn:               packets.NewThreadSafeConn(conn), // paho writes a packet in pieces, from several goroutines
		OnPublishReceived: []func(paho5.PublishReceived) (bool, error){func(p paho5.PublishReceived) (bool, error) {
			c.messages <- string(p.Packet.Payload)
			return true, nil
		}},
	})
	ctx, cancel := c.bounded()
	defer cancel()
	_, err := c.paho.Connect(ctx, &paho5.Connect{ClientID: id, KeepAlive: 30, CleanStart: true})
	must(t, err)
	t.Cleanup(func() {
		c.paho.Disconnect(&paho5.Disconnect{}) // the broker may have gone first
		<-c.paho.Done()
	})
	return c
}

type client5 struct {
	t        testing.TB
	paho     *paho5.Client
	messages chan string
}

func (c *client5) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience())
}

func (c *client5) subscribe(topic string) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	_, err := c.paho.Subscribe(ctx, &paho5.Subscribe{Subscriptions: []paho5.SubscribeOptions{{Topic: topic, QoS: 1}}})
	must(c.t, err)
}

func (c *client5) publish(topic, payload string) {
	c.t.Helper()
	ctx, cancel := c.bounded()
	defer cancel()
	_, err := c.paho.Publish(ctx, &paho5.Publish{Topic: topic, QoS: 1, Payload: []byte(payload)})
	must(c.t, err)
}

func (c *client5) received() <-chan string { return c.messages }
