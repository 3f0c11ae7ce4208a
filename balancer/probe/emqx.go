package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/mqedge/mqedge/balancer"
)

const (
	dashboardPort    = 18083
	availabilityPath = "/api/v5/load_rebalance/availability_check"
	statusPath       = "/status"

	longestBody = 4 << 10
	manyStatus  = 1024 // addresses remembered
)

// EMQX asks the node's HTTP API whether it takes clients (availability_check), or where there is no such API whether
// it runs (/status). That is remembered for an address until /status fails. The zero value works; it must not be copied.
type EMQX struct {
	Port int                                 // of the dashboard; 0 = 18083. EMQX 4 has /status on 8081
	Path string                              // of availability_check; "" is that of EMQX 5 and later
	TLS  func(serverName string) *tls.Config // nil = http

	mu         sync.Mutex
	statusOnly map[string]bool // addresses without availability_check
}

var errNoSuchAPI = errors.New("no availability_check")

// Probe implements [balancer.Prober].
func (e *EMQX) Probe(ctx context.Context, addr string) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	return unlessCanceled(ctx, e.probe(ctx, addr))
}

func (e *EMQX) probe(ctx context.Context, addr string) error {
	api := HTTP{Port: e.Port, TLS: e.TLS}
	if api.Port == 0 {
		api.Port = dashboardPort
	}
	if !e.hasOnlyStatus(addr) {
		path := e.Path
		if path == "" {
			path = availabilityPath
		}
		if err := api.get(ctx, addr, path, judgeAvailability); err != errNoSuchAPI {
			return err
		}
	}
	err := api.get(ctx, addr, statusPath, judgeStatus)
	e.remember(addr, err == nil)
	return err
}

func (e *EMQX) hasOnlyStatus(addr string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.statusOnly[addr]
}

func (e *EMQX) remember(addr string, statusOnly bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !statusOnly {
		delete(e.statusOnly, addr)
		return
	}
	if e.statusOnly == nil || len(e.statusOnly) >= manyStatus { // addresses come and go, and nobody says which are gone
		e.statusOnly = make(map[string]bool)
	}
	e.statusOnly[addr] = true
}

func judgeAvailability(path string, r *http.Response) error {
	switch r.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusNotFound,
		http.StatusUnauthorized, http.StatusForbidden: // before EMQX 5.4 it wants credentials
		return errNoSuchAPI
	case http.StatusServiceUnavailable:
		if r.Header.Get("Retry-After") != "" && !strings.Contains(body(r), "NODE_EVACUATING") {
			return fmt.Errorf("%w: EMQX is starting", unexpected(path, r))
		}
		return balancer.Draining{Reason: "EMQX is evacuating, rebalancing or purging this node"}
	}
	return unexpected(path, r)
}

func judgeStatus(path string, r *http.Response) error {
	switch text := body(r); {
	case r.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: is this the port of EMQX's dashboard (of its management API in EMQX 4)?", unexpected(path, r))
	case r.StatusCode != http.StatusOK:
		return unexpected(path, r)
	case !strings.Contains(text, "is running"): // EMQX 5.0.0 answers 200 in any state
		return fmt.Errorf("answers GET %s without saying that it is running", path)
	}
	return nil
}

// body is the beginning of the body, or what came of it.
func body(r *http.Response) string {
	b, _ := io.ReadAll(io.LimitReader(r.Body, longestBody))
	return string(b)
}
