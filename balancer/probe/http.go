package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// longestResponse bounds what is read of a response, its header included.
const longestResponse = 64 << 10

// HTTP sends a GET; any answer from 200 to 399 is alive. Redirects are not followed.
type HTTP struct {
	Path string                              // with a query, if any; "" is /
	Port int                                 // instead of the endpoint's; 0 = the endpoint's
	Host string                              // the Host header; "" is the address
	TLS  func(serverName string) *tls.Config // nil = http
}

// Probe implements [balancer.Prober].
func (h HTTP) Probe(ctx context.Context, addr string) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return unlessCanceled(ctx, h.get(ctx, addr, h.Path, func(path string, r *http.Response) error {
		if r.StatusCode < 200 || r.StatusCode > 399 {
			return unexpected(path, r)
		}
		return nil
	}))
}

// get hands the response to judge, which may read its body.
//
// There is no http.Transport because a connection is used once: its goroutines outlive the request, and it waits for
// bodies that nobody asked for.
func (h HTTP) get(ctx context.Context, addr, path string, judge func(path string, r *http.Response) error) error {
	addr, err := withPort(addr, h.Port)
	if err != nil {
		return err
	}
	path = "/" + strings.TrimPrefix(path, "/")
	request, err := http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return err
	}
	request.Close = true
	request.Header.Set("User-Agent", "mqedge-probe")
	if h.Host != "" {
		request.Host = h.Host
	}

	c, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.hangUp()
	if err := c.startTLS(h.TLS, addr); err != nil {
		return err
	}
	what := "response to GET " + path
	if err := request.Write(c); err != nil {
		return missing(what, err)
	}
	response, err := readResponse(bufio.NewReader(io.LimitReader(c, longestResponse)), request)
	if err != nil {
		return missing(what, err)
	}
	return judge(path, response)
}

// readResponse passes over interim responses, RFC 9110 section 15.2. The body needs no closing.
func readResponse(r *bufio.Reader, request *http.Request) (*http.Response, error) {
	for {
		response, err := http.ReadResponse(r, request)
		if err != nil || response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return response, err
		}
	}
}

func unexpected(path string, r *http.Response) error {
	return fmt.Errorf("answers GET %s with %d %s", path, r.StatusCode, http.StatusText(r.StatusCode))
}

// withPort leaves the address as it is when port is 0.
func withPort(addr string, port int) (string, error) {
	host, old, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	if port != 0 {
		old = strconv.Itoa(port)
	}
	return net.JoinHostPort(host, old), nil
}
