package grpcrelay

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// gone wants the connection ended with GOAWAY of a code.
func gone(t *testing.T, e *end, code http2.ErrCode) {
	t.Helper()
	s := e.stream(0)
	if s.goaway == nil || *s.goaway != code || !e.m.closed {
		t.Fatalf("want GOAWAY %v and a close, got %+v, closed %v", code, s.goaway, e.m.closed)
	}
}

func TestAnEarlyAnswerIsNotFollowedByAReset(t *testing.T) {
	h, client, _, cl, _ := rig(t, Options{Whole: func(string) bool { return false }})
	h.call = func(c *Call) { c.Fail(codes.Unavailable, "no provider") }
	client.open(1)
	client.send()
	want(t, client.stream(1), "14", "no provider")
	client.fr.WriteData(1, false, framed("the rest")[:7])
	client.fr.WriteData(1, true, framed("the rest")[7:])
	client.send()
	if all := client.read(); len(all) != 0 || !cl.Idle() {
		t.Fatalf("the client got %+v, idle %v", all, cl.Idle())
	}
	client.open(3) // and never ends
	client.send()
	client.read()
	client.pass(11 * time.Second)
	if s := client.stream(3); s.reset == nil || *s.reset != http2.ErrCodeNo || !cl.Idle() {
		t.Fatalf("after ten seconds the client got %+v", s)
	}
}

func TestCallsBeyondTheLimitAreAnsweredNotRefused(t *testing.T) {
	_, client, provider, _, _ := rig(t, Options{MaxCalls: 2})
	for i := range uint32(3) {
		client.request(1+2*i, "q")
	}
	client.send()
	all := client.read()
	want(t, all[5], "8", "too many")
	if len(all) != 1 || len(provider.read()) != 2 {
		t.Fatalf("the client got %+v", all)
	}
}

func TestAHeaderThatIsTooLargeIsAStatus(t *testing.T) {
	_, client, _, cl, _ := rig(t, Options{})
	client.request(1, "q", "a", strings.Repeat("a", 10000), "b", strings.Repeat("a", 5000), "c", strings.Repeat("a", 5000))
	client.request(3, "q")
	client.send()
	all := client.read()
	want(t, all[1], "8", "header")
	if cl.closed || all[3] != nil {
		t.Fatal("it had an effect on others")
	}
}

func TestAMessageThatIsTooLargeIsAStatus(t *testing.T) {
	_, client, _, cl, _ := rig(t, Options{WholeLimit: 1000})
	client.request(1, strings.Repeat("x", 2000))
	client.send()
	want(t, client.stream(1), "8", "too large")
	if cl.held != 0 || !cl.Idle() {
		t.Fatalf("%d bytes are held", cl.held)
	}
}

func TestRequestsThatWaitAreBounded(t *testing.T) {
	h, client, _, cl, _ := rig(t, Options{Held: 1000})
	h.call = func(*Call) {}
	for i := range uint32(3) {
		client.request(1+2*i, strings.Repeat("x", 400))
	}
	client.send()
	want(t, client.stream(5), "8", "waiting")
	if cl.held > 1000 {
		t.Fatalf("%d bytes are held", cl.held)
	}
}

func TestWhatIsNotGRPCIsAnsweredInHTTP(t *testing.T) {
	h, client, _, _, _ := rig(t, Options{})
	client.headers(1, true, ":method", "GET", ":scheme", "http", ":path", "/")
	client.headers(3, true, ":method", "POST", ":scheme", "http", ":path", "/", "content-type", "application/json")
	client.headers(5, true, ":method", "HEAD", ":scheme", "http", ":path", "/")
	client.send()
	all := client.read()
	for id, status := range map[uint32]string{1: "405", 3: "415", 5: "405"} {
		if s := all[id]; !s.ended || s.blocks[0][":status"] != status || s.reset != nil || (len(s.data) == 0) != (id == 5) {
			t.Errorf("stream %d: %+v", id, s)
		}
	}
	if h.calls != 0 {
		t.Error("the handler heard of it")
	}
}

func TestPingsAreAnswered(t *testing.T) {
	_, client, _, cl, _ := rig(t, Options{})
	client.fr.WritePing(false, [8]byte{1})
	client.send()
	if s := client.stream(0); s.acks != 1 || cl.closed {
		t.Fatalf("got %+v", s)
	}
}

