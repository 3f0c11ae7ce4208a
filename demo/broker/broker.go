package broker

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
)

// Options describe a broker. The zero value listens on a free loopback port without PROXY protocol and TLS.
type Options struct {
	Addr          string        // host:port; "" is 127.0.0.1:0
	Name          string        // for logs; "" is the address
	ProxyProtocol bool          // every connection must start with a PROXY header
	ProxyTimeout  time.Duration // for the whole header; 0 is EMQX's 3 s
	TLS           *tls.Config   // nil is plain TCP
	Logger        *slog.Logger  // nil discards

	// OnEvent is called from the goroutine of the connection concerned, so from many at once; it must not call Close.
	// After Close has returned it is not called again.
	OnEvent func(Event)

	// OnMessage is called with every message a client published, after the subscribers here were served, from the
	// goroutine of that client's connection. Messages of Publish are left out, so brokers that pass theirs on to each
	// other make no loop. Wills are left out too.
	OnMessage func(Message)
}

// Broker is a running broker. All methods may be called at any time from any goroutine.
type Broker struct {
	server   *mqtt.Server
	listener *listener
	close    sync.Once
}

// Start runs a broker; it accepts connections when Start returns. End it with Close.
func Start(opts Options) (*Broker, error) {
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:0"
	}
	if opts.ProxyTimeout == 0 {
		opts.ProxyTimeout = 3 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	tcp, err := net.Listen("tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	if opts.Name == "" {
		opts.Name = tcp.Addr().String()
	}

	b := &Broker{listener: newListener(opts, tcp)}
	b.server = mqtt.New(&mqtt.Options{
		Logger:       opts.Logger,
		InlineClient: true, // for Publish
		// Nobody reads $SYS here, and publishing it stops the world for memory statistics.
		SysTopicResendInterval: int64((365 * 24 * time.Hour).Seconds()),
	})
	if err := b.serve(); err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("start broker: %w", err)
	}
	return b, nil
}

func (b *Broker) serve() error {
	if err := b.server.AddHook(new(auth.AllowHook), nil); err != nil {
		return err
	}
	if err := b.server.AddHook(&sessionHook{connected: b.listener.connected}, nil); err != nil {
		return err
	}
	if told := b.listener.opts.OnMessage; told != nil {
		if err := b.server.AddHook(&messageHook{published: told}, nil); err != nil {
			return err
		}
	}
	if err := b.server.AddListener(b.listener); err != nil {
		return err
	}
	return b.server.Serve()
}

// Addr is the address the broker listens on, with the port it got.
func (b *Broker) Addr() string { return b.listener.Address() }

// Clients are the clients connected now, by id.
func (b *Broker) Clients() []Client {
	b.listener.mu.Lock()
	defer b.listener.mu.Unlock()
	clients := make([]Client, 0, len(b.listener.sessions))
	for c := range maps.Values(b.listener.sessions) {
		clients = append(clients, c.client)
	}
	slices.SortFunc(clients, func(x, y Client) int { return cmp.Compare(x.ID, y.ID) })
	return clients
}

// Connections is the number of open connections, those without a CONNECT yet included.
func (b *Broker) Connections() int {
	b.listener.mu.Lock()
	defer b.listener.mu.Unlock()
	return len(b.listener.conns)
}

// Publish hands a message to the subscribers of this broker, as if a client of it had published it.
func (b *Broker) Publish(m Message) error {
	return b.server.Publish(m.Topic, m.Payload, m.Retain, m.QoS)
}

// Messages are the PUBLISH packets received from clients (and Publish) and sent to clients since Start.
func (b *Broker) Messages() (in, out int64) {
	return atomic.LoadInt64(&b.server.Info.MessagesReceived), atomic.LoadInt64(&b.server.Info.MessagesSent)
}

// Close kills the broker: the port and all connections close at once, without DISCONNECT, wills or TLS close_notify.
// When it returns the address is free. Closing twice does nothing.
func (b *Broker) Close() {
	b.close.Do(func() { _ = b.server.Close() })
}
