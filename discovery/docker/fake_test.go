package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is an Engine that answers as it is told.
type fake struct {
	t    *testing.T
	path string

	mu         sync.Mutex
	containers map[string]map[string]any // by id
	answers    map[string]http.HandlerFunc
	streams    []chan string
	asked      map[string]int

	server *http.Server
	served chan struct{}
}

func newFake(t *testing.T) *fake {
	t.Helper()
	dir, err := os.MkdirTemp("", "mqedge-docker-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, path: filepath.Join(dir, "s"), containers: make(map[string]map[string]any), answers: make(map[string]http.HandlerFunc), asked: make(map[string]int)}
	t.Cleanup(func() {
		f.stop()
		os.RemoveAll(dir)
	})
	return f
}

func (f *fake) start() {
	f.t.Helper()
	l, err := net.Listen("unix", f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server, f.served = &http.Server{Handler: f}, make(chan struct{})
	go func() {
		defer close(f.served)
		if err := f.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			f.t.Error(err)
		}
	}()
}

func (f *fake) stop() {
	if f.server == nil {
		return
	}
	f.cut()
	f.server.Close()
	<-f.served
	f.server = nil
}

// cut ends all streams of events.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.streams {
		close(s)
	}
	f.streams = nil
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	f.mu.Lock()
	if r.Method != http.MethodGet {
		f.t.Errorf("the Engine was sent %s %s", r.Method, path)
	}
	f.asked[path]++
	answer := f.answers[path]
	f.mu.Unlock()
	id := strings.TrimSuffix(strings.TrimPrefix(path, "/containers/"), "/json")
	switch {
	case answer != nil:
		answer(w, r)
	case path == "/_ping":
		w.Header().Set("Api-Version", "1.41")
	case path == "/events":
		f.events(w)
	case path == "/containers/json":
		f.mu.Lock()
		defer f.mu.Unlock()
		list := []any{}
		for id, c := range f.containers {
			list = append(list, map[string]any{"Id": id, "Labels": c["Config"].(map[string]any)["Labels"]})
		}
		json.NewEncoder(w).Encode(list)
	default:
		f.mu.Lock()
		defer f.mu.Unlock()
		if c := f.containers[id]; c != nil {
			json.NewEncoder(w).Encode(c)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *fake) events(w http.ResponseWriter) {
	lines := make(chan string, 16)
	f.mu.Lock()
	f.streams = append(f.streams, lines)
	f.mu.Unlock()
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for line := range lines {
		fmt.Fprintln(w, line)
		w.(http.Flusher).Flush()
	}
}

// has puts a container in place, without an event.
func (f *fake) has(id string, labels map[string]string, change ...func(state map[string]any)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	state := map[string]any{"Running": true, "Status": "running", "StartedAt": "one"}
	for _, c := range change {
		c(state)
	}
	f.containers[id] = map[string]any{
		"Id": id, "Name": "/name-" + id, "State": state, "HostConfig": map[string]any{"NetworkMode": "host"},
		"Config": map[string]any{"Image": "emqx/emqx:5.8.9", "Labels": labels},
	}
}

func (f *fake) removed(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.containers, id)
}

func (f *fake) answer(path string, with http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[path] = with
}

func (f *fake) event(action, id string, attributes string) {
	f.line(fmt.Sprintf(`{"Type":"container","Action":%q,"Actor":{"ID":%q,"Attributes":{"mqedge.service":"emqx"%s}}}`, action, id, attributes))
}

func (f *fake) line(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.streams {
		s <- text
	}
}

// follower is an agent at work.
type follower struct {
	t *testing.T
	*Agent
	log  *strings.Builder
	mu   sync.Mutex
	last []Container
	told int
}

func (w *follower) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *follower) logged(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.log.String(), text)
}

func follow(t *testing.T, f *fake, resync time.Duration, before ...Container) *follower {
	t.Helper()
	w := &follower{t: t, log: new(strings.Builder)}
	a, err := New(Options{Socket: f.path, Log: slog.New(slog.NewTextHandler(w, nil)), resync: resync})
	if err != nil {
		t.Fatal(err)
	}
	w.Agent = a
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(ctx, before, func(c []Container) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.last, w.told = c, w.told+1
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return w
}

// sees waits until these are the containers, each as its name and what it offers or why not.
func (w *follower) sees(want ...string) {
	w.t.Helper()
	eventually(w.t, func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		var got []string
		for _, c := range w.last {
			text := c.Name + ":"
			for _, o := range c.Offers {
				text += " " + o.Service + " " + o.Addr
			}
			got = append(got, strings.TrimSpace(text+" "+c.Reason))
		}
		if w.told == 0 || strings.Join(got, "\n") != strings.Join(want, "\n") {
			return fmt.Sprintf("it sees\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return ""
	})
}

func eventually(t *testing.T, check func() string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal(complaint)
		}
	}
}

var (
	labels = map[string]string{"mqedge.service": "emqx"}
	ended  = func(s map[string]any) { s["Running"], s["Status"] = false, "exited" }
	health = func(status string) func(map[string]any) {
		return func(s map[string]any) {
			s["Health"] = map[string]any{"Status": status, "Log": []any{map[string]any{"Output": "no\nanswer\x1b[1m"}}}
		}
	}
)

const offered = ": emqx :1883"
