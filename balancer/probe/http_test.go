package probe_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mqedge/mqedge/balancer/probe"
)

func TestAnHTTPEndpointIsAliveFrom200To399(t *testing.T) {
	for code, alive := range map[int]bool{200: true, 204: true, 302: true, 399: true, 400: false, 404: false, 500: false, 503: false} {
		addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		})
		err := probe.HTTP{Path: "/ready"}.Probe(within(t, patience), addr)
		if alive {
			mustBeAlive(t, err)
		} else {
			mustFail(t, err, fmt.Sprintf("answers GET /ready with %d %s", code, http.StatusText(code)))
		}
	}
}

func TestTheRequestIsAsConfigured(t *testing.T) {
	heard := make(chan *http.Request, 1)
	addr := serve(t, func(_ http.ResponseWriter, r *http.Request) { heard <- r })
	host, _, _ := net.SplitHostPort(addr)
	p := probe.HTTP{Path: "health?deep=1", Port: portOf(t, addr), Host: "broker.example"}
	mustBeAlive(t, p.Probe(within(t, patience), net.JoinHostPort(host, "1")))
	if r := <-heard; r.Method != "GET" || r.RequestURI != "/health?deep=1" || r.Host != "broker.example" || !r.Close {
		t.Errorf("%s %s of %s, close %v", r.Method, r.RequestURI, r.Host, r.Close)
	}
	mustFail(t, probe.HTTP{}.Probe(within(t, patience), "no port"), "missing port")
	mustFail(t, probe.HTTP{Path: "/\n"}.Probe(within(t, patience), addr), "invalid control character")
}

func TestHTTPSIsProbed(t *testing.T) {
	server, client := certificate(t)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = server
	s.StartTLS()
	defer s.Close()
	mustBeAlive(t, probe.HTTP{TLS: client}.Probe(within(t, patience), s.Listener.Addr().String()))
}

func TestOnlyTheHeadOfAResponseIsWaitedFor(t *testing.T) {
	for name, response := range map[string]string{
		"a body that never ends": "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx",
		"an interim response":    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.0":               "HTTP/1.0 200 OK\r\n\r\n",
	} {
		addr := listen(t, func(c net.Conn) {
			readHead(c)
			io.WriteString(c, response)
			silent(c)
		})
		if err := (probe.HTTP{}).Probe(within(t, patience), addr); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAResponseThatIsNone(t *testing.T) {
	for name, c := range map[string]struct {
		write func(io.Writer)
		want  string
	}{
		"nothing":            {func(io.Writer) {}, "no response to GET /: the endpoint closed the connection"},
		"garbage":            {func(w io.Writer) { io.WriteString(w, "\x20\x02\x00\x00\r\n") }, "no response to GET /: malformed HTTP"},
		"an endless head":    {func(w io.Writer) { endless(w, "HTTP/1.1 200 OK\r\n", "X: y\r\n") }, "no response to GET /: "},
		"an endless line":    {func(w io.Writer) { endless(w, "HTTP/1.1 200 OK\r\nX: ", "yyyyyyyy") }, "no response to GET /: "},
		"interim for ever":   {func(w io.Writer) { endless(w, "", "HTTP/1.1 100 Continue\r\n\r\n") }, "no response to GET /: "},
		"another protocol":   {func(w io.Writer) { io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\n\r\n") }, "with 101"},
		"cut in the headers": {func(w io.Writer) { io.WriteString(w, "HTTP/1.1 200 OK\r\nX: y") }, "the endpoint closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			addr := listen(t, func(conn net.Conn) {
				readHead(conn)
				c.write(conn)
			})
			mustFail(t, probe.HTTP{}.Probe(within(t, patience), addr), c.want)
		})
	}
}

// emqx is the HTTP API of a node.
type emqx struct {
	mu           sync.Mutex
	availability func(http.ResponseWriter)
	status       func(http.ResponseWriter)
	asked        []string
}

func (e *emqx) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, r.URL.Path)
	switch r.URL.Path {
	case "/api/v5/load_rebalance/availability_check", "/api/v4/load_rebalance/availability_check":
		e.availability(w)
	case "/status":
		e.status(w)
	default:
		http.NotFound(w, r)
	}
}

func (e *emqx) set(availability, status func(http.ResponseWriter)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.availability, e.status = availability, status
}

func (e *emqx) mustHaveBeenAsked(t *testing.T, want ...string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if strings.Join(e.asked, " ") != strings.Join(want, " ") {
		t.Errorf("asked for %v, want %v", e.asked, want)
	}
	e.asked = nil
}

