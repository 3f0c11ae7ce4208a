package admin

import (
	"io/fs"
	"net/http"
	"strings"
	"testing"
)

func TestTheFilesOfTheDashboardMayLoadEachOtherAlone(t *testing.T) {
	addr := serve(t, &process{}, loopback, "")
	names, err := fs.Glob(ui, "ui/*")
	if err != nil || len(names) < 5 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, path := range append(names, "") {
		got := ask(t, http.MethodGet, addr, "/"+path)
		if got.status != http.StatusOK || got.header.Get("Content-Type") == "" || got.header.Get("Cache-Control") != "no-cache" {
			t.Errorf("/%s: %d %v", path, got.status, got.header)
		}
		for _, part := range []string{"default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if policy := got.header.Get("Content-Security-Policy"); !strings.Contains(policy, part) {
				t.Errorf("/%s: no %s in %q", path, part, policy)
			}
		}
		for _, bad := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "style=", " onclick=\"", "https://", "//cdn"} {
			if strings.Contains(got.body, bad) {
				t.Errorf("/%s has %s", path, bad)
			}
		}
	}
	for _, path := range []string{"/ui/", "/ui/nothing.js", "/ui/..%2fserver.go"} {
		if got := ask(t, http.MethodGet, addr, path); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := ask(t, http.MethodGet, addr, "/api/v1/status"); got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("answers may be kept: %v", got.header)
	}
	if got := ask(t, http.MethodPost, addr, "/"); got.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got.status)
	}
}

func TestAccessIsWhatAChangingCallWouldMeet(t *testing.T) {
	for _, test := range []struct {
		bind, host, want string
	}{
		{loopback, "127.0.0.1", `{"changes":"open","allowed":true,"reason":""}`},
		{loopback, "evil.example", `{"error":"on loopback nothing is told for the host name`},
		{anywhere, "127.0.0.1", `{"changes":"refused","allowed":false,"reason":"changing calls are refused on an address beyond loopback`},
	} {
		if got := ask(t, http.MethodGet, serve(t, &process{}, test.bind, ""), "/api/v1/access", "Host: "+test.host); !strings.HasPrefix(got.body, test.want) {
			t.Errorf("%s %s: %s", test.bind, test.host, got.body)
		}
	}
}

func FuzzAnyKeysAreTakenAndLeaveTheScreenWhereItCanBe(f *testing.F) {
	for _, keys := range []string{"jkq", "\x1b[A\x1b[5~", "\x1b", "ü\x1bO", "sssrp "} {
		f.Add([]byte(keys), 7)
	}
	f.Fuzz(func(t *testing.T, keys []byte, furthest int) {
		furthest = max(furthest%1000, 0)
		var l look
		l.press(keys, furthest)
		if l.scroll < 0 || l.scroll > furthest || l.order < 0 || l.order >= orders {
			t.Errorf("%+v", l)
		}
	})
}
