package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/accesslog"
)

var quiet = slog.New(slog.DiscardHandler)

// rig is a listener at work with everything real around it. When the test ends
// it checks that nothing was left behind.
type rig struct {
	*Listener
	socket *Socket
	addr   string
	pool   *balancer.Pool
	log    string
	served chan struct{}
}

// settings are those of a listener that a test changes to its needs.
func settings(p Protocol) *Settings {
	return &Settings{
		Protocol:         p,
		Route:            Route{ConnectTimeout: 5 * time.Second},
		HandshakeTimeout: 5 * time.Second,
		ProxyTimeout:     5 * time.Second,
		ConnectTimeout:   5 * time.Second,
		MaxConnectSize:   64 << 10,
		IdleTimeout:      time.Minute,
	}
}

func newRig(t testing.TB, s *Settings, endpoints ...string) *rig {
	t.Helper()
	r := prepareRig(t, "127.0.0.1:0", s, endpoints...)
	r.serve()
	return r
}

// prepareRig does everything but take connections.
func prepareRig(t testing.TB, bind string, s *Settings, endpoints ...string) *rig {
	t.Helper()
	r := &rig{pool: newPool(endpoints...), log: filepath.Join(t.TempDir(), "access.log"), served: make(chan struct{})}
	if s.Route.Upstream == nil {
		s.Route.Upstream = r.pool
	}
	format, err := accesslog.Compile("json")
	must(t, err)
	log, err := accesslog.Open(r.log, accesslog.Options{Format: format, Logger: quiet})
	must(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	logged := make(chan struct{})
	go func() { defer close(logged); log.Run(ctx) }()

	r.Listener = NewListener("test", carrier, NewMetrics(func() []*Listener { return []*Listener{r.Listener} }), quiet, s)
	r.Listener.LogTo(log)
	r.socket, err = Bind(bind, carrier, s.TCP, quiet)
	must(t, err)
	r.socket.Assign(r.Listener)
	r.addr = r.socket.Addr().String()
	t.Cleanup(func() {
		r.socket.Close()
		<-r.served
		CloseAll([]*Listener{r.Listener}, "test_over")
		r.Wait()
		r.checkNothingIsLeft(t)
		cancel()
		<-logged
	})
	return r
}

func (r *rig) serve() {
	go func() { defer close(r.served); r.socket.Serve() }()
}

func newPool(endpoints ...string) *balancer.Pool {
	p := balancer.New("test", balancer.Options{Policy: balancer.RoundRobin})
	set := make([]balancer.Endpoint, len(endpoints))
	for i, addr := range endpoints {
		set[i].Addr = addr
	}
	p.Update(set)
	return p
}

func (r *rig) checkNothingIsLeft(t testing.TB) {
	t.Helper()
	s := r.Stats()
	var ended uint64
	for _, m := range []map[string]uint64{s.Refused, s.Closed} {
		for _, n := range m {
			ended += n
		}
	}
	if ended != s.Accepted {
		t.Errorf("%d connections were accepted, %d refused or closed: %+v", s.Accepted, ended, s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Active != 0 || r.places.Load() != 0 || len(r.perIP) != 0 || s.HalfOpen != 0 || s.Waiting != 0 || s.WaitingFull != 0 {
		t.Errorf("%d active, %d places taken, by address %v, after the end: %+v", s.Active, r.places.Load(), r.perIP, s)
	}
	if set := r.settings.Load().Route.Sources; set != nil {
		for _, p := range set.Pairs() {
			if p.Used != 0 {
				t.Errorf("source ports were not given back: %+v", p)
			}
		}
	}
	for _, e := range r.pool.Status().Endpoints {
		if e.Connections != 0 {
			t.Errorf("%d leases on %s were not given back", e.Connections, e.Address)
		}
	}
}

// dial connects to the listener. Writes leave at once, each in a segment.
func (r *rig) dial(t testing.TB) *net.TCPConn {
	t.Helper()
	return r.dialFrom(t, "")
}

// dialFrom connects from an address of this host.
func (r *rig) dialFrom(t testing.TB, source string) *net.TCPConn {
	t.Helper()
	d := net.Dialer{Timeout: patience}
	if source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	c, err := d.Dial("tcp", r.addr)
	must(t, err)
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// line is one of the access log.
type line struct {
	RemoteAddr        string  `json:"remote_addr"`
	ProxyProtocolAddr string  `json:"proxy_protocol_addr"`
	Status            int     `json:"status"`
	Reason            string  `json:"reason"`
	SessionTime       float64 `json:"session_time"`
	BytesSent         int     `json:"bytes_sent"`
	BytesReceived     int     `json:"bytes_received"`
	UpstreamAddr      string  `json:"upstream_addr"`
	UpstreamSent      int     `json:"upstream_bytes_sent"`
	UpstreamReceived  int     `json:"upstream_bytes_received"`
	Protocol          string  `json:"ssl_protocol"`
	Cipher            string  `json:"ssl_cipher"`
	ServerName        string  `json:"ssl_server_name"`
	ClientCN          string  `json:"ssl_client_s_dn_cn"`
	ClientID          string  `json:"mqtt_client_id"`
	Username          string  `json:"mqtt_username"`
	Version           string  `json:"mqtt_version"`
	KeepAlive         int     `json:"mqtt_keepalive"`
	Connack           *int    `json:"connack_code"`
}

// lines waits for n lines of the access log.
func (r *rig) lines(t testing.TB, n int) []line {
	t.Helper()
	var text []byte
	until(t, "a line in the access log", func() bool {
		text, _ = os.ReadFile(r.log)
		return bytes.Count(text, []byte("\n")) >= n
	})
	var out []line
	for text := range strings.Lines(string(text)) {
		var l line
		must(t, json.Unmarshal([]byte(text), &l))
		out = append(out, l)
	}
	return out
}

// wantRefused waits for the end of the only connection there was.
func (r *rig) wantRefused(t testing.TB, reason string, status int) {
	t.Helper()
	got := r.lines(t, 1)[0]
	if got.Reason != reason || got.Status != status {
		t.Errorf("access log: %d %s, want %d %s", got.Status, got.Reason, status, reason)
	}
	if s := r.Stats(); s.Refused[reason] != 1 || len(s.Refused) != 1 || len(s.Closed) != 0 {
		t.Errorf("refused %v, closed %v; want one refused for %s", s.Refused, s.Closed, reason)
	}
}

// wantClosed waits for the end of the only connection there was.
func (r *rig) wantClosed(t testing.TB, reason string) line {
	t.Helper()
	got := r.lines(t, 1)[0]
	if got.Reason != reason || got.Status != 200 {
		t.Errorf("access log: %d %s, want 200 %s", got.Status, got.Reason, reason)
	}
	if s := r.Stats(); s.Closed[reason] != 1 || len(s.Closed) != 1 || len(s.Refused) != 0 {
		t.Errorf("refused %v, closed %v; want one closed for %s", s.Refused, s.Closed, reason)
	}
	return got
}

// list describes up to limit connections of a client id; 0 means all.
func (r *rig) list(clientID string, limit int) []Connection {
	if limit == 0 {
		limit = math.MaxInt
	}
	_, some := r.Connections(Filter{ClientID: clientID}, limit)
	return slices.Collect(some)
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func newHashPool(endpoints ...string) *balancer.Pool {
	p := balancer.New("test", balancer.Options{Policy: balancer.Hash})
	set := make([]balancer.Endpoint, len(endpoints))
	for i, addr := range endpoints {
		set[i].Addr = addr
	}
	p.Update(set)
	return p
}