func says(code int, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

const availability, status = "/api/v5/load_rebalance/availability_check", "/status"

var (
	running    = says(200, "Node emqx@10.0.0.21 is started\nemqx is running")
	starting   = says(503, "Node emqx@10.0.0.21 is starting\nemqx is not_running", "Retry-After", "15")
	available  = says(200, "{}")
	evacuating = says(503, `{"code":"NODE_EVACUATING","message":"Node Evacuating"}`)
	noSuchAPI  = says(404, `{"code":"API_NOT_EXIST"}`)
)

func TestANodeIsAskedWhetherItTakesClients(t *testing.T) {
	node := &emqx{}
	addr := serve(t, node.ServeHTTP)
	p := &probe.EMQX{Port: portOf(t, addr)}
	for _, c := range []struct {
		availability func(http.ResponseWriter)
		want         string
	}{
		{available, ""},
		{evacuating, "draining: "},
		{says(503, ""), "draining: "},
		{says(503, "", "Retry-After", "15"), "503 Service Unavailable: EMQX is starting"},
		{says(500, ""), "answers GET /api/v5/load_rebalance/availability_check with 500"},
		{available, ""},
	} {
		node.set(c.availability, running)
		err := p.Probe(within(t, patience), addr)
		node.mustHaveBeenAsked(t, availability)
		if c.want == "" {
			mustBeAlive(t, err)
			continue
		}
		mustFail(t, err, c.want)
		if draining := isDraining(err); draining != strings.HasPrefix(c.want, "draining") {
			t.Errorf("%v is draining: %v", err, draining)
		}
	}
}

func TestANodeWithoutTheAPIIsAskedForItsStatusUntilThatFails(t *testing.T) {
	for _, refusal := range []func(http.ResponseWriter){noSuchAPI, says(401, ""), says(403, "")} {
		node := &emqx{}
		addr := serve(t, node.ServeHTTP)
		p := &probe.EMQX{Port: portOf(t, addr)}
		node.set(refusal, running)
		mustBeAlive(t, p.Probe(within(t, patience), addr))
		node.mustHaveBeenAsked(t, availability, status)
		mustBeAlive(t, p.Probe(within(t, patience), addr))
		node.mustHaveBeenAsked(t, status)

		node.set(refusal, starting) // for an upgrade
		mustFail(t, p.Probe(within(t, patience), addr), "answers GET /status with 503")
		node.mustHaveBeenAsked(t, status)
		node.set(available, running)
		mustBeAlive(t, p.Probe(within(t, patience), addr))
		mustBeAlive(t, p.Probe(within(t, patience), addr))
		node.mustHaveBeenAsked(t, availability, availability)
	}
}

func TestAStatusMustSayThatEMQXIsRunning(t *testing.T) {
	node := &emqx{}
	addr := serve(t, node.ServeHTTP)
	p := &probe.EMQX{Port: portOf(t, addr)}
	node.set(noSuchAPI, says(200, "Node emqx@10.0.0.21 is stopped\nemqx is not_running"))
	mustFail(t, p.Probe(within(t, patience), addr), "without saying that it is running")
	node.set(noSuchAPI, noSuchAPI)
	mustFail(t, p.Probe(within(t, patience), addr), "404 Not Found", "is this the port of EMQX's dashboard")
}

func TestThePathOfTheAvailabilityCheckCanBeAnother(t *testing.T) {
	node := &emqx{availability: evacuating}
	addr := serve(t, node.ServeHTTP)
	p := &probe.EMQX{Port: portOf(t, addr), Path: "/api/v4/load_rebalance/availability_check"}
	mustFail(t, p.Probe(within(t, patience), addr), "draining")
	node.mustHaveBeenAsked(t, "/api/v4/load_rebalance/availability_check")
}

func TestTheDefaultPortIsTheDashboards(t *testing.T) {
	mustFail(t, (&probe.EMQX{}).Probe(within(t, 200*time.Millisecond), "127.0.0.254:1883"), "127.0.0.254:18083")
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// readHead reads a request, which has no body.
func readHead(c net.Conn) {
	var head strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if _, err := c.Read(one); err != nil {
			return
		}
		head.Write(one)
	}
}

// endless writes until the reader has enough.
func endless(w io.Writer, first, more string) {
	_, err := io.WriteString(w, first)
	for more = strings.Repeat(more, 512); err == nil; {
		_, err = io.WriteString(w, more)
	}
}
