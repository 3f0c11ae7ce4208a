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
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	clientTimeout = 5 * time.Second
	reloadTimeout = time.Minute
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
	Members      []Member      `json:"members"`
	Announced    Announcements `json:"announced"`
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
	var s Status
	if err := c.call(ctx, http.MethodGet, "/api/v1/status", &s); err != nil {
		return Status{}, err
	}
	return s, nil
}

// Drain takes an endpoint out of use for new connections and begins to move its clients away. On is where that holds, or ""
// where there is only one edge.
func (c *Client) Drain(ctx context.Context, upstream, endpoint string, how Drain) (on string, err error) {
	q := url.Values{}
	if how.Over != nil {
		q.Set("over", how.Over.String())
	}
	if how.Keep {
		q.Set("keep", "true")
	}
	if how.Local {
		q.Set("local", "true")
	}
	path := endpointPath(upstream, endpoint, "drain")
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return c.changeEndpoint(ctx, path)
}

// Enable puts an endpoint back into use. On is as of Drain.
func (c *Client) Enable(ctx context.Context, upstream, endpoint string, local bool) (on string, err error) {
	path := endpointPath(upstream, endpoint, "enable")
	if local {
		path += "?local=true"
	}
	return c.changeEndpoint(ctx, path)
}

func (c *Client) changeEndpoint(ctx context.Context, path string) (on string, err error) {
	var said struct {
		On string `json:"on"`
	}
	err = c.call(ctx, http.MethodPost, path, &said)
	return said.On, err
}

// Connections asks for live connections.
func (c *Client) Connections(ctx context.Context, f ConnectionFilter) (ConnectionList, error) {
	q := make(url.Values)
	for key, value := range map[string]string{"client_id": f.ClientID, "listener": f.Listener, "upstream": f.Upstream, "endpoint": f.Endpoint} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	var list ConnectionList
	header, err := c.fetch(ctx, http.MethodGet, "/api/v1/connections?"+q.Encode(), &list.Connections)
	if err != nil {
		return ConnectionList{}, err
	}
	if list.Total, err = strconv.Atoi(header.Get(totalHeader)); err != nil {
		return ConnectionList{}, fmt.Errorf("%s does not say how many connections there are: is that mqedge of this version?", c.addr)
	}
	return list, nil
}

// Kick closes the connections of an MQTT client and says how many there were.
func (c *Client) Kick(ctx context.Context, clientID string) (int, error) {
	var done struct {
		Kicked int `json:"kicked"`
	}
	err := c.call(ctx, http.MethodDelete, "/api/v1/connections?"+url.Values{"client_id": {clientID}}.Encode(), &done)
	return done.Kicked, err
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
	got, err := c.do(ctx, http.MethodGet, "/readyz")
	if err != nil {
		return err
	}
	switch got.status {
	case http.StatusOK:
		return nil
	case http.StatusServiceUnavailable:
		return &NotReadyError{Reason: printable(strings.TrimSpace(string(got.body)))}
	}
	return c.unexpected(got.status, http.MethodGet, "/readyz")
}

// Live is nil when the process answers, whether or not it takes connections. It asks /livez.
func (c *Client) Live(ctx context.Context) error {
	got, err := c.do(ctx, http.MethodGet, "/livez")
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return c.unexpected(got.status, http.MethodGet, "/livez")
	}
	return nil
}

// Reload makes the process load its configuration again. The error says what is wrong with it; then nothing has changed.
func (c *Client) Reload(ctx context.Context) error {
	patient := *c // it binds, reads certificates and resolves names
	patient.http = &http.Client{Timeout: reloadTimeout, Transport: c.http.Transport}
	return patient.call(ctx, http.MethodPost, "/api/v1/reload", nil)
}

// call decodes a good answer into out, unless that is nil, and makes an error of any other.
func (c *Client) call(ctx context.Context, method, path string, out any) error {
	_, err := c.fetch(ctx, method, path, out)
	return err
}

// fetch is call for those that look at the header too.
func (c *Client) fetch(ctx context.Context, method, path string, out any) (http.Header, error) {
	got, err := c.do(ctx, method, path)
	if err != nil {
		return nil, err
	}
	if got.status != http.StatusOK {
		var said struct {
			Error    string   `json:"error"`
			Problems []string `json:"problems"` // of a configuration, one a line
		}
		if json.Unmarshal(got.body, &said) != nil || said.Error == "" {
			return nil, c.unexpected(got.status, method, path)
		}
		lines := append([]string{said.Error}, said.Problems...)
		for i := range lines {
			lines[i] = printable(lines[i]) // it goes to a terminal
		}
		return nil, errors.New(strings.Join(lines, "\n"))
	}
	if out == nil {
		return got.header, nil
	}
	if err := json.Unmarshal(got.body, out); err != nil {
		return nil, fmt.Errorf("%s answered %s with something else than expected: %w: is this mqedge's admin address, and of this version?", c.addr, path, err)
	}
	return got.header, nil
}

// response is an answer of whatever kind.
type response struct {
	status int
	header http.Header
	body   []byte
}

func (c *Client) do(ctx context.Context, method, path string) (response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, nil)
	if err != nil {
		return response{}, fmt.Errorf("%q is no admin address: write host:port", c.addr)
	}
	if c.Token != "" && method != http.MethodGet {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return response{}, c.noAnswer(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return response{}, c.noAnswer(err)
	}
	if len(body) > maxAnswer {
		return response{}, fmt.Errorf("the answer of %s is larger than %d MiB: ask for less", c.addr, maxAnswer>>20)
	}
	return response{answer.StatusCode, answer.Header, body}, nil
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
