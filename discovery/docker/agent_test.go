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

func follow(t *testing.T, f *fake, resync time.Duration) *follower {
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
		a.Run(ctx, func(c []Container) {
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

func TestAContainerIsOfferedFromItsStartToItsEnd(t *testing.T) {
	f := newFake(t)
	f.has("other", map[string]string{"com.example": "x"})
	f.has("a", labels)
	f.start()
	w := follow(t, f, time.Hour)
	w.sees("name-a" + offered)

	f.has("b", labels, health("starting"))
	f.event("start", "b", "")
	w.sees("name-a"+offered, "name-b: its health check has not succeeded yet")
	f.has("b", labels, health("healthy"))
	f.event("health_status: healthy", "b", "")
	w.sees("name-a"+offered, "name-b"+offered)
	f.has("b", labels, health("unhealthy"))
	f.event("health_status: unhealthy", "b", "")
	w.sees("name-a"+offered, "name-b: it is unhealthy: no answer [1m")
	f.has("b", labels, func(s map[string]any) { s["Paused"] = true })
	f.event("pause", "b", "")
	w.sees("name-a"+offered, "name-b: it is paused")
	f.has("b", labels)
	f.event("unpause", "b", "")
	w.sees("name-a"+offered, "name-b"+offered)

	f.event("kill", "b", `,"signal":"1"`) // is no end
	f.event("kill", "a", `,"signal":"15"`)
	w.sees("name-a: it was told to stop", "name-b"+offered)
	f.has("a", labels, ended)
	f.event("die", "a", "")
	w.sees("name-a: it has stopped", "name-b"+offered)
	f.has("a", labels, func(s map[string]any) { s["StartedAt"] = "two" })
	f.event("start", "a", "")
	w.sees("name-a"+offered, "name-b"+offered)
	f.removed("b")
	f.event("destroy", "b", "")
	w.sees("name-a" + offered)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked["/containers/other/json"] > 0 {
		t.Error("a container without labels was looked at")
	}
}

func TestTheStateOfAContainerSaysWhetherItOffersAnything(t *testing.T) {
	for want, state := range map[string]string{
		"":                     `{"Running":true,"Status":"running"}`,
		"|":                    `{"Running":true,"Health":{"Status":"healthy"}}`,
		"||":                   `{"Running":true,"Health":{"Status":""}}`, // Podman's for none
		"it is paused":         `{"Running":true,"Paused":true,"Status":"paused"}`,
		"it is restarting":     `{"Running":true,"Restarting":true}`,
		"it has stopped":       `{"Running":false,"Status":"created"}`,
		"it is unhealthy":      `{"Running":true,"Health":{"Status":"unhealthy"}}`,
		"it is unhealthy: no":  `{"Running":true,"Health":{"Status":"unhealthy","Log":[{"Output":"yes"},{"Output":"no\n"}]}}`,
		"its health check has": `{"Running":true,"Health":{"Status":"starting"}}`,
	} {
		var d details
		if err := json.Unmarshal([]byte(`{"State":`+state+`}`), &d); err != nil {
			t.Fatal(err)
		}
		want = strings.Trim(want, "|")
		if got := d.away(); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
}

func TestASignalThatTellsToStopIsToldFromOthers(t *testing.T) {
	for signal, want := range map[string]bool{"15": true, "9": true, "SIGTERM": true, "2": true, "1": false, "10": false, "28": false, "": false, "37": true} {
		var d details
		d.Config.StopSignal = "SIGRTMIN+3" // as systemd has it
		if d.stops(signal) != want {
			t.Errorf("signal %q stops it: %v", signal, !want)
		}
	}
	var d details
	d.Config.StopSignal = "SIGHUP"
	if !d.stops("1") {
		t.Error("the image's own signal does not stop it")
	}
}

func TestWhoDiesIsGoneEvenIfTheEngineHangs(t *testing.T) {
	f := newFake(t)
	f.has("a", labels)
	f.start()
	w := follow(t, f, time.Hour)
	w.sees("name-a" + offered)
	hang := make(chan struct{})
	defer close(hang)
	f.answer("/containers/a/json", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	f.event("die", "a", "")
	w.sees("name-a: it has stopped")
}

func TestAContainerThatTheEngineHangsOnHoldsUpNoOther(t *testing.T) {
	f := newFake(t)
	f.has("a", labels)
	f.has("b", labels)
	f.start()
	w := follow(t, f, time.Hour)
	w.sees("name-a"+offered, "name-b"+offered)
	hang, gaveUp := make(chan struct{}), make(chan struct{})
	defer close(hang)
	f.answer("/containers/a/json", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
			close(gaveUp)
		}
	})
	f.event("rename", "a", "")
	eventually(t, func() string {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.asked["/containers/a/json"] < 2 {
			return "a is not looked at"
		}
		return ""
	})
	f.has("b", labels, ended)
	f.event("rename", "b", "") // which alone says nothing of its end
	w.sees("name-a"+offered, "name-b: it has stopped")
	select {
	case <-gaveUp:
		t.Error("b had to wait until a was given up")
	default:
	}
	if !w.State().Connected {
		t.Error("one container that hangs makes the Engine away")
	}
}

func TestAnAnswerFromBeforeAnEventDoesNotCount(t *testing.T) {
	f := newFake(t)
	f.has("a", labels)
	f.start()
	w := follow(t, f, time.Hour)
	w.sees("name-a" + offered)
	asked, release := make(chan struct{}), make(chan struct{})
	f.answer("/containers/a/json", func(rw http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		running, _ := json.Marshal(f.containers["a"])
		delete(f.answers, "/containers/a/json")
		f.mu.Unlock()
		close(asked)
		<-release
		rw.Write(running)
	})
	f.event("rename", "a", "")
	<-asked
	f.has("a", labels, ended)
	f.event("die", "a", "")
	w.sees("name-a: it has stopped")
	again, once := make(chan struct{}), sync.Once{}
	f.answer("/containers/a/json", func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(again) })
		<-r.Context().Done()
	})
	close(release)
	<-again
	f.has("b", labels) // seen after what a's old answer would make
	f.event("start", "b", "")
	w.sees("name-a: it has stopped", "name-b"+offered)
	if n := w.logged("container offers an endpoint"); n != 2 {
		t.Errorf("it was offered %d times:\n%s", n, w.log)
	}
}

