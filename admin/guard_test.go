package admin

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhoMayChangeThings(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, bind, tokenFile string
		headers               []string
		status                int
		says                  string
	}{
		{"a program on this host", loopback, "", nil, 200, ""},
		{"by the name localhost", loopback, "", []string{"Host: localhost:9901"}, 200, ""},
		{"by an IPv6 address", loopback, "", []string{"Host: [::1]"}, 200, ""},
		{"a page of this address", loopback, "", []string{"Host: 127.0.0.1:9901", "Origin: http://127.0.0.1:9901"}, 200, ""},
		{"a page of another origin", loopback, "", []string{"Origin: http://evil.example"}, 403, "another origin"},
		{"a page of another port", loopback, "", []string{"Origin: http://127.0.0.1:1"}, 403, "another origin"},
		{"a form of another site", loopback, "", []string{"Sec-Fetch-Site: cross-site"}, 403, "another origin"},
		{"a rebound name", loopback, "", []string{"Host: evil.example", "Origin: http://evil.example"}, 403, "use an IP address or localhost"},
		{"loopback with a token configured", loopback, tokenFile, nil, 401, "Authorization: Bearer"},
		{"and sent", loopback, tokenFile, []string{"Authorization: Bearer s3cret"}, 200, ""},
		{"beyond loopback without one", anywhere, "", nil, 403, "set admin.token_file"},
		{"beyond loopback, whatever is sent", anywhere, "", []string{"Authorization: Bearer "}, 403, "set admin.token_file"},
		{"the token", anywhere, tokenFile, []string{"Authorization: bearer s3cret", "Host: edge.example.com"}, 200, ""},
		{"no token", anywhere, tokenFile, nil, 401, "Authorization: Bearer"},
		{"a wrong token", anywhere, tokenFile, []string{"Authorization: Bearer s3cre"}, 401, "Authorization: Bearer"},
		{"another scheme", anywhere, tokenFile, []string{"Authorization: Basic s3cret"}, 401, "Authorization: Bearer"},
		{"a file that is gone", anywhere, tokenFile + ".gone", []string{"Authorization: Bearer s3cret"}, 500, "token file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &process{}
			addr := serve(t, p, test.bind, test.tokenFile)
			got := ask(t, http.MethodDelete, addr, "/api/v1/connections?client_id=x", test.headers...)
			if got.status != test.status || !strings.Contains(got.body, test.says) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if done := len(p.kicked) == 1; done != (test.status == 200) {
				t.Errorf("status %d, and done is %v", got.status, done)
			}
			if read := ask(t, http.MethodGet, addr, "/api/v1/upstreams"); read.status != 200 {
				t.Errorf("reading: %d", read.status)
			}
		})
	}
}

func TestATokenIsReplacedByWritingTheFile(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "token")
	addr := serve(t, &process{}, loopback, tokenFile)
	for _, step := range []struct {
		content, sent string
		status        int
	}{
		{"one", "one", 200}, {"two\n", "one", 401}, {"two\n", "two", 200}, {" \n", "", 500},
	} {
		if err := os.WriteFile(tokenFile, []byte(step.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, http.MethodPost, addr, "/api/v1/reload", "Authorization: Bearer "+step.sent); got.status != step.status {
			t.Errorf("%+v: %d %s", step, got.status, got.body)
		}
	}
}

func TestAPageWhoseNameWasMadeToResolveToThisHostIsToldNothing(t *testing.T) {
	local, public := serve(t, &process{}, loopback, ""), serve(t, &process{}, anywhere, "")
	for _, path := range []string{
		"/api/v1/connections", "/api/v1/connections?client_id=x", "/api/v1/status", "/api/v1/upstreams", "/api/v1/config", "/api/v1/events", "/api/v1/history", "/api/v1/access",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if got := ask(t, method, local, path, "Host: evil.example:9901"); got.status != http.StatusForbidden {
				t.Errorf("%s %s: %d %s", method, path, got.status, got.body)
			}
		}
		for _, host := range []string{"localhost:9901", "127.0.0.1", "[::1]:9901"} {
			if got := ask(t, http.MethodGet, local, path, "Host: "+host); got.status != http.StatusOK {
				t.Errorf("%s at %s: %d %s", path, host, got.status, got.body)
			}
		}
		if got := ask(t, http.MethodGet, public, path, "Host: edge.example.com"); got.status != http.StatusOK {
			t.Errorf("%s beyond loopback: %d %s", path, got.status, got.body)
		}
	}
	for _, path := range []string{"/metrics", "/livez", "/readyz", "/"} {
		if got := ask(t, http.MethodGet, local, path, "Host: edge.example.com"); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestProfilesAreForLoopbackOnly(t *testing.T) {
	local, public := serve(t, &process{}, loopback, ""), serve(t, &process{}, anywhere, "")
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		if got := ask(t, http.MethodGet, local, path); got.status != http.StatusOK {
			t.Errorf("%s on loopback: %d", path, got.status)
		}
		if got := ask(t, http.MethodGet, local, path, "Host: evil.example"); got.status != http.StatusForbidden {
			t.Errorf("%s by a rebound name: %d", path, got.status)
		}
		// The peer is loopback here too, but the address is not.
		if got := ask(t, http.MethodGet, public, path); got.status != http.StatusForbidden {
			t.Errorf("%s beyond loopback: %d", path, got.status)
		}
	}
}
