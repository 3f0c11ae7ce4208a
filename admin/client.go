package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	clientTimeout = 5 * time.Second
	maxAnswer     = 64 << 20
)

// Client asks the admin address of a running mqedge.
type Client struct {
	// Token is sent with changing calls when it is not empty.
	Token string

	addr string
	http *http.Client
}

// Status is what one screen shows.
type Status struct {
	Version      Version       `json:"version"`
	Ready        bool          `json:"ready"`
	Reason       string        `json:"reason"` // why not ready
	Listeners    []Listener    `json:"listeners"`
	Upstreams    []Upstream    `json:"upstreams"`
	Certificates []Certificate `json:"certificates"`
	Time         time.Time     `json:"time"` // of asking
}

// NewClient makes a client of addr, host:port. The admin.bind of a server does as well: an empty or unspecified host
// means this host.
func NewClient(addr string) *Client {
	return &Client{
		addr: dialable(addr),
		// No proxy from the environment, and no connection left open behind a command that ends.
		http: &http.Client{Timeout: clientTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

// Status asks for everything that Render prints.
func (c *Client) Status(ctx context.Context) (Status, error) {
	s := Status{Time: time.Now()}
	for path, into := range map[string]any{
		"/api/v1/version":      &s.Version,
		"/api/v1/listeners":    &s.Listeners,
		"/api/v1/upstreams":    &s.Upstreams,
		"/api/v1/certificates": &s.Certificates,
	} {
		if err := c.call(ctx, http.MethodGet, path, into); err != nil {
			return Status{}, err
		}
	}
	err := c.Health(ctx)
	var not *NotReadyError
	switch {
	case err == nil:
		s.Ready = true
	case errors.As(err, &not):
		s.Reason = not.Reason
	default:
		return Status{}, err
	}
	return s, nil
}

// Drain takes an endpoint out of use for new connections.
func (c *Client) Drain(ctx context.Context, upstream, endpoint string) error {
	return c.call(ctx, http.MethodPost, endpointPath(upstream, endpoint, "drain"), nil)
}

// Enable puts an endpoint back into use.
func (c *Client) Enable(ctx context.Context, upstream, endpoint string) error {
	return c.call(ctx, http.MethodPost, endpointPath(upstream, endpoint, "enable"), nil)
}

// NotReadyError is the answer of a process that runs but takes no connections.
type NotReadyError struct {
	Reason string
}

func (e *NotReadyError) Error() string {
	return "not ready: " + e.Reason
}

// Health is nil when the process takes connections. It asks /readyz: to whoever sends traffic a process that drains,
// or that has no endpoint, is as unhealthy as one that is gone, and is told from it by [NotReadyError].
func (c *Client) Health(ctx context.Context) error {
	status, body, err := c.do(ctx, http.MethodGet, "/readyz")
	if err != nil {
		return err
	}
	switch status {
	case http.StatusOK:
		return nil
	case http.StatusServiceUnavailable:
		return &NotReadyError{Reason: strings.TrimSpace(string(body))}
	}
	return c.unexpected(status, http.MethodGet, "/readyz")
}

// call decodes a good answer into out, unless that is nil, and makes an error of any other.
func (c *Client) call(ctx context.Context, method, path string, out any) error {
	status, body, err := c.do(ctx, method, path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(body, &said) != nil || said.Error == "" {
			return c.unexpected(status, method, path)
		}
		return errors.New(said.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s answered %s with something else than expected: %w: is this mqedge's admin address, and of this version?", c.addr, path, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string) (status int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("%q is no admin address: write host:port", c.addr)
	}
	if c.Token != "" && method != http.MethodGet {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return 0, nil, c.noAnswer(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return 0, nil, c.noAnswer(err)
	}
	return answer.StatusCode, body, nil
}

func (c *Client) noAnswer(err error) error {
	var number syscall.Errno
	var timeout net.Error
	var outer *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &number):
		err = number
	case errors.As(err, &timeout) && timeout.Timeout():
		err = errors.New("timed out")
	case errors.As(err, &outer):
		err = outer.Err
	}
	return fmt.Errorf("no answer from %s: %w: is mqedge running, and is admin.bind this address?", c.addr, err)
}

func (c *Client) unexpected(status int, method, path string) error {
	return fmt.Errorf("%s answered %d to %s %s: is this mqedge's admin address?", c.addr, status, method, path)
}

func endpointPath(upstream, endpoint, action string) string {
	return "/api/v1/upstreams/" + url.PathEscape(upstream) + "/endpoints/" + url.PathEscape(endpoint) + "/" + action
}

// dialable replaces a host that one binds to but does not connect to.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
