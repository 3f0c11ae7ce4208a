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
	caFile string // for mosquitto_sub; the only file there is

	maxConnections atomic.Int64 // what the next reload finds in the configuration
	endpoints      []string     // brokers
	providers      []string     // hook servers
	plan           plan

	beginDrain, stopNow context.CancelFunc
	ended               chan struct{}
}

func startFront(endpoints, providers []string, p plan, version string) (*front, error) {
	f := &front{log: &lastLine{}, endpoints: endpoints, providers: providers, plan: p, ended: make(chan struct{})}
	pair, err := f.certificate()
	if err != nil {
		return nil, err
	}
	f.edge = edge.New(edge.Options{
		Load: f.load, LogOutput: f.log, Version: version,
		Certificates: map[string][]certs.KeyPair{listenerName: {pair}},
	})
	if err := f.edge.Start(); err != nil {
		return nil, errors.Join(err, os.Remove(f.caFile))
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
	u := f.upstream(f.endpoints)
	u.SendProxy = "v2"

	hooks := configs.DefaultListener()
	hooks.Bind, hooks.Upstream, hooks.Protocol = []string{"127.0.0.1:0"}, hooksName, "grpc"
	exhook := configs.DefaultExHook()
	exhook.EarlyAck = []string{"client.connected"}
	// Of a message that a hook server had when it was killed the edge cannot know
	// whether it was acted on. It goes on unchanged.
	exhook.OnFailure.Publish = "ignore"
	p := f.upstream(f.providers)
	p.Balance, p.ExHook = "hash", &exhook

	c := configs.Default()
	c.Admin.Bind = "127.0.0.1:0"
	c.AccessLog.Path = ""
	c.Drain = configs.Drain{Over: f.plan.drainOver, Deadline: f.plan.drainOver + patience}
	c.Listeners = map[string]*configs.Listener{listenerName: &l, hooksName: &hooks}
	c.Upstreams = map[string]*configs.Upstream{upstreamName: &u, hooksName: &p}
	return &c, nil
}

func (f *front) upstream(endpoints []string) configs.Upstream {
	u := configs.DefaultUpstream()
	u.Health.Passive.FailTimeout = f.plan.failTimeout
	for _, addr := range endpoints {
		e := configs.DefaultEndpoint()
		e.Address = addr
		u.Endpoints = append(u.Endpoints, e)
	}
	return u
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

// endpoint asks the admin address for endpoint i.
func (f *front) endpoint(ctx context.Context, i int) (admin.Endpoint, error) {
	s, err := f.admin.Status(ctx)
	if err != nil {
		return admin.Endpoint{}, err
	}
	if e := endpoints(s, upstreamName); i < len(e) {
		return e[i], nil
	}
	return admin.Endpoint{}, fmt.Errorf("the edge does not list endpoint %s", f.endpoints[i])
}

func endpoints(s admin.Status, upstream string) []admin.Endpoint {
	for _, u := range s.Upstreams {
		if u.Name == upstream {
			return u.Endpoints
		}
	}
	return nil
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
	return os.Remove(f.caFile)
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
