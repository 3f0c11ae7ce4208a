package load_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqedge/mqedge/bench/h2"
	"github.com/mqedge/mqedge/bench/hook"
	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/provider"
)

var (
	atRate  = load.CallOptions{Rate: 2000, For: 200 * time.Millisecond, Seed: 1, Grace: 10 * time.Second}
	atOnce  = load.CallOptions{For: 200 * time.Millisecond, Grace: 10 * time.Second}
	callers = load.CallerOptions{Conns: 3, Streams: 4, ClientIDs: 50}
)

func TestEveryCallIsAnsweredAndCounted(t *testing.T) {
	p, err := provider.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cs := dialed(t, p.Addrs()[0], callers)
	if got := cs.Again(); got.OK != 3 || len(got.Failed) != 0 {
		t.Errorf("%+v, want 3 answers", got)
	}
	calls := int64(2 * callers.Conns)
	var at [2]load.CallResult
	for i := range at {
		at[i] = ran(t, cs, atRate)
		if r := at[i]; r.Due < 300 || r.Answered != r.Due || len(r.Failed) != 0 || r.P50 <= 0 || r.P99 < r.P50 || r.LateP99 <= 0 {
			t.Errorf("%+v, want about 400 calls, all answered", r)
		}
		calls += at[i].Due
	}
	if at[0].Due != at[1].Due {
		t.Errorf("one seed gave %d and %d calls", at[0].Due, at[1].Due)
	}
	// More than the window of a provider holds, so it must open it again.
	for until, full := time.Now().Add(time.Minute), int64(0); full < 150_000; {
		r := ran(t, cs, atOnce)
		if r.Answered != r.Due || len(r.Failed) != 0 || r.P50 <= 0 || r.Took < atOnce.For {
			t.Fatalf("%+v, want all answered", r)
		}
		full, calls = full+r.Due, calls+r.Due
		if time.Now().After(until) {
			t.Fatalf("only %d calls", full)
		}
	}
	if s := p.Stats(); s.Calls[0] != calls || s.Loaded[0] != 1 || s.Malformed != 0 || s.Cancelled != 0 {
		t.Errorf("%+v, want %d calls", s, calls)
	}
}

