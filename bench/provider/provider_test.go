package provider_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/bench/h2"
	"github.com/mqedge/mqedge/bench/hook"
	"github.com/mqedge/mqedge/bench/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCallsOfAnotherClientAreAnswered(t *testing.T) {
	p := listen(t, "127.0.0.1:0", "127.0.0.2:0")
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	call := func(addr, path string, request []byte) (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+path, bytes.NewReader(request))
		if err != nil {
			return "", err
		}
		r.Header.Set("Content-Type", "application/grpc+proto")
		answer, err := transport.RoundTrip(r)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err == nil && (answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/grpc+proto" || answer.Trailer.Get("Grpc-Status") != "0") {
			err = fmt.Errorf("%+v", answer)
		}
		return string(body), err
	}

	if got, err := call(p.Addrs()[1], hook.ProviderLoaded, hook.LoadedRequest()); err != nil || got != string(hook.LoadedAnswer()) {
		t.Errorf("OnProviderLoaded: %q, %v", got, err)
	}
	const calls = 200
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			client := hook.ClientID(i)
			got, err := call(p.Addrs()[i%2], hook.Authenticate, hook.AuthenticateRequest(client))
			if want := string(hook.AppendAuthenticateAnswer(nil, []byte(client))); err != nil || got != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		})
	}
	wg.Wait()
	if s := p.Stats(); !slices.Equal(s.Calls, []int64{calls / 2, calls / 2}) || !slices.Equal(s.Loaded, []int64{0, 1}) || s.Malformed != 0 || s.Cancelled != 0 || s.Open == 0 {
		t.Errorf("%+v", s)
	}
}

