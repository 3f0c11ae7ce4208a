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
	tcp     *net.TCPConn // beneath TLS
	in      *bufio.Reader
	packets *mqtt.Reader // from in
	resumed bool         // the TLS session
	dead    atomic.Bool
}

// Connect opens all connections and exchanges CONNECT and the first PUBLISH. Those that fail are left out.
func Connect(ctx context.Context, opts Options) (*Clients, Outcome, error) {
	config, err := opts.tls()
	if err != nil {
		return nil, Outcome{}, err
	}
	var (
		all    Clients
		failed failures
		mu     sync.Mutex
	)
	each(opts.Conns, dialers, func(_, i int) {
		c, err := dial(ctx, opts.Addr, config)
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
	each(len(cs.conns), dialers, func(_, i int) {
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

// tls is nil for plain TCP.
func (o Options) tls() (*tls.Config, error) {
	if len(o.CA) == 0 {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(o.CA) {
		return nil, errors.New("load: no certificate in the CA")
	}
	return &tls.Config{
		RootCAs:          roots,
		ServerName:       o.ServerName,
		MinVersion:       tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519},
		VerifyConnection: sameCryptography,
	}, nil
}

func dial(ctx context.Context, addr string, config *tls.Config) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	if config == nil {
		return newClient(tcp, tcp), nil
	}
	secure := tls.Client(tcp, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	c := newClient(secure, tcp)
	c.resumed = secure.ConnectionState().DidResume
	return c, nil
}

// sameCryptography refuses a proxy that does other work than its peers.
func sameCryptography(s tls.ConnectionState) error {
	if s.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || s.CurveID != tls.X25519 {
		return fmt.Errorf("the proxy chose %s with %s, want TLS_AES_128_GCM_SHA256 with X25519", tls.CipherSuiteName(s.CipherSuite), s.CurveID)
	}
	return nil
}

func newClient(c net.Conn, tcp *net.TCPConn) *client {
	in := bufio.NewReaderSize(c, 1024)
	return &client{Conn: c, tcp: tcp, in: in, packets: mqtt.NewReader(in)}
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
	_, err := c.roundTrip(packet, answer)
	return err
}

// roundTrip returns the answer, which is valid until the next is read.
func (c *client) roundTrip(packet []byte, answer byte) (mqtt.Packet, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return mqtt.Packet{}, err
	}
	if _, err := c.Write(packet); err != nil {
		return mqtt.Packet{}, err
	}
	p, err := c.packets.Expect(answer)
	if err != nil {
		return mqtt.Packet{}, err
	}
	return p, c.SetDeadline(time.Time{})
}

// each has workers call do, with their own number, for 0 to n-1.
func each(n, workers int, do func(worker, i int)) {
	var (
		next atomic.Int64
		wg   sync.WaitGroup
	)
	for worker := range min(workers, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(worker, i)
			}
		})
	}
	wg.Wait()
}
