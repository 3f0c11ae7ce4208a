package gossip

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"
)

// memberlist's own timers sleep on for up to a few probe intervals after it was shut down.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		var err error
		for range 50 {
			if err = goleak.Find(); err == nil {
				break
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "leaked:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// fast makes memberlist find out in a second what takes it ten.
func fast(c *memberlist.Config) {
	c.GossipInterval = 20 * time.Millisecond
	c.ProbeInterval = 200 * time.Millisecond
	c.ProbeTimeout = 100 * time.Millisecond
	c.SuspicionMult = 3
	c.SuspicionMaxTimeoutMult = 2
	c.PushPullInterval = time.Second
	c.TCPTimeout = 2 * time.Second
	c.GossipToTheDeadTime = 2 * time.Second
	c.AwarenessMaxMultiplier = 2
}

// running is a node that runs until kill, or the end of the test.
type running struct {
	*Node
	t    testing.TB
	end  context.CancelFunc
	done chan error
}

// kill ends a node without a word to the others.
func (r *running) kill() {
	r.t.Helper()
	r.end()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("%s: Run: %v", r.name, err)
		}
		r.done <- nil
	case <-time.After(30 * time.Second):
		r.t.Fatalf("%s: Run did not return", r.name)
	}
}

func (r *running) leave() {
	r.t.Helper()
	if err := r.Leave(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.kill()
}

func start(t testing.TB, o Options) *running {
	t.Helper()
	if o.Bind == "" {
		o.Bind = "127.0.0.1:0"
	}
	if o.tune == nil {
		o.tune = fast
	}
	if o.rejoin == 0 {
		o.rejoin = 500 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(&testLog{t: t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, n)
}

// run runs a node until the end of the test.
func run(t testing.TB, n *Node) *running {
	t.Helper()
	if err := n.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{n, t, cancel, make(chan error, 1)}
	go func() { r.done <- n.Run(ctx) }()
	t.Cleanup(r.kill)
	return r
}

// testLog shows the log of a test, and nothing after it.
type testLog struct {
	t    testing.TB
	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eventually polls until what returns "" and fails with what it says otherwise.
func eventually(t testing.TB, what func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		missing := what()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// sees waits until a node knows exactly these endpoints of a service. Each is its address, with the state if it is not present.
func sees(t testing.TB, n *running, service string, want ...string) {
	t.Helper()
	slices.Sort(want)
	eventually(t, func() string {
		if got := known(n, service); !slices.Equal(got, want) {
			return fmt.Sprintf("%s sees %s %v, want %v", n.name, service, got, want)
		}
		return ""
	})
}

func known(n *running, service string) []string {
	var got []string
	for _, e := range n.Endpoints(service) {
		text := e.Addr
		if e.State != Present {
			text += " " + e.State.String()
		}
		got = append(got, text)
	}
	slices.Sort(got)
	return got
}

func announce(t testing.TB, n *running, announcements ...Announcement) {
	t.Helper()
	if err := n.Announce(announcements); err != nil {
		t.Fatal(err)
	}
}

func at(service string, addrs ...string) []Announcement {
	var all []Announcement
	for _, a := range addrs {
		all = append(all, Announcement{Service: service, Addr: a})
	}
	return all
}

func many(count int) []Announcement {
	all := make([]Announcement, count)
	for i := range all {
		all[i] = Announcement{Service: "emqx", Addr: fmt.Sprintf("10.1.%d.%d:1883", i/250, i%250+1), Weight: 1,
			Tags: map[string]string{"zone": "a"}, Facts: map[string]string{"send_proxy": "v2"}}
	}
	return all
}

func members(t testing.TB, want int, nodes ...*running) {
	t.Helper()
	eventually(t, func() string {
		for _, n := range nodes {
			if got := n.Stats().Members; got != want {
				return fmt.Sprintf("%s has %d members, want %d", n.name, got, want)
			}
		}
		return ""
	})
}

func join(nodes ...*running) []string {
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr().String())
	}
	return addrs
}

func key(fill byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(fill), 32)))
}

func writeKeys(t testing.TB, file string, keys ...string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func keyFile(t testing.TB, keys ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys")
	writeKeys(t, file, keys...)
	return file
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
