package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	answerTime     = 10 * time.Second
	inspectTime    = 5 * time.Second // the Engine may be busy with that container
	longestList    = 64 << 20
	longestDetails = 8 << 20
	longestEvent   = 1 << 20
	longestError   = 4 << 10
	mostContainers = 1024 // that are looked at
)

var (
	errNotFound = errors.New("there is no such container")
	errCut      = errors.New("the stream of events has ended")
)

// answerError is about one answer: the Engine itself works.
type answerError struct{ error }

func (e answerError) Unwrap() error { return e.error }

func isAnswer(err error) bool {
	_, is := errors.AsType[answerError](err)
	return is
}

// engine is the HTTP API of a container engine. It only ever sends GET.
type engine struct {
	socket  string // as configured
	network string
	address string
	http    *http.Client
	version string // of the API, as in a path; "" is what the Engine likes best
}

// newEngine takes what DOCKER_HOST may hold, without TLS.
func newEngine(socket string) (*engine, error) {
	e := &engine{socket: socket}
	scheme, rest, has := strings.Cut(socket, "://")
	switch {
	case !has && strings.HasPrefix(socket, "/"):
		e.network, e.address = "unix", socket
	case scheme == "unix" && strings.HasPrefix(rest, "/"):
		e.network, e.address = "unix", rest
	case scheme == "tcp":
		rest = strings.TrimSuffix(rest, "/")
		if host, port, err := net.SplitHostPort(rest); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("gossip.docker.socket %q: want tcp://HOST:PORT", socket)
		}
		e.network, e.address = "tcp", rest
	default:
		return nil, fmt.Errorf("gossip.docker.socket %q: want the path of a socket, unix://PATH or tcp://HOST:PORT", socket)
	}
	e.http = &http.Client{
		Transport: &http.Transport{ // no proxy of the environment
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{Timeout: answerTime}).DialContext(ctx, e.network, e.address)
			},
			ResponseHeaderTimeout: answerTime,
			MaxIdleConnsPerHost:   looksAtOnce,
			IdleConnTimeout:       time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e, nil
}

func (e *engine) close() { e.http.CloseIdleConnections() }

// negotiate asks for the version of the API: newer Engines refuse old ones, and what is used here is in all of them.
func (e *engine) negotiate(ctx context.Context) error {
	e.version = ""
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	r, err := e.get(ctx, "/_ping", nil)
	if isAnswer(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Body.Close()
	io.Copy(io.Discard, io.LimitReader(r.Body, longestError))
	if v := r.Header.Get("Api-Version"); isVersion(v) {
		e.version = v
	}
	return nil
}

func isVersion(v string) bool {
	return v != "" && len(v) < 16 && strings.Trim(v, "0123456789.") == ""
}

func (e *engine) list(ctx context.Context) ([]listed, error) {
	var out []listed
	return out, e.decode(ctx, "/containers/json", url.Values{"all": {"1"}}, longestList, &out)
}

func (e *engine) inspect(ctx context.Context, id string) (details, error) {
	var d details
	limited, cancel := context.WithTimeout(ctx, inspectTime)
	defer cancel()
	err := e.decode(limited, "/containers/"+url.PathEscape(id)+"/json", nil, longestDetails, &d)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = answerError{fmt.Errorf("the Engine does not say how it is: no answer within %v", inspectTime)}
	}
	if err == nil && d.ID == "" {
		err = answerError{errors.New("the Engine's answer has no Id")}
	}
	return d, err
}

// decode asks for JSON of at most so many bytes.
func (e *engine) decode(ctx context.Context, path string, q url.Values, longest int64, into any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	r, err := e.get(ctx, path, q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, longest+1))
	switch {
	case err != nil:
		return fmt.Errorf("GET %s: %w", path, err)
	case int64(len(body)) > longest:
		return answerError{fmt.Errorf("GET %s: the answer has more than %d MiB", path, longest>>20)}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return answerError{fmt.Errorf("GET %s: the answer is not that of a Docker Engine: %w", path, err)}
	}
	return nil
}

// get returns a good answer, whose body is the caller's to close.
func (e *engine) get(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	full := path
	if e.version != "" {
		full = "/v" + e.version + path
	}
	if len(q) > 0 {
		full += "?" + q.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker"+full, nil)
	if err != nil {
		return nil, answerError{err}
	}
	r.Header.Set("User-Agent", "mqedge")
	answer, err := e.http.Do(r)
	if err != nil {
		return nil, e.explain(err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, longestError))
	return nil, refusal(answer.StatusCode, path, text)
}

func refusal(status int, path string, body []byte) error {
	var said struct {
		Message string `json:"message"`
	}
	json.Unmarshal(body, &said) // or it is not JSON
	switch {
	case status == http.StatusNotFound && strings.HasPrefix(path, "/containers/") && path != "/containers/json":
		return errNotFound
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return fmt.Errorf("GET %s is not allowed (%d): let the proxy in front of the socket pass GET of /_ping, /containers and /events", path, status)
	}
	return answerError{fmt.Errorf("GET %s: %d %s", path, status, clean(said.Message))}
}

// explain says what to do about an Engine that cannot be reached.
func (e *engine) explain(err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err // without the made-up URL
	}
	if e.network != "unix" {
		return err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no socket %s: is Docker installed and running here? gossip.docker.socket says where it listens", e.address)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not open %s: add it to the group that owns the socket, often docker, or set gossip.docker.socket to a proxy that only lets reads pass", e.address)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on %s: is Docker running?", e.address)
	}
	return err
}