func TestAnAnswerWaitsForTheWindowsOfItsStreamAndOfTheConnection(t *testing.T) {
	const answer = 25 // bytes
	for name, c := range map[string]struct {
		initial uint32
		calls   int
		open    func(dst []byte, stream uint32) []byte
	}{
		"stream": {answer - 1, 1, func(dst []byte, stream uint32) []byte { return h2.AppendWindowUpdate(dst, stream, 1) }},
		"settings": {answer - 1, 1, func(dst []byte, _ uint32) []byte {
			return h2.AppendSettings(dst, h2.Setting{ID: h2.InitialWindowSize, Value: answer})
		}},
		"connection": {1 << 20, h2.DefaultWindow/answer + 1, func(dst []byte, _ uint32) []byte { return h2.AppendWindowUpdate(dst, 0, answer) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := listen(t, "127.0.0.1:0")
			proxy := dial(t, p)
			proxy.send(h2.AppendSettings(nil, h2.Setting{ID: h2.InitialWindowSize, Value: c.initial}))
			last := uint32(2*c.calls - 1)
			for stream := uint32(1); stream <= last; stream += 2 {
				proxy.call(stream)
			}
			proxy.send(h2.AppendFrame(nil, 8, h2.Ping, 0, 0), make([]byte, 8))
			ended := 0
			for f := proxy.next(); f.Type != h2.Ping; f = proxy.next() {
				if f.Stream == last {
					t.Errorf("an answer beyond the window: %+v", f)
				}
				if f.Stream != 0 && f.Has(h2.EndStream) {
					ended++
				}
			}
			if ended != c.calls-1 {
				t.Errorf("%d calls ended, want all but the last of %d", ended, c.calls)
			}
			proxy.send(c.open(nil, last))
			for f := proxy.next(); f.Stream != last || !f.Has(h2.EndStream); f = proxy.next() {
			}
			if s := p.Stats(); s.Calls[0] != int64(c.calls) || s.Malformed != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestARequestInPiecesIsAnsweredAndAResetOneIsNot(t *testing.T) {
	p := listen(t, "127.0.0.1:0")
	proxy := dial(t, p)
	proxy.send(h2.AppendSettings(nil))
	request := hook.AuthenticateRequest(hook.ClientID(1))
	proxy.header(1)
	proxy.send(h2.AppendFrame(nil, 10, h2.Data, 0, 1), request[:10])
	proxy.header(3)
	proxy.send(append(h2.AppendFrame(nil, 4, h2.RSTStream, 0, 1), 0, 0, 0, 8))
	proxy.send(h2.AppendFrame(nil, 10, h2.Data, 0, 3), request[:10])
	proxy.send(h2.AppendFrame(nil, len(request)-10, h2.Data, h2.EndStream, 1), request[10:])
	proxy.send(h2.AppendFrame(nil, len(request)-10, h2.Data, h2.EndStream, 3), request[10:])
	for f := proxy.next(); f.Stream != 3 || !f.Has(h2.EndStream); f = proxy.next() {
		if f.Stream == 1 {
			t.Errorf("an answer to a call that was reset: %+v", f)
		}
	}
	if s := p.Stats(); s.Calls[0] != 1 || s.Cancelled != 1 || s.Malformed != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsNoCallEndsTheConnectionAndIsCounted(t *testing.T) {
	for name, wrong := range map[string]func(*rawProxy){
		"no preface":   func(proxy *rawProxy) { proxy.send([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")) },
		"no message":   func(proxy *rawProxy) { proxy.header(1); proxy.send(h2.AppendFrame(nil, 0, h2.Data, h2.EndStream, 1)) },
		"header block": func(proxy *rawProxy) { proxy.send(h2.AppendFrame(nil, 1, h2.Headers, h2.EndHeaders, 1), []byte{0xff}) },
		"method": func(proxy *rawProxy) {
			block := h2.NewEncoder().Encode(&h2.Block{Fields: hook.Header("/other", "a")})
			proxy.send(h2.AppendFrame(nil, len(block), h2.Headers, h2.EndHeaders, 1), block)
		},
		"too large": func(proxy *rawProxy) {
			proxy.header(1)
			for range 5 {
				proxy.send(h2.AppendFrame(nil, 16_384, h2.Data, 0, 1), make([]byte, 16_384))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := listen(t, "127.0.0.1:0")
			var proxy *rawProxy
			if name == "no preface" {
				proxy = open(t, p)
			} else {
				proxy = dial(t, p)
			}
			wrong(proxy)
			for {
				if _, err := proxy.in.Next(); err != nil {
					break
				}
			}
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for until := time.Now().Add(10 * time.Second); p.Stats().Malformed != 1; <-tick.C {
				if time.Now().After(until) {
					t.Fatalf("%+v", p.Stats())
				}
			}
		})
	}
}

func listen(t *testing.T, addrs ...string) *provider.Providers {
	t.Helper()
	p, err := provider.Listen(addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// rawProxy speaks frames.
type rawProxy struct {
	t       *testing.T
	c       net.Conn
	in      *h2.Reader
	encoder *h2.Encoder
	block   h2.Block
}

func open(t *testing.T, p *provider.Providers) *rawProxy {
	t.Helper()
	c, err := net.Dial("tcp", p.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &rawProxy{t, c, h2.NewReader(c), h2.NewEncoder(), h2.Block{Fields: hook.Header(hook.Authenticate, "a")}}
}

func dial(t *testing.T, p *provider.Providers) *rawProxy {
	t.Helper()
	proxy := open(t, p)
	proxy.send([]byte(h2.Preface))
	return proxy
}

// send ignores errors: the next read meets them too.
func (p *rawProxy) send(parts ...[]byte) { _, _ = p.c.Write(bytes.Join(parts, nil)) }

func (p *rawProxy) header(stream uint32) {
	block := p.encoder.Encode(&p.block)
	p.send(h2.AppendFrame(nil, len(block), h2.Headers, h2.EndHeaders, stream), block)
}

func (p *rawProxy) call(stream uint32) {
	p.header(stream)
	request := hook.AuthenticateRequest(hook.ClientID(1))
	p.send(h2.AppendFrame(nil, len(request), h2.Data, h2.EndStream, stream), request)
}

func (p *rawProxy) next() h2.Frame {
	p.t.Helper()
	f, err := p.in.Next()
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}