func TestWhatIsToldFirstIsAllThereIs(t *testing.T) {
	f := newFake(t)
	for i := range 40 {
		f.has(fmt.Sprint(i), labels)
	}
	f.start()
	w := follow(t, f, time.Hour)
	eventually(t, func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.told == 0 {
			return "nothing is told"
		}
		if w.told == 1 && len(w.last) != 40 {
			t.Errorf("%d containers are told first", len(w.last))
		}
		return ""
	})
}

func TestWhatWasKnownStaysWhileTheEngineIsAway(t *testing.T) {
	f := newFake(t)
	w := follow(t, f, time.Hour)
	eventually(t, func() string {
		if s := w.State(); s.Connected || !strings.Contains(s.Error, "there is no socket "+f.path) {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	f.has("a", labels)
	f.has("b", labels)
	f.start()
	w.sees("name-a"+offered, "name-b"+offered)
	eventually(t, func() string {
		if s := w.State(); !s.Connected || s.Error != "" || s.Version != "1.41" {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})

	f.stop()
	eventually(t, func() string {
		if w.State().Connected {
			return "it has not noticed"
		}
		return ""
	})
	w.sees("name-a"+offered, "name-b"+offered)
	f.removed("a")
	f.has("c", labels)
	f.start()
	w.sees("name-b"+offered, "name-c"+offered)
	if n := w.logged("does not answer"); n != 2 {
		t.Errorf("two outages were reported %d times:\n%s", n, w.log)
	}
}

func TestAStreamOfEventsThatIsCutLosesNothing(t *testing.T) {
	f := newFake(t)
	f.has("a", labels)
	f.start()
	w := follow(t, f, time.Hour)
	w.sees("name-a" + offered)
	f.has("b", labels)
	f.cut()
	w.sees("name-a"+offered, "name-b"+offered)
}

func TestAnEventThatIsLostIsMadeUpFor(t *testing.T) {
	f := newFake(t)
	f.has("a", labels)
	f.start()
	w := follow(t, f, 50*time.Millisecond)
	w.sees("name-a" + offered)
	f.has("a", labels, ended)
	w.sees("name-a: it has stopped")
}

func TestOddAnswersHarmOnlyWhatTheyAreAbout(t *testing.T) {
	send := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, odd := range map[string]http.HandlerFunc{
		"malformed": send(200, `{"Id": "b", "State": {"Running": "yes"`),
		"empty":     send(200, ``),
		"another":   send(200, `{"hello": "world"}`),
		"null":      send(200, `null`),
		"a failure": send(500, `{"message": "no such\nthing"}`),
		"no JSON":   send(502, `<html>`),
		"too long":  func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, longestDetails+2)) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/containers/a/json", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.has("a", labels)
			f.has("b", labels)
			f.start()
			w := follow(t, f, 50*time.Millisecond)
			w.sees("name-a"+offered, "name-b"+offered)
			f.answer("/containers/b/json", odd)
			f.event("rename", "b", "")
			f.removed("a")
			f.event("destroy", "a", "")
			w.sees("name-b" + offered) // as it was known
			f.event("die", "b", "")
			w.sees("name-b: it has stopped")
			f.answer("/containers/b/json", nil)
			w.sees("name-b" + offered)
		})
	}
}

