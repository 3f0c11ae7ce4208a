package exhook

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/mqedge/mqedge/exhook/hook"
)

// emqx is a connection of EMQX's client: frames as it sends them, and every frame that it gets.
type emqx struct {
	t    *testing.T
	nc   net.Conn
	w    *wire
	next uint32

	mu      sync.Mutex
	streams map[uint32]*stream
	broken  []string // what EMQX must never see
}

// stream is an answer, as frames: "HEADERS", "DATA 5", "HEADERS END".
type stream struct {
	frames []string
	status string
	data   []byte
	ended  bool
}

func anEMQX(t *testing.T, addr string) *emqx {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	e := &emqx{t: t, nc: nc, w: newWire(), next: 1, streams: map[uint32]*stream{}}
	e.w.b.WriteString(http2.ClientPreface)
	e.w.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 8000000})
	e.w.fr.WriteWindowUpdate(0, 7934465)
	nc.Write(e.w.take())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.read()
	}()
	t.Cleanup(func() {
		nc.Close()
		<-done
		for _, b := range e.broken {
			t.Error("EMQX got", b)
		}
	})
	return e
}

func (e *emqx) read() {
	fr, dec := http2.NewFramer(nil, e.nc), hpack.NewDecoder(4096, nil)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		e.mu.Lock()
		s := e.streams[f.Header().StreamID]
		switch f := f.(type) {
		case *http2.HeadersFrame:
			fields, err := dec.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				e.broken = append(e.broken, err.Error())
			}
			for _, field := range fields {
				if field.Name == "grpc-status" {
					s.status = field.Value
				}
			}
			s.add("HEADERS", f.StreamEnded())
		case *http2.DataFrame:
			s.data = append(s.data, f.Data()...)
			s.add(fmt.Sprint("DATA ", len(f.Data())), f.StreamEnded())
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			e.broken = append(e.broken, fmt.Sprint(f))
		}
		e.mu.Unlock()
	}
}

func (s *stream) add(frame string, end bool) {
	if end {
		frame, s.ended = frame+" END", true
	}
	s.frames = append(s.frames, frame)
}

// send makes a call without waiting; calls of one connection have no order among their answers.
func (e *emqx) send(h hook.Hook, client string) *stream {
	e.mu.Lock()
	s := &stream{}
	e.streams[e.next] = s
	e.mu.Unlock()
	e.w.request(e.next, hook.Method{Version: hook.V2, Hook: h}.Path(), request(h, client, "t", node1))
	e.nc.Write(e.w.take())
	e.next += 2
	return s
}

// answer waits for the end of an answer.
func (e *emqx) answer(s *stream) string {
	e.t.Helper()
	eventually(e.t, "an answer", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return s.ended
	})
	return s.status + ": " + strings.Join(s.frames, ", ")
}

func TestEMQXGetsWholeAnswersOrASingleFrameOfFailure(t *testing.T) {
	hooks := []string{"client.authenticate", "client.connected", "client.connect", "message.publish", "message.delivered"}
	a := aProvider(t, hooks...)
	a.answers(func(ctx context.Context, h heard, q []byte) ([]byte, error) {
		switch h.hook {
		case hook.ClientConnect:
			return nil, grpcstatus.Error(codes.Unavailable, "no")
		case hook.MessagePublish:
			return []byte("\xff"), nil
		}
		return nil, nil
	})
	r := aRig(t, setup{settings: Settings{Hooks: &Hooks{EarlyAck: []hook.Hook{hook.MessageDelivered}}}}, a)
	r.mustLoad(node1)
	e := anEMQX(t, r.addr)
	for h, want := range map[hook.Hook]string{
		hook.ClientAuthenticate: "0: HEADERS, DATA 7, HEADERS END",
		hook.ClientConnected:    "0: HEADERS, DATA 5, HEADERS END",
		hook.MessageDelivered:   "0: HEADERS, DATA 5, HEADERS END", // early
		hook.SessionCreated:     "0: HEADERS, DATA 5, HEADERS END", // not registered
		hook.ClientConnect:      "14: HEADERS END",
		hook.MessagePublish:     "14: HEADERS END",
	} {
		if got := e.answer(e.send(h, "c")); got != want {
			t.Errorf("%v: %s, want %s", h, got, want)
		}
	}
}

func TestEMQXSeesNoResetAndNoCloseWhateverProvidersDo(t *testing.T) {
	hooks := []string{"client.authenticate", "client.connected"}
	a, b := aProvider(t, hooks...), aProvider(t, hooks...)
	slow := func(ctx context.Context, h heard, _ []byte) ([]byte, error) {
		if h.hook != hook.ProviderLoaded {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		return nil, nil
	}
	a.answers(slow)
	b.answers(slow)
	r := aRig(t, setup{settings: Settings{Retries: 1}}, a, b)
	r.mustLoad(node1)
	r.loaded(a, b)
	e := anEMQX(t, r.addr)
	var all []*stream
	flood := func() {
		for i := range 100 {
			all = append(all, e.send(hook.ClientAuthenticate, fmt.Sprint(i)), e.send(hook.ClientConnected, fmt.Sprint(i)))
		}
	}
	flood()
	a.kill()
	flood()
	a.start()
	r.servesAgain(e, a)
	flood()
	b.mu.Lock()
	server := b.server
	b.mu.Unlock()
	server.GracefulStop()
	flood()
	good, failed := 0, 0
	for _, s := range all {
		switch got := e.answer(s); {
		case strings.HasPrefix(got, "0: HEADERS, DATA"):
			good++
		case got == "14: HEADERS END":
			failed++
		default:
			t.Errorf("an answer: %s", got)
		}
	}
	t.Logf("%d good, %d failed", good, failed)
	if good < len(all)/2 {
		t.Error("too few are good")
	}
}

// servesAgain waits until a provider serves calls of a connection again.
func (r *rig) servesAgain(e *emqx, p *provider) {
	r.t.Helper()
	p.forget()
	n := 0
	eventually(r.t, "back", func() bool {
		n++
		e.answer(e.send(hook.ClientAuthenticate, fmt.Sprint(n)))
		return len(p.got()) > 0
	})
}