func TestAbuseClosesTheConnection(t *testing.T) {
	for name, abuse := range map[string]func(e *end, i uint32){
		"rapid reset":        func(e *end, i uint32) { e.open(1 + 2*i); e.fr.WriteRSTStream(1+2*i, http2.ErrCodeCancel) },
		"malformed requests": func(e *end, i uint32) { e.headers(1+2*i, true, ":method", "POST") },
		"pings":              func(e *end, i uint32) { e.fr.WritePing(false, [8]byte{}) },
		"settings":           func(e *end, i uint32) { e.fr.WriteSettings() },
		"priorities":         func(e *end, i uint32) { e.fr.WriteRawFrame(2, 0, 1, []byte{0, 0, 0, 3, 1}) },
		"unknown frames":     func(e *end, i uint32) { e.fr.WriteRawFrame(77, 0, 0, nil) },
		"window updates":     func(e *end, i uint32) { e.fr.WriteWindowUpdate(0, 1) },
		"empty data": func(e *end, i uint32) {
			if i == 0 {
				e.open(1)
			}
			e.fr.WriteData(1, false, nil)
		},
		"continuations": func(e *end, i uint32) {
			if i == 0 {
				e.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
			}
			e.fr.WriteContinuation(1, false, nil)
		},
		"streams that never end": func(e *end, i uint32) { e.open(1 + 2*i) },
	} {
		t.Run(name, func(t *testing.T) {
			h, client, _, cl, _ := rig(t, Options{MaxCalls: 1000})
			for i := uint32(0); i < 60000 && !cl.closed; i++ {
				abuse(client, i)
				client.send()
			}
			gone(t, client, http2.ErrCodeEnhanceYourCalm)
			if h.calls != h.ends {
				t.Errorf("%d calls, %d ends", h.calls, h.ends)
			}
		})
	}
}

func TestAPeerThatDoesNotReadIsClosed(t *testing.T) {
	h, client, _, cl, _ := rig(t, Options{Backlog: 10000})
	h.call = func(c *Call) { c.Fail(codes.Unavailable, strings.Repeat("x", 100)) }
	client.m.stuck = true
	for i := uint32(0); i < 1000 && !cl.closed; i++ {
		client.request(1+2*i, "q")
		client.send()
	}
	if !cl.closed || client.m.Backlog() > 12000 {
		t.Fatalf("closed %v with %d bytes waiting", cl.closed, client.m.Backlog())
	}
}

func TestPingsOfAPeerThatDoesNotReadAreBounded(t *testing.T) {
	_, client, _, cl, _ := rig(t, Options{})
	client.m.stuck = true
	for i := 0; i < 2000 && !cl.closed; i++ {
		client.fr.WritePing(false, [8]byte{})
		client.send()
	}
	if !cl.closed || client.m.Backlog() > 32<<10 {
		t.Fatalf("closed %v with %d bytes waiting", cl.closed, client.m.Backlog())
	}
}

func TestHalfAPrefaceIsGivenTenSeconds(t *testing.T) {
	g := NewGroup(Options{Handler: &handler{}})
	e := newEnd(t, g)
	cl := g.Client(e.m)
	e.c = cl
	e.out.WriteString(preface[:10])
	e.send()
	e.pass(9 * time.Second)
	if cl.closed {
		t.Fatal("closed too early")
	}
	e.pass(2 * time.Second)
	gone(t, e, http2.ErrCodeSettingsTimeout)
}

func TestWhatIsNotHTTP2IsClosed(t *testing.T) {
	g := NewGroup(Options{Handler: &handler{}})
	e := newEnd(t, g)
	e.c = g.Client(e.m)
	e.out.WriteString("GET / HTTP/1.1\r\n")
	e.send()
	gone(t, e, http2.ErrCodeProtocol)
}

func TestADrainedConnectionClosesWhenItsLastCallHasEnded(t *testing.T) {
	_, client, provider, cl, _ := rig(t, Options{})
	client.request(1, "q")
	client.send()
	cl.Drain()
	if all := client.read(); len(all) != 0 {
		t.Fatalf("the client got %+v with a call in flight", all)
	}
	client.request(3, "q") // is served as ever
	client.send()
	provider.answer(1, "a")
	provider.answer(3, "a")
	provider.send()
	all := client.read()
	wantAnswer(t, all[1], "a")
	wantAnswer(t, all[3], "a")
	if s := all[0]; s.goaway == nil || *s.goaway != http2.ErrCodeNo || s.last != maxStreamID || s.pings != 1 || client.m.closed {
		t.Fatalf("at the idle moment the client got %+v", s)
	}
	client.request(5, "q") // crosses the news
	client.fr.WritePing(true, [8]byte{})
	client.send()
	if client.m.closed {
		t.Fatal("closed with a call in flight")
	}
	provider.answer(5, "a")
	provider.send()
	wantAnswer(t, client.read()[5], "a")
	if !client.m.closed {
		t.Fatal("not closed")
	}
}

func TestAnIdleConnectionThatDoesNotAnswerItsDrainIsClosedSoon(t *testing.T) {
	_, client, _, cl, _ := rig(t, Options{})
	cl.Drain()
	client.pass(4 * time.Second)
	gone(t, client, http2.ErrCodeNo)
}

