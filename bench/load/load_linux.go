package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mqedge/mqedge/bench/mqtt"
)

const (
	dialers   = 16 // connections set up at once
	patience  = 10 * time.Second
	keepalive = 600 // seconds; beyond any measurement, so that idle is idle
	topic     = "b"
)

// Options describe the clients.
type Options struct {
	Addr         string `json:"addr"`
	Conns        int    `json:"conns"`
	CA           []byte `json:"ca"`            // PEM; empty is plain TCP
	ServerName   string `json:"server_name"`   // in the certificate
	FirstPublish int    `json:"first_publish"` // payload of a QoS 1 PUBLISH after CONNACK; 0 is none
}

// Outcome is how many clients did what was asked, and why the others did not.
type Outcome struct {
	OK     int            `json:"ok"`
	Failed map[string]int `json:"failed,omitempty"` // by error
}

// Clients are connected clients.
type Clients struct {
	conns   []*client
	readers sync.Once
	wg      sync.WaitGroup // the readers
	run     atomic.Pointer[run]
	runs    uint32
	broken  failures // connections that died while receiving
}

type client struct {
	net.Conn
	packets *mqtt.Reader
	dead    atomic.Bool
}

// Connect opens all connections and exchanges CONNECT and the first PUBLISH. Those that fail are left out.
func Connect(ctx context.Context, opts Options) (*Clients, Outcome, error) {
	dial, err := dialer(opts)
	if err != nil {
		return nil, Outcome{}, err
	}
	var (
		all    Clients
		failed failures
		mu     sync.Mutex
	)
	each(opts.Conns, func(i int) {
		c, err := dial(ctx)
		if err == nil {
			err = c.greet(fmt.Sprintf("bench-%05d", i), opts.FirstPublish)
		}
		if err != nil {
			failed.add(err)
			return
		}
		mu.Lock()
		all.conns = append(all.conns, c)
		mu.Unlock()
	})
	return &all, Outcome{OK: len(all.conns), Failed: failed.byError()}, nil
}

// Ping exchanges PINGREQ and PINGRESP on every connection. It reads them itself, so not after Run.
func (cs *Clients) Ping() Outcome {
	var (
		failed failures
		ok     atomic.Int64
	)
	each(len(cs.conns), func(i int) {
		if err := cs.conns[i].ping(); err != nil {
			failed.add(err)
			return
		}
		ok.Add(1)
	})
	return Outcome{OK: int(ok.Load()), Failed: failed.byError()}
}

// Close ends all connections and returns when nothing runs any more.
func (cs *Clients) Close() {
	for _, c := range cs.conns {
		c.dead.Store(true)
		_ = c.Close()
	}
	cs.wg.Wait()
}

func dialer(opts Options) (func(context.Context) (*client, error), error) {
	var config *tls.Config
	if len(opts.CA) > 0 {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(opts.CA) {
			return nil, errors.New("load: no certificate in the CA")
		}
		config = &tls.Config{
			RootCAs:          roots,
			ServerName:       opts.ServerName,
			MinVersion:       tls.VersionTLS13,
			CurvePreferences: []tls.CurveID{tls.X25519},
			VerifyConnection: sameCryptography,
		}
	}
	return func(ctx context.Context) (*client, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		tcp, err := new(net.Dialer).DialContext(ctx, "tcp", opts.Addr)
		if err != nil {
			return nil, err
		}
		if config == nil {
			return newClient(tcp), nil
		}
		secure := tls.Client(tcp, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = tcp.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		return newClient(secure), nil
	}, nil
}

// sameCryptography refuses a proxy that does other work than its peers.
func sameCryptography(s tls.ConnectionState) error {
	if s.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || s.CurveID != tls.X25519 {
		return fmt.Errorf("the proxy chose %s with %s, want TLS_AES_128_GCM_SHA256 with X25519", tls.CipherSuiteName(s.CipherSuite), s.CurveID)
	}
	return nil
}

func newClient(c net.Conn) *client {
	return &client{Conn: c, packets: mqtt.NewReader(bufio.NewReaderSize(c, 1024))}
}

func (c *client) greet(id string, firstPublish int) error {
	err := c.exchange(mqtt.AppendConnect(nil, id, keepalive), mqtt.Connack)
	if err == nil && firstPublish > 0 {
		err = c.exchange(mqtt.AppendPublish(nil, topic, 1, 1, make([]byte, firstPublish)), mqtt.Puback)
	}
	if err != nil {
		_ = c.Close()
	}
	return err
}

func (c *client) ping() error { return c.exchange(mqtt.AppendPingreq(nil), mqtt.Pingresp) }

func (c *client) exchange(packet []byte, answer byte) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write(packet); err != nil {
		return err
	}
	if _, err := c.packets.Expect(answer); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// each calls do for 0 to n-1, some at once.
func each(n int, do func(i int)) {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for range min(dialers, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	wg.Wait()
}
