package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const engineSocket = "/var/run/docker.sock"

// dockerHost is a real Docker Engine with an image of the embedded broker.
type dockerHost struct {
	image string
	next  int
	mu    sync.Mutex
}

// needDocker skips the test where no Engine answers. The image is gone when t ends.
func needDocker(t *testing.T) *dockerHost {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("NOT TESTED: there is no docker command")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "docker", "version").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: no Docker Engine answers: %s", out)
	}
	if c, err := net.Dial("unix", engineSocket); err != nil {
		t.Skipf("NOT TESTED: the Engine is not at %s: %v", engineSocket, err)
	} else {
		c.Close()
	}
	h := &dockerHost{image: fmt.Sprintf("mqedge-test-broker:%d", os.Getpid())}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "broker"), "./testdata/broker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the broker: %v\n%s", err, out)
	}
	tar := exec.Command("tar", "-C", dir, "-c", "broker")
	archive, err := tar.Output()
	must(t, err)
	load := exec.Command("docker", "import", "-c", `ENTRYPOINT ["/broker"]`, "-", h.image)
	load.Stdin = bytes.NewReader(archive)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", h.image).Run() })
	return h
}

// container is a running container, which ends with its test.
type container struct {
	t    testing.TB
	name string
}

// run starts the broker with these options of docker run.
func (h *dockerHost) run(t testing.TB, options ...string) container {
	t.Helper()
	return h.runImage(t, h.image, options...)
}

func (h *dockerHost) runImage(t testing.TB, image string, options ...string) container {
	t.Helper()
	h.mu.Lock()
	h.next++
	c := container{t, fmt.Sprintf("mqedge-test-%d-%d", os.Getpid(), h.next)}
	h.mu.Unlock()
	t.Cleanup(func() {
		c.docker("rm", "-f", c.name)
		if t.Failed() {
			t.Logf("that was container %s: %v", c.name, options)
		}
	})
	c.docker(append(append([]string{"run", "-d", "--name", c.name}, options...), image)...)
	return c
}

// docker runs the client of Docker.
func (c container) docker(args ...string) string {
	c.t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	if err != nil {
		c.t.Errorf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// inspect evaluates a template.
func (c container) inspect(template string) string {
	c.t.Helper()
	return c.docker("inspect", "-f", template, c.name)
}

// published is the port of the host that leads to one of the container.
func (c container) published(port int) string {
	c.t.Helper()
	return c.inspect(fmt.Sprintf(`{{(index (index .NetworkSettings.Ports "%d/tcp") 0).HostPort}}`, port))
}

// watched is the Engine behind a socket that can be taken away and that lets nothing but reads pass, as such proxies do.
type watched struct {
	t        testing.TB
	path     string
	server   *http.Server
	served   chan struct{}
	mu       sync.Mutex
	requests []string // other than GET
	asked    map[string]int
}

func watchEngine(t testing.TB) *watched {
	t.Helper()
	dir, err := os.MkdirTemp("", "mqedge-engine-") // a socket's path must be short
	must(t, err)
	w := &watched{t: t, path: filepath.Join(dir, "docker.sock"), asked: make(map[string]int)}
	t.Cleanup(func() {
		w.stop()
		os.RemoveAll(dir)
	})
	return w
}

func (w *watched) start() {
	w.t.Helper()
	l, err := net.Listen("unix", w.path)
	must(w.t, err)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", engineSocket)
		},
		DisableKeepAlives: true,
	}
	to, _ := url.Parse("http://docker")
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport, proxy.FlushInterval = transport, -1
	proxy.ErrorHandler = func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) }
	w.server = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		w.asked[r.URL.Path]++
		if r.Method != http.MethodGet || len(body) > 0 {
			w.requests = append(w.requests, r.Method+" "+r.URL.Path)
		}
		w.mu.Unlock()
		if r.Method != http.MethodGet {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(rw, r)
	})}
	w.served = make(chan struct{})
	go func() {
		defer close(w.served)
		if err := w.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.t.Errorf("the proxy of the Engine: %v", err)
		}
	}()
}

func (w *watched) stop() {
	if w.server != nil {
		w.server.Close()
		<-w.served
		w.server = nil
	}
}

// wrote are the requests that were not reads.
func (w *watched) wrote() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}
