package admin

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// guard decides which requests may do what.
type guard struct {
	loopback  bool // the server is bound to loopback
	tokenFile string
	origins   *http.CrossOriginProtection
}

// refusal is an answer to a request that is not allowed.
type refusal struct {
	status int
	text   string
}

func newGuard(loopback bool, tokenFile string) *guard {
	return &guard{loopback: loopback, tokenFile: tokenFile, origins: http.NewCrossOriginProtection()}
}

// changes says who may change things: open, token or refused.
func (g *guard) changes() string {
	switch {
	case g.tokenFile != "":
		return "token"
	case g.loopback:
		return "open"
	}
	return "refused"
}

// change allows a call that changes something. A token is proof by itself, since no browser sends it unasked. Without
// one, whoever can connect to loopback is trusted, except web pages: those of other origins, and those whose name was
// made to resolve to this host (DNS rebinding).
func (g *guard) change(r *http.Request) (*refusal, error) {
	if g.tokenFile != "" {
		return g.token(r)
	}
	if !g.loopback {
		return &refusal{http.StatusForbidden, "changing calls are refused on an address beyond loopback: set admin.token_file, " +
			"or bind admin to 127.0.0.1"}, nil
	}
	if err := g.origins.Check(r); err != nil {
		return &refusal{http.StatusForbidden, "changing calls are refused from web pages of another origin"}, nil
	}
	if !localName(r.Host) {
		return &refusal{http.StatusForbidden, fmt.Sprintf("changing calls are refused for the host name %.80q: use an IP address or localhost", r.Host)}, nil
	}
	return nil, nil
}

// token compares with what the file holds now.
func (g *guard) token(r *http.Request) (*refusal, error) {
	want, err := os.ReadFile(g.tokenFile)
	if err != nil {
		return nil, fmt.Errorf("admin.token_file: %w", err)
	}
	want = bytes.TrimSpace(want)
	if len(want) == 0 {
		return nil, fmt.Errorf("admin.token_file: %s is empty: put a long random text in it", g.tokenFile)
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare([]byte(strings.TrimSpace(got)), want) != 1 {
		return &refusal{http.StatusUnauthorized, "changing calls need the header Authorization: Bearer TOKEN with the token of admin.token_file"}, nil
	}
	return nil, nil
}

// read allows what tells of clients, endpoints and the configuration. On loopback whoever can connect may ask, except web pages
// whose name was made to resolve to this host: to a browser they are of the same origin. What monitoring asks for is not held back.
func (g *guard) read(r *http.Request) *refusal {
	if !g.loopback || !strings.HasPrefix(r.URL.Path, "/api/") || localName(r.Host) {
		return nil
	}
	return &refusal{http.StatusForbidden, fmt.Sprintf("on loopback nothing is told for the host name %.80q, which a web page may have made up: use an IP address or localhost, and let a proxy in front set it", r.Host)}
}

// profile allows pprof: it shows memory, and it costs CPU.
func (g *guard) profile(r *http.Request) *refusal {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if !g.loopback || err != nil || !peer.Addr().Unmap().IsLoopback() || !localName(r.Host) {
		return &refusal{http.StatusForbidden, "profiles are served on loopback only: bind admin to 127.0.0.1 and ask from this host"}
	}
	return nil
}

// localName reports whether a Host header holds an address or localhost, which no foreign DNS answers for.
func localName(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}