func TestAnotherServerWithFewStreamsIsCalledWithinItsLimits(t *testing.T) {
	var now, most atomic.Int64
	addr := serve(t, 2, func(w http.ResponseWriter, r *http.Request) {
		for n := now.Add(1); ; {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		defer now.Add(-1)
		answer(w, r)
	})
	cs := dialed(t, addr, load.CallerOptions{Conns: 1, Streams: 16, ClientIDs: 5})
	for _, opts := range []load.CallOptions{atRate, atOnce} {
		if r := ran(t, cs, opts); r.Answered != r.Due || len(r.Failed) != 0 {
			t.Errorf("%+v, want all answered", r)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d calls at once on a connection for 2", most.Load())
	}
}

func TestAnAnswerThatIsWrongInAnyWayIsAFailedCallNamedForIt(t *testing.T) {
	for want, wrong := range map[string]func(http.ResponseWriter, *http.Request){
		"the answer is not that to the call": func(w http.ResponseWriter, r *http.Request) {
			head(w)
			_, _ = w.Write(hook.AppendAuthenticateAnswer(nil, []byte(hook.ClientID(999))))
			trailer(w, "0")
		},
		`status "503"`:              func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		`content type "text/plain"`: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/plain") },
		`grpc-status "14": down`: func(w http.ResponseWriter, _ *http.Request) { // the trailer alone
			head(w)
			w.Header().Set("Grpc-Status", "14")
			w.Header().Set("Grpc-Message", "down")
		},
		`grpc-status "7"`: func(w http.ResponseWriter, r *http.Request) {
			head(w)
			_, _ = w.Write(right(r))
			trailer(w, "7")
		},
		"no grpc-status":  func(w http.ResponseWriter, r *http.Request) { head(w); _, _ = w.Write(right(r)) },
		"RST_STREAM with": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		var broken atomic.Bool
		addr := serve(t, 100, func(w http.ResponseWriter, r *http.Request) {
			if broken.Load() {
				wrong(w, r)
				return
			}
			answer(w, r)
		})
		cs := dialed(t, addr, callers)
		broken.Store(true)
		r := ran(t, cs, atRate)
		failed := 0
		for text, n := range r.Failed {
			if strings.Contains(text, want) {
				failed += n
			}
		}
		if r.Answered != 0 || int64(failed) != r.Due {
			t.Errorf("%+v, want %q", r, want)
		}
		if got := ran(t, cs, atOnce); got.Answered != 0 || got.Due == 0 {
			t.Errorf("as fast as it goes: %+v, want %q", got, want)
		}
		broken.Store(false)
		if got := ran(t, cs, atRate); got.Answered != got.Due {
			t.Errorf("after %q: %+v, want all answered", want, got)
		}
	}
}

func TestCallsOfABrokenConnectionFailAndUnansweredOnesAreNotWaitedForLongerThanTheGrace(t *testing.T) {
	var (
		silent atomic.Bool
		seen   atomic.Int64
	)
	p, err := provider.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	cs := dialed(t, p.Addrs()[0], callers)
	p.Close()
	for _, opts := range []load.CallOptions{atRate, atOnce} {
		if r := ran(t, cs, opts); r.Answered != 0 || r.Due == 0 || len(r.Failed) == 0 {
			t.Errorf("%+v, want nothing answered and the reason", r)
		}
	}

	released := make(chan struct{})
	addr := serve(t, 100, func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		if silent.Load() {
			<-released
		}
		answer(w, r)
	})
	cs = dialed(t, addr, callers)
	silent.Store(true)
	opts := atRate
	opts.Grace = 50 * time.Millisecond
	if r := ran(t, cs, opts); r.Answered != 0 || r.Due == 0 || len(r.Failed) != 0 {
		t.Errorf("%+v, want nothing answered", r)
	}
	silent.Store(false)
	close(released)
	r := ran(t, cs, atRate)
	if r.Answered != r.Due { // late answers to the run before count for nothing
		t.Errorf("%+v, want all answered", r)
	}
	before := int64(1 + callers.Conns + callers.Conns*callers.Streams) // OnProviderLoaded, Dial, and those that were held
	if seen.Load() != before+r.Due {
		t.Errorf("%d calls, want %d: what waited for a stream is over with its run", seen.Load(), before+r.Due)
	}
}

func TestAProviderThatDoesNotRegisterTheHookIsRefused(t *testing.T) {
	for want, handler := range map[string]http.HandlerFunc{
		"the answer is not that": func(w http.ResponseWriter, _ *http.Request) {
			head(w)
			_, _ = w.Write(make([]byte, 5)) // an empty LoadedResponse
			trailer(w, "0")
		},
		"grpc-status": func(w http.ResponseWriter, _ *http.Request) { head(w); w.Header().Set("Grpc-Status", "12") },
	} {
		opts := callers
		opts.Addr = serve(t, 100, handler)
		cs, outcome, err := load.Dial(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		cs.Close()
		reasons := ""
		for text := range outcome.Failed {
			reasons += text
		}
		if outcome.OK != 0 || !strings.Contains(reasons, "OnProviderLoaded: "+want) {
			t.Errorf("%+v, want %q", outcome, want)
		}
		if _, err := cs.Run(atRate); err == nil {
			t.Error("a run without connections gave no error")
		}
	}
	if _, _, err := load.Dial(t.Context(), load.CallerOptions{}); err == nil {
		t.Error("no connections gave no error")
	}
}

func TestTheWindowForAnswersIsOpenedAgainAndGoAwayEndsTheConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	updated := make(chan bool, 1)
	go func() {
		defer close(updated)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		in := h2.NewReader(c)
		_ = in.Preface()
		_, _ = c.Write(h2.AppendSettings(nil))
		for f, err := in.Next(); err == nil && f.Type != h2.Headers; f, err = in.Next() {
		}
		flood := append(h2.AppendFrame(nil, 16_000, h2.Data, 0, 99), make([]byte, 16_000)...)
		for range 8_000_000/len(flood) - 1 {
			if _, err := c.Write(flood); err != nil {
				return
			}
		}
		for f, err := in.Next(); err == nil; f, err = in.Next() {
			if f.Type == h2.WindowUpdate && f.Stream == 0 {
				updated <- true
				break
			}
		}
		_, _ = c.Write(append(h2.AppendFrame(nil, 8, h2.GoAway, 0, 0), make([]byte, 8)...))
		_, _ = io.Copy(io.Discard, c)
	}()
	opts := callers
	opts.Addr = l.Addr().String()
	cs, outcome, err := load.Dial(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer cs.Close()
	if outcome.OK != 0 || outcome.Failed["OnProviderLoaded: GOAWAY with code 0"] != 1 {
		t.Errorf("%+v, want one ended by GOAWAY", outcome)
	}
	if !<-updated {
		t.Error("no WINDOW_UPDATE for the connection")
	}
}

func BenchmarkCallsWithoutAProxy(b *testing.B) {
	p, err := provider.Listen("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	cs := dialed(b, p.Addrs()[0], load.CallerOptions{Conns: 8, Streams: 16, ClientIDs: 500})
	opts := load.CallOptions{For: time.Second, Grace: time.Second}
	calls, took := int64(0), time.Duration(0)
	for b.Loop() {
		r := ran(b, cs, opts)
		calls, took = calls+r.Answered, took+r.Took
	}
	b.ReportMetric(float64(calls)/took.Seconds(), "calls/s")
}

func dialed(t testing.TB, addr string, opts load.CallerOptions) *load.Callers {
	t.Helper()
	opts.Addr = addr
	cs, outcome, err := load.Dial(context.Background(), opts)
	if err != nil || outcome.OK != opts.Conns || len(outcome.Failed) != 0 {
		t.Fatalf("%+v, %v; want %d connections", outcome, err, opts.Conns)
	}
	t.Cleanup(cs.Close)
	return cs
}

func ran(t testing.TB, cs *load.Callers, opts load.CallOptions) load.CallResult {
	t.Helper()
	r, err := cs.Run(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// serve is a provider by another implementation of HTTP/2.
func serve(t *testing.T, maxStreams int, handler http.HandlerFunc) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams}}
	server.Protocols.SetUnencryptedHTTP2(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return l.Addr().String()
}

func answer(w http.ResponseWriter, r *http.Request) {
	head(w)
	_, _ = w.Write(right(r))
	trailer(w, "0")
}

func head(w http.ResponseWriter) { w.Header().Set("Content-Type", "application/grpc") }

func trailer(w http.ResponseWriter, status string) {
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
}

func right(r *http.Request) []byte {
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return nil
	}
	if r.URL.Path == hook.ProviderLoaded {
		return hook.LoadedAnswer()
	}
	client, err := hook.Client(request)
	if err != nil {
		return nil
	}
	return hook.AppendAuthenticateAnswer(nil, client)
}
