package demo

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mqedge/mqedge/admin"
	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/certs/ca"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/edge"
)

const (
	listenerName = "mqtts"
	upstreamName = "emqx"
	hooksName    = "hooks" // of both
)

// front is the edge, in this process but otherwise as anyone would run it.
type front struct {
	edge   *edge.Edge
	admin  *admin.Client
	log    *lastLine
	roots  *x509.CertPool
	caFile string // for mosquitto_sub
	keys   string // the key file of gossip

	maxConnections atomic.Int64 // what the next reload finds in the configuration
	plan           plan

	beginDrain, stopNow context.CancelFunc
	ended               chan struct{}
}

func startFront(p plan, version string) (*front, error) {
	f := &front{log: &lastLine{}, plan: p, ended: make(chan struct{})}
	pair, err := f.certificate()
	if err == nil {
		f.keys, err = writeTemp("mqedge-demo-*.keys", newGossipKey())
	}
	if err != nil {
		return nil, errors.Join(err, f.removeFiles())
	}
	f.edge = edge.New(edge.Options{
		Load: f.load, LogOutput: f.log, Version: version,
		Certificates: map[string][]certs.KeyPair{listenerName: {pair}},
	})
	if err := f.edge.Start(); err != nil {
		return nil, errors.Join(err, f.removeFiles())
	}
	f.admin = admin.NewClient(f.edge.AdminAddress().String())
	drain, beginDrain := context.WithCancel(context.Background())
	stop, stopNow := context.WithCancel(context.Background())
	f.beginDrain, f.stopNow = beginDrain, stopNow
	go func() {
		defer close(f.ended)
		f.edge.Run(drain, stop)
	}()
	return f, nil
}

// certificate makes a CA, the file with it, and a certificate for the listener.
func (f *front) certificate() (certs.KeyPair, error) {
	authority, err := ca.New()
	if err != nil {
		return certs.KeyPair{}, err
	}
	cert, key, err := authority.Issue(ca.Leaf{
		CommonName: "mqedge demo", DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	if err != nil {
		return certs.KeyPair{}, err
	}
	f.roots = x509.NewCertPool()
	f.roots.AddCert(authority.Cert)
	f.caFile, err = writeTemp("mqedge-demo-*.pem", authority.PEM())
	return certs.KeyPair{CertPEM: cert, KeyPEM: key}, err
}

func writeTemp(pattern string, content []byte) (name string, err error) {
	file, err := os.CreateTemp("", pattern)
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// load is what a configuration file would say.
func (f *front) load() (*configs.Config, configs.Problems) {
	tls := configs.DefaultTLS()
	l := configs.DefaultListener()
	l.Bind, l.Upstream, l.TLS = []string{"127.0.0.1:0"}, upstreamName, &tls
	l.MaxConnections = int(f.maxConnections.Load())
	u := f.upstream(emqxService)
	u.SendProxy = "v2"

	hooks := configs.DefaultListener()
	hooks.Bind, hooks.Upstream, hooks.Protocol = []string{"127.0.0.1:0"}, hooksName, "grpc"
	exhook := configs.DefaultExHook()
	exhook.EarlyAck = []string{"client.connected"}
	// Of a message that a hook server had when it was killed the edge cannot know
	// whether it was acted on. It goes on unchanged.
	exhook.OnFailure.Publish = "ignore"
	p := f.upstream(hooksService)
	p.Balance, p.ExHook = "hash", &exhook

	c := configs.Default()
	c.Admin.Bind = "127.0.0.1:0"
	c.AccessLog.Path = ""
	c.Drain = configs.Drain{Over: f.plan.drainOver, Deadline: f.plan.drainOver + patience}
	c.Listeners = map[string]*configs.Listener{listenerName: &l, hooksName: &hooks}
	c.Gossip = gossipSection("edge", f.keys)
	c.Upstreams = map[string]*configs.Upstream{upstreamName: &u, hooksName: &p}
	return &c, nil
}

// upstream names no endpoint: it has those that are announced.
func (f *front) upstream(service string) configs.Upstream {
	u := configs.DefaultUpstream()
	u.Health.Passive.FailTimeout = f.plan.failTimeout
	u.Gossip = service
	return u
}

// gossip is where others join.
func (f *front) gossip() (addr string, err error) {
	ctx := context.Background()
	found := until(ctx, patience, func() bool {
		var members []admin.Member
		members, err = f.admin.Members(ctx)
		for _, m := range members {
			if m.Self && m.Address != "" {
				addr = m.Address
			}
		}
		return addr != ""
	})
	if !found && err == nil {
		err = errors.New("it does not take part in gossip")
	}
	return addr, err
}

// hooks is where EMQX would be told to make its calls.
func (f *front) hooks() string { return f.edge.Addresses(hooksName)[0].String() }

func (f *front) addr() *net.TCPAddr { return f.edge.Addresses(listenerName)[0].(*net.TCPAddr) }

func (f *front) adminAddr() string { return f.edge.AdminAddress().String() }

// reload changes the configuration and has it loaded, through the admin address.
func (f *front) reload(ctx context.Context, maxConnections int) error {
	f.maxConnections.Store(int64(maxConnections))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.adminAddr()+"/api/v1/reload", nil)
	if err != nil {
		return err
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return fmt.Errorf("%s: %s", answer.Status, bytes.TrimSpace(body))
	}
	return nil
}

// endpoint asks the admin address for a broker.
func (f *front) endpoint(ctx context.Context, addr string) (admin.Endpoint, error) {
	s, err := f.admin.Status(ctx)
	if err != nil {
		return admin.Endpoint{}, err
	}
	if e := endpoints(s, upstreamName, addr); len(e) == 1 {
		return e[0], nil
	}
	return admin.Endpoint{}, fmt.Errorf("the edge does not list endpoint %s", addr)
}

// endpoints are those of an upstream that have one of the addresses, in the order of these.
func endpoints(s admin.Status, upstream string, addrs ...string) (found []admin.Endpoint) {
	for _, u := range s.Upstreams {
		if u.Name != upstream {
			continue
		}
		for _, addr := range addrs {
			if i := slices.IndexFunc(u.Endpoints, func(e admin.Endpoint) bool { return e.Address == addr }); i >= 0 {
				found = append(found, u.Endpoints[i])
			}
		}
	}
	return found
}

// drain ends the edge as SIGTERM does and waits for it.
func (f *front) drain() {
	f.beginDrain()
	<-f.ended
}

// close ends the edge, drained or not, and removes the file.
func (f *front) close() error {
	f.stopNow()
	<-f.ended
	f.beginDrain()
	return f.removeFiles()
}

func (f *front) removeFiles() (err error) {
	for _, name := range []string{f.caFile, f.keys} {
		if name != "" {
			err = errors.Join(err, os.Remove(name))
		}
	}
	return err
}

// lastLine keeps the latest line of the edge's log, so that the log does not
// tear the table.
type lastLine struct {
	mu   sync.Mutex
	line string
}

// Write expects whole lines, as slog writes them.
func (l *lastLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := bytes.TrimSpace(p)
	if _, rest, ok := bytes.Cut(line, []byte(" ")); ok && bytes.HasPrefix(line, []byte("time=")) {
		line = rest // the table is about now
	}
	l.line = string(line)
	return len(p), nil
}

func (l *lastLine) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line
}