func TestAnAnswerThatIsNotTakenEndsAtTheDeadline(t *testing.T) {
	_, client, provider, cl, _ := rig(t, Options{})
	client.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 3})
	client.request(1, "q", "grpc-timeout", "1S")
	client.send()
	provider.answer(1, "answer")
	provider.send()
	if s := client.read()[1]; len(s.data) != 3 || s.ended {
		t.Fatalf("got %+v", s)
	}
	client.pass(time.Second)
	if s := client.stream(1); !s.ended || s.reset != nil || s.status() != "4" {
		t.Fatalf("got %+v", s)
	}
	if cl.buffered != 0 || !cl.Idle() {
		t.Fatalf("%d bytes are left", cl.buffered)
	}
}

func TestRequestsThatAreMalformedAreReset(t *testing.T) {
	good := []string{":method", "POST", ":scheme", "http", ":path", "/a/b", "content-type", "application/grpc"}
	for name, fields := range map[string][]string{
		"capitals":        append(good[:8:8], "Abc", "x"),
		"late pseudo":     append(good[:8:8], ":authority", "x"),
		"no path":         good[:4],
		"twice":           append([]string{":path", "/x"}, good...),
		"of answers":      append([]string{":status", "200"}, good...),
		"connection":      append(good[:8:8], "connection", "close"),
		"te":              append(good[:8:8], "te", "gzip"),
		"a line break":    append(good[:8:8], "x", "a\r\nb"),
		"content-length":  append(good[:8:8], "content-length", "5"),
		"two lengths":     append(good[:8:8], "content-length", "0", "content-length", "1"),
		"space at an end": append(good[:8:8], "x", " a"),
	} {
		t.Run(name, func(t *testing.T) {
			h, client, _, cl, _ := rig(t, Options{})
			client.headers(1, true, fields...)
			client.send()
			if s := client.stream(1); s.reset == nil || *s.reset != http2.ErrCodeProtocol || cl.closed || h.calls != 0 {
				t.Fatalf("got %+v", s)
			}
		})
	}
}

func TestATimeoutThatIsNoneIsAStatus(t *testing.T) {
	_, client, _, _, _ := rig(t, Options{})
	client.request(1, "q", "grpc-timeout", "soon")
	client.send()
	want(t, client.stream(1), "13", "grpc-timeout")
}

func TestFramesOnStreamsThatAreOverMeanWhatTheirEndMeans(t *testing.T) {
	for name, c := range map[string]struct {
		closes, late func(e *end)  // closes nil: answered
		reset        http2.ErrCode // of the stream; otherwise the connection's
		goaway       http2.ErrCode
	}{
		"headers after both ends": {nil, func(e *end) { e.open(1) }, 0, http2.ErrCodeStreamClosed},
		"data after both ends":    {nil, func(e *end) { e.fr.WriteData(1, true, nil) }, http2.ErrCodeStreamClosed, 0},
		"headers after a reset":   {func(e *end) { e.fr.WriteRSTStream(1, 8) }, func(e *end) { e.open(1) }, http2.ErrCodeStreamClosed, 0},
		"a number left out":       {func(e *end) { e.open(5) }, func(e *end) { e.open(3) }, 0, http2.ErrCodeProtocol},
		"data after our reset":    {func(e *end) { e.fr.WriteWindowUpdate(1, 0) }, func(e *end) { e.fr.WriteData(1, true, nil) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h, client, _, cl, _ := rig(t, Options{})
			h.call = func(*Call) {}
			client.request(1, "q")
			client.send()
			if c.closes == nil {
				cl.streams[1].Reply(nil)
			} else {
				c.closes(client)
				client.send()
			}
			client.read()
			c.late(client)
			client.send()
			switch {
			case c.goaway != 0:
				gone(t, client, c.goaway)
			case c.reset != 0:
				if s := client.stream(1); s.reset == nil || *s.reset != c.reset || cl.closed {
					t.Fatalf("got %+v, closed %v", s, cl.closed)
				}
			default:
				if all := client.read(); len(all) != 0 || cl.closed {
					t.Fatalf("got %+v, closed %v", all, cl.closed)
				}
			}
		})
	}
}

func TestDataBeyondContentLengthIsGivenBackToTheWindowOfTheConnection(t *testing.T) {
	_, client, _, cl, _ := rig(t, Options{})
	client.headers(1, false, ":method", "POST", ":scheme", "http", ":path", "/a/b", "content-type", "application/grpc", "content-length", "5")
	client.fr.WriteData(1, false, make([]byte, 1000))
	client.send()
	if s := client.stream(1); s.reset == nil || cl.closed {
		t.Fatalf("got %+v", s)
	}
	if whole := int64(cl.group.o.ConnWindow); cl.recvWindow+cl.freed != whole {
		t.Errorf("%d bytes of the window are left, want %d", cl.recvWindow+cl.freed, whole)
	}
}
