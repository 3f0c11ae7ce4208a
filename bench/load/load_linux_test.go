package load_test

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/provider"
	"github.com/mqedge/mqedge/bench/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var steady = load.RunOptions{Rate: 2000, For: 200 * time.Millisecond, MinPayload: 64, MaxPayload: 256, Seed: 1, Grace: 5 * time.Second}

func TestEveryMessageComesBackAndIsCounted(t *testing.T) {
	s := listen(t)
	clients, outcome, err := load.Connect(t.Context(), load.Options{Addr: s.Addrs()[0], Conns: 20, FirstPublish: 200})
	if err != nil || outcome.OK != 20 || len(outcome.Failed) != 0 {
		t.Fatalf("%+v, %v; want 20 connections", outcome, err)
	}
	defer clients.Close()
	if pinged := clients.Ping(); pinged.OK != 20 {
		t.Errorf("%+v, want 20 answers", pinged)
	}
	first, err := clients.Run(steady)
	if err != nil {
		t.Fatal(err)
	}
	second, err := clients.Run(steady)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []load.RunResult{first, second} {
		if r.Due < 300 || r.Sent != r.Due || r.Received != r.Sent || len(r.Failed) != 0 || r.P50 <= 0 || r.P99 < r.P50 {
			t.Errorf("%+v, want about 400 messages, all back", r)
		}
	}
	if first.Due != second.Due {
		t.Errorf("one seed gave %d and %d messages", first.Due, second.Due)
	}
	if got := s.Stats(); got.Connections != 20 || got.Publishes != 20+first.Sent+second.Sent || got.WithoutHeader != 20 || got.Malformed != 0 {
		t.Errorf("the sink saw %+v", got)
	}
}

func TestARefusedConnectionIsReported(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	clients, outcome, err := load.Connect(t.Context(), load.Options{Addr: l.Addr().String(), Conns: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	if outcome.OK != 0 || outcome.Failed["dial: connect: connection refused"] != 3 {
		t.Errorf("%+v, want 3 refused", outcome)
	}
	if _, err := clients.Run(steady); err == nil {
		t.Error("a run without connections gave no error")
	}
}

func TestMessagesThatDoNotComeBackAreLostAndNotWaitedForLongerThanTheGrace(t *testing.T) {
	s := listen(t)
	clients, _, err := load.Connect(t.Context(), load.Options{Addr: s.Addrs()[0], Conns: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	s.Close()
	opts := steady
	opts.Grace = 50 * time.Millisecond
	r, err := clients.Run(opts)
	if err != nil {
		t.Fatal(err)
	}
	if r.Received != 0 || r.Due == 0 || len(r.Failed) == 0 {
		t.Errorf("%+v, want nothing received and the reason", r)
	}
}

func TestAGeneratorIsDrivenByRequestsAndEndsWithThem(t *testing.T) {
	s := listen(t)
	in, requests := io.Pipe()
	replies, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- load.Serve(t.Context(), in, out) }()
	ask := func(r load.Request) (reply load.Reply) {
		t.Helper()
		if err := json.NewEncoder(requests).Encode(r); err != nil {
			t.Fatal(err)
		}
		if err := json.NewDecoder(replies).Decode(&reply); err != nil {
			t.Fatal(err)
		}
		return reply
	}

	if r := ask(load.Request{}); r.Error == "" {
		t.Error("an empty request gave no error")
	}
	if r := ask(load.Request{Connect: &load.Options{Addr: s.Addrs()[0], Conns: 5}}); r.Outcome == nil || r.Outcome.OK != 5 {
		t.Errorf("connect: %+v", r)
	}
	p, err := provider.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if r := ask(load.Request{Calls: &atRate}); !strings.Contains(r.Error, "no connection") {
		t.Errorf("calls before dial: %+v", r)
	}
	if r := ask(load.Request{Dial: &load.CallerOptions{Addr: p.Addrs()[0], Conns: 2, Streams: 2, ClientIDs: 3}}); r.Outcome == nil || r.Outcome.OK != 2 {
		t.Errorf("dial: %+v", r)
	}
	if r := ask(load.Request{Again: true}); r.Outcome == nil || r.Outcome.OK != 2 {
		t.Errorf("again: %+v", r)
	}
	if r := ask(load.Request{Calls: &atRate}); r.Calls == nil || r.Calls.Answered != r.Calls.Due || r.Calls.Due == 0 {
		t.Errorf("calls: %+v", r)
	}
	if r := ask(load.Request{Ping: true}); r.Outcome == nil || r.Outcome.OK != 5 {
		t.Errorf("ping: %+v", r)
	}
	if r := ask(load.Request{Run: &steady}); r.Result == nil || r.Result.Received != r.Result.Due {
		t.Errorf("run: %+v", r)
	}
	_ = requests.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func listen(t *testing.T) *sink.Sink {
	t.Helper()
	s, err := sink.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