func TestAListThatIsNotUnderstoodChangesNothing(t *testing.T) {
	f := newFake(t)
	f.has("a", labels)
	f.start()
	w := follow(t, f, 50*time.Millisecond)
	w.sees("name-a" + offered)
	f.answer("/containers/json", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"message":"?"}`) })
	eventually(t, func() string {
		if s := w.State(); s.Connected || !strings.Contains(s.Error, "not that of a Docker Engine") {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	w.sees("name-a" + offered)
	f.answer("/containers/json", nil)
	f.has("a", labels, ended)
	w.sees("name-a: it has stopped")
}

func TestEventsThatAreNotUnderstoodBeginAnew(t *testing.T) {
	for name, line := range map[string]string{"malformed": `{"Type":`, "endless": strings.Repeat("x", longestEvent+2)} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.has("a", labels)
			f.start()
			w := follow(t, f, time.Hour)
			w.sees("name-a" + offered)
			f.line(line)
			f.has("a", labels, ended)
			w.sees("name-a: it has stopped")
		})
	}
}

func TestAProxyThatRefusesIsToldApart(t *testing.T) {
	f := newFake(t)
	f.answer("/events", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	f.start()
	w := follow(t, f, time.Hour)
	eventually(t, func() string {
		if s := w.State(); !strings.Contains(s.Error, "GET /events is not allowed (403): let the proxy in front of the socket pass GET of /_ping, /containers and /events") {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
}

func TestTheNetworkOfAnotherContainerIsFollowed(t *testing.T) {
	f := newFake(t)
	f.has("a", labels)
	f.has("b", nil)
	f.mu.Lock()
	f.containers["a"]["HostConfig"] = map[string]any{"NetworkMode": "container:b"}
	f.containers["b"]["HostConfig"] = map[string]any{"NetworkMode": "bridge"}
	f.containers["b"]["NetworkSettings"] = map[string]any{"Ports": map[string]any{"1883/tcp": []any{map[string]any{"HostIp": "0.0.0.0", "HostPort": "2883"}}}}
	f.mu.Unlock()
	f.start()
	w := follow(t, f, time.Hour)
	w.sees("name-a: emqx :2883")
	f.removed("b")
	f.line(`{"Type":"container","Action":"destroy","Actor":{"ID":"b"}}`)
	w.sees("name-a: mqedge.service: the container whose network it uses is not there")
}

func TestASocketIsWhatDOCKER_HOSTMayHold(t *testing.T) {
	for socket, want := range map[string]string{
		"/var/run/docker.sock": "unix /var/run/docker.sock", "unix:///run/podman/podman.sock": "unix /run/podman/podman.sock",
		"tcp://127.0.0.1:2375": "tcp 127.0.0.1:2375", "tcp://[::1]:2375/": "tcp [::1]:2375",
		"": "", "docker.sock": "", "tcp://127.0.0.1": "", "https://x:1": "", "unix://docker.sock": "",
	} {
		e, err := newEngine(socket)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "gossip.docker.socket") {
				t.Errorf("%q: %v", socket, err)
			}
		} else if err != nil || e.network+" "+e.address != want {
			t.Errorf("%q: %+v, %v", socket, e, err)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"Type":"container","Action":"die","Actor":{"ID":"a","Attributes":{"mqedge.service":"x"}}}` + "\n"))
	f.Add([]byte(`{"Type":"network","Action":"connect","Actor":{"Attributes":{"container":"a"}}}` + "\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPending()
		s := &stream{body: readCloser{strings.NewReader(string(data))}}
		if s.read(p) == nil {
			t.Error("a stream ends without an error")
		}
		if changes, _ := p.take(); len(changes) > mostPending {
			t.Error("there is no end to changes")
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestEventsThatComeTooFastMakeItLookAtAll(t *testing.T) {
	p := newPending()
	for i := range mostPending + 1 {
		var ev event
		ev.Type, ev.Action, ev.Actor.ID = "container", "start", fmt.Sprint(i)
		p.add(ev)
	}
	if changes, overflow := p.take(); len(changes) != mostPending || !overflow {
		t.Errorf("%d changes, overflow %v", len(changes), overflow)
	}
}
