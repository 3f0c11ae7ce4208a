package admin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// watched is what top knows after it asked a busy process twice.
func watched() *top {
	s := busyAt(noon)
	t := &top{heard: noon}
	status := func(at time.Time) Status {
		return Status{
			Version: Version{Version: "1.2.0", Started: noon.Add(-75 * time.Hour)}, Ready: true, Time: at,
			Listeners: s.Listeners(), Upstreams: s.Upstreams(), Members: s.Members(), Certificates: s.Certificates(),
		}
	}
	t.learn(status(noon.Add(-2*time.Second)), s.History(0), EventList{})
	s.endpoint("10.0.0.11:1883", func(e *Endpoint) { e.Connects += 7 })
	s.endpoint("10.0.0.21:9000", func(e *Endpoint) {
		p := *e.Provider
		p.Calls += 4600
		e.Provider = &p
	})
	t.learn(status(noon), s.History(300), s.Events(0))
	return t
}

func TestTopShowsWhatThereIs(t *testing.T) {
	away := watched()
	away.heard, away.err = noon.Add(-12*time.Second), errors.New("no answer from 127.0.0.1:9901: \x1b[2Jconnection refused")
	hostile := watched()
	hostile.status.Upstreams[0].Endpoints[0].Reason = "\x1b[2J\x1b]0;owned\x07"
	hostile.events = []Event{{Time: noon, Text: "\x1b[2J", Attributes: []Attribute{{"a\r", "\n\x9b31m"}}}}
	for _, test := range []struct {
		name string
		top  *top
		look look
	}{
		{"top", watched(), look{width: 110}},
		{"top_screen", watched(), look{width: 80, height: 24, keys: true, every: 2 * time.Second}},
		{"top_colour", watched(), look{width: 80, height: 40, colour: true, keys: true, every: time.Second, order: byFailures, reverse: true, problems: true}},
		{"top_away", away, look{width: 80, height: 12, keys: true, every: 2 * time.Second}},
		{"top_narrow", watched(), look{width: 40, height: 60, keys: true, every: 2 * time.Second}},
		{"top_hostile", hostile, look{width: 100, problems: true}},
		{"top_empty", &top{heard: noon, status: Status{Ready: true, Time: noon, Version: Version{Version: "1.2.0", Started: noon}}}, look{width: 80}},
	} {
		t.Run(test.name, func(t *testing.T) {
			lines, _ := test.top.screen(test.look, noon)
			got := strings.Join(lines, "\n") + "\n"
			file := filepath.Join("testdata", test.name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if test.look.height > 0 && len(lines) != test.look.height {
				t.Errorf("%d lines, want %d", len(lines), test.look.height)
			}
			if !test.look.colour && strings.ContainsAny(got, "\x1b\u009b\a\r") {
				t.Errorf("control characters in %q", got)
			}
			for _, line := range lines {
				if plain := withoutStyles(line); columns(plain) > test.look.width {
					t.Errorf("%d columns: %q", columns(plain), plain)
				}
			}
		})
	}
}

func withoutStyles(s string) string {
	for _, style := range []string{"0", styleHead, styleBad, styleWarn, styleDrain, styleOK, styleKeys} {
		s = strings.ReplaceAll(s, "\x1b["+style+"m", "")
	}
	return s
}

func TestEveryScreenFitsWhateverTheSize(t *testing.T) {
	known := watched()
	for width := range 130 {
		for height := 1; height < 60; height += 7 {
			lines, furthest := known.screen(look{width: width, height: height, keys: true, scroll: 5}, noon)
			if len(lines) > height || furthest < 0 {
				t.Fatalf("%d lines on %dx%d", len(lines), width, height)
			}
		}
	}
}

func TestKeysChangeWhatIsShown(t *testing.T) {
	var l look
	for _, step := range []struct {
		keys string
		want look
	}{
		{"j", look{scroll: 1}},
		{"\x1b[B\x1b[B\x1bOA", look{scroll: 2}},
		{"\x1b[6~", look{scroll: 12}},
		{" ", look{scroll: 20}}, // the end
		{"\x1b[5~k", look{scroll: 9}},
		{"g", look{}},
		{"ss", look{order: byActive}},
		{"sssr", look{order: byState, reverse: true}},
		{"rp", look{problems: true}},
		{"\x1b[31~qqq", look{problems: true}}, // of no meaning here
		{"xü", look{problems: true}},
		{"p", look{}},
	} {
		if !l.press([]byte(step.keys), 20) || l != step.want {
			t.Errorf("%q: %+v, want %+v", step.keys, l, step.want)
		}
	}
	for _, key := range []string{"q", "\x03", "jq"} {
		if l.press([]byte(key), 20) {
			t.Errorf("%q does not end it", key)
		}
	}
}

func TestSeriesArePutTogetherFromTheirEnds(t *testing.T) {
	nan := float32(math.NaN())
	got := merge([]Series{{1, 2, nan}, {5, nan}, nil}, add)
	if len(got) != 3 || got[0] != 1 || got[1] != 7 || got[2] == got[2] {
		t.Errorf("got %v", got)
	}
	long := make(Series, historySamples)
	for i := range long {
		long[i] = float32(i)
	}
	c := []rune(curve(long, 60))
	if len(c) != 60 || c[0] != '▁' || c[59] != '█' || !slices.IsSorted(c) {
		t.Errorf("got %q", string(c))
	}
}

// terminal is a screen of changing size that keeps what was written.
type terminal struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (w *terminal) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(b)
}

