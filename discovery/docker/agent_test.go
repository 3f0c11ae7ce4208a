package docker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

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

func TestOfSeveralEventsAtOnceNoneIsForgotten(t *testing.T) {
	p := newPending()
	for _, line := range []string{"start", "kill", "health_status: unhealthy", "rename"} {
		ev := event{Type: "container", Action: line}
		ev.Actor.ID = "a"
		if line == "kill" {
			ev.Actor.Attributes = map[string]string{"signal": "15"}
		}
		p.add(ev)
	}
	changes, _ := p.take()
	if c := changes["a"]; c.signal != "15" || c.away != "it is unhealthy" {
		t.Errorf("%+v", c)
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

func TestAnAgentKnowsWhatTheOneBeforeItKnew(t *testing.T) {
	f := newFake(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		f.has(id, labels)
	}
	f.start()
	first := follow(t, f, time.Hour)
	first.sees("name-a"+offered, "name-b"+offered, "name-c"+offered, "name-d"+offered)
	f.event("kill", "b", `,"signal":"15"`)
	f.event("kill", "c", `,"signal":"15"`)
	first.sees("name-a"+offered, "name-b: it was told to stop", "name-c: it was told to stop", "name-d"+offered)
	first.mu.Lock()
	handed, err := json.Marshal(first.last)
	first.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	var before []Container
	if err := json.Unmarshal(handed, &before); err != nil {
		t.Fatal(err)
	}
	f.answer("/containers/a/json", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	f.has("c", labels, func(s map[string]any) { s["StartedAt"] = "two" })
	f.removed("d")
	next := follow(t, f, 50*time.Millisecond, before...)
	next.sees("name-a"+offered, "name-b: it was told to stop", "name-c"+offered)
	f.event("die", "a", "")
	next.sees("name-a: it has stopped", "name-b: it was told to stop", "name-c"+offered)
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
