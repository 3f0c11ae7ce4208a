package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTheClientReadsWhatTheServerSays(t *testing.T) {
	p := &process{}
	c := NewClient(serve(t, p, loopback, ""))
	ctx := context.Background()
	s, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Ready || s.Version.Version != "1.2.3" || len(s.Listeners) != 1 || s.Listeners[0].Refused["rate"] != 3 ||
		len(s.Upstreams) != 2 || s.Upstreams[0].Endpoints[0].Address != "10.0.0.1:1883" || s.Time.IsZero() {
		t.Errorf("got %+v", s)
	}
	if err := c.Health(ctx); err != nil {
		t.Error(err)
	}
	if err := c.Live(ctx); err != nil {
		t.Error(err)
	}
	if on, err := c.Drain(ctx, "emqx", "[::1]:1883", Drain{}); on != "all edges" || err != nil {
		t.Error(on, err)
	}
	over := 90 * time.Second
	if _, err := c.Drain(ctx, "emqx", "[::1]:1883", Drain{Over: &over, Keep: true, Local: true}); err != nil {
		t.Error(err)
	}
	if _, err := c.Enable(ctx, "emqx", "[::1]:1883", false); err != nil {
		t.Error(err)
	}
	if on, err := c.Enable(ctx, "emqx", "[::1]:1883", true); on != "this edge alone" || err != nil {
		t.Error(on, err)
	}
	if want := []string{"drain emqx [::1]:1883", "drain over 1m30s keep local emqx [::1]:1883", "enable emqx [::1]:1883", "enable local emqx [::1]:1883"}; !reflect.DeepEqual(p.drained, want) {
		t.Errorf("got %q", p.drained)
	}
	if _, err := c.Drain(ctx, "a/b c", "x", Drain{}); err == nil || err.Error() != `there is no upstream "a/b c": there are emqx, none` {
		t.Errorf("got %v", err)
	}
}

func TestAProcessThatDrainsIsUnhealthyAndHasAStatus(t *testing.T) {
	c := NewClient(serve(t, &process{notReady: "draining"}, loopback, ""))
	err := c.Health(context.Background())
	var not *NotReadyError
	if !errors.As(err, &not) || err.Error() != "not ready: draining" {
		t.Errorf("got %v", err)
	}
	if err := c.Live(context.Background()); err != nil {
		t.Errorf("it drains, and is alive all the same: %v", err)
	}
	s, err := c.Status(context.Background())
	if err != nil || s.Ready || s.Reason != "draining" {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestTheClientSendsItsToken(t *testing.T) {
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := NewClient(serve(t, &process{}, anywhere, tokenFile))
	if _, err := c.Drain(context.Background(), "emqx", "10.0.0.1:1883", Drain{}); err == nil || !strings.Contains(err.Error(), "Authorization") {
		t.Errorf("without: %v", err)
	}
	c.Token = "s3cret"
	if _, err := c.Drain(context.Background(), "emqx", "10.0.0.1:1883", Drain{}); err != nil {
		t.Error(err)
	}
}

func TestAnAddressThatDoesNotAnswerIsNamedWithWhatToCheck(t *testing.T) {
	free, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer web.Close()
	silent, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	short, cancelShort := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancelShort()
	for _, test := range []struct {
		ctx        context.Context
		addr, want string
	}{
		{ctx, addr, "no answer from " + addr + ": connection refused: is mqedge running, and is admin.bind this address?"},
		{short, silent.Addr().String(), "no answer from " + silent.Addr().String() + ": timed out: is mqedge running"},
		{ctx, strings.TrimPrefix(other.URL, "http://"), "answered 404 to GET /api/v1/"},
		{ctx, strings.TrimPrefix(web.URL, "http://"), "with something else than expected"},
		{ctx, "a b", `"a b" is no admin address: write host:port`},
	} {
		_, err := NewClient(test.addr).Status(test.ctx)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s\n got %v\nwant %s", test.addr, err, test.want)
		}
	}
}

func TestTheBindOfAServerIsAnAddressForAClient(t *testing.T) {
	for bind, want := range map[string]string{
		"127.0.0.1:9901": "127.0.0.1:9901", ":9901": "127.0.0.1:9901", "0.0.0.0:9901": "127.0.0.1:9901", "[::]:9901": "[::1]:9901",
		"edge.example.com:9901": "edge.example.com:9901", "nonsense": "nonsense",
	} {
		if got := dialable(bind); got != want {
			t.Errorf("%s: %s, want %s", bind, got, want)
		}
	}
}

func TestWhatAServerSaysIsWrongHasNoPowerOverTheTerminal(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			plain(w, http.StatusServiceUnavailable, "\x1b]0;owned\a\n")
			return
		}
		answer(w, http.StatusUnprocessableEntity, map[string]any{"error": "no\x1b[2J", "problems": []string{"one\x1b[31m", "two\u009b1m"}})
	}))
	defer s.Close()
	c := NewClient(s.Listener.Addr().String())
	if err := c.Reload(t.Context()); err == nil || err.Error() != "no?[2J\none?[31m\ntwo?1m" {
		t.Errorf("%q", err)
	}
	if err := c.Health(t.Context()); err == nil || err.Error() != "not ready: ?]0;owned?" {
		t.Errorf("%q", err)
	}
}