func (w *terminal) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.String()
}

// shows waits for a text.
func (w *terminal) shows(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !strings.Contains(w.text(), text) {
		select {
		case <-again.C:
		case <-deadline:
			got := w.text()
			t.Fatalf("%q is not shown; the end of it is\n%q", text, got[max(0, len(got)-3000):])
		}
	}
}

func TestTopGoesOnWhileTheServerIsAwayAndLeavesTheTerminalAsItWas(t *testing.T) {
	l, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	s := busy()
	stop := run(t, s, l, noon)
	w := &terminal{}
	keys, resized := make(chan []byte), make(chan struct{})
	width := 90
	o := TopOptions{Client: NewClient(addr), Out: w, Interval: 20 * time.Millisecond, Keys: keys, Resized: resized, Size: func() (int, int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return width, 30
	}}
	ended := make(chan error, 1)
	go func() { ended <- Top(context.Background(), o) }()
	w.shows(t, "q quit  s sort: state")
	keys <- []byte("s")
	w.shows(t, "sort: address")
	s.endpoint("10.0.0.11:1883", func(e *Endpoint) { e.Up = false })
	w.shows(t, "10.0.0.11:1883       down")
	stop()
	w.shows(t, "NO ANSWER for")
	if l, err = net.Listen("tcp", addr); err != nil {
		t.Fatal(err)
	}
	second := busy()
	second.happened("info", "a new life")
	defer run(t, second, l, noon.Add(time.Hour))()
	w.shows(t, "a new life")
	w.mu.Lock()
	width = 43
	w.mu.Unlock()
	resized <- struct{}{}
	w.shows(t, keepStart("q quit  s sort: address  r reverse  p problems only", 43))
	keys <- []byte("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if text := w.text(); !strings.HasPrefix(text, enterScreen) || !strings.HasSuffix(text, leaveScreen) {
		t.Errorf("begins %q, ends %q", text[:20], text[len(text)-20:])
	}
}

func TestTopEndsWithItsContextAndSaysWhenNobodyAnswersAtFirst(t *testing.T) {
	w := &terminal{}
	o := TopOptions{Client: NewClient("127.0.0.1:1"), Out: w, Interval: time.Millisecond, Size: func() (int, int) { return 80, 24 }}
	if err := Top(context.Background(), o); err == nil || !strings.Contains(err.Error(), "is mqedge running") || w.text() != "" {
		t.Errorf("%v, and %q was written", err, w.text())
	}
	o.Client = NewClient(serve(t, busy(), loopback, ""))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Top(ctx, o) }()
	w.shows(t, "UPSTREAM emqx")
	cancel()
	if err := <-ended; err != nil || !strings.HasSuffix(w.text(), leaveScreen) {
		t.Errorf("%v", err)
	}
}

func TestTopEndsAtOnceThoughAnAnswerIsAwaited(t *testing.T) {
	for _, answers := range []int{0, 3} { // a whole first round takes three
		asked := make(chan struct{}, 10)
		h := http.NewServeMux()
		var left atomic.Int64
		left.Store(int64(answers))
		h.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			if left.Add(-1) >= 0 {
				io.WriteString(w, "{}")
				return
			}
			asked <- struct{}{}
			<-r.Context().Done()
		})
		s := httptest.NewServer(h)
		keys, ended := make(chan []byte), make(chan error, 1)
		w := &terminal{}
		o := TopOptions{
			Client: NewClient(s.Listener.Addr().String()), Out: w, Interval: time.Millisecond, Keys: keys,
			Size: func() (int, int) { return 80, 24 },
		}
		go func() { ended <- Top(t.Context(), o) }()
		<-asked
		select {
		case keys <- []byte("q"):
		case <-time.After(3 * time.Second):
			t.Errorf("after %d answers nobody reads the keys", answers)
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(3 * time.Second):
			t.Errorf("after %d answers it waits for the next", answers)
			<-ended
		}
		s.Close()
	}
}

func TestTopWritesOneScreenWhereThereIsNoTerminal(t *testing.T) {
	var out bytes.Buffer
	o := TopOptions{Client: NewClient(serve(t, busy(), loopback, "")), Out: &out, Interval: time.Millisecond}
	if err := TopOnce(context.Background(), o, 0); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "\x1b") || !strings.Contains(text, "UPSTREAM emqx") || strings.Contains(text, "quit") {
		t.Errorf("got %s", text)
	}
	o.Out = writeError{}
	if err := TopOnce(context.Background(), o, 80); err == nil {
		t.Error("a reader that is gone is no error")
	}
}

type writeError struct{}

func (writeError) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
