package grpcrelay

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

func want(t *testing.T, s *got, code, text string) {
	t.Helper()
	if s == nil || !s.ended || s.reset != nil || len(s.data) != 0 || len(s.blocks) != 1 {
		t.Fatalf("want a trailers-only status, got %+v", s)
	}
	b := s.blocks[0]
	if b[":status"] != "200" || !isGRPC(b["content-type"]) || b["grpc-status"] != code || !strings.Contains(b["grpc-message"], text) {
		t.Fatalf("want status %s %q, got %v", code, text, b)
	}
}

func wantAnswer(t *testing.T, s *got, message string) {
	t.Helper()
	if s == nil || !s.ended || s.reset != nil || len(s.blocks) != 2 || s.status() != "0" || string(s.data) != string(framed(message)) {
		t.Fatalf("want the answer %q, got %+v", message, s)
	}
}

func TestAUnaryCallGoesToTheProviderAndItsAnswerBack(t *testing.T) {
	h, client, provider, _, p := rig(t, Options{})
	var o Outcome
	h.forwarded = func(_ *Call, out Outcome) { out.Message = append([]byte(nil), out.Message...); o = out }
	for i := range uint32(5) { // blocks come from the caches in the end
		id := 1 + 2*i
		client.request(id, "question", "grpc-timeout", "5S")
		client.send()
		s := provider.stream(id)
		if len(s.blocks) != 1 || string(s.data) != string(framed("question")) || !s.ended {
			t.Fatalf("call %d: the provider got %+v", i, s)
		}
		b := s.blocks[0]
		for name, value := range map[string]string{":path": hookPath, ":method": "POST", ":scheme": "http", ":authority": "hooks:9000",
			"te": "trailers", "grpc-encoding": "identity", "user-agent": "grpc-erlang/0.1.0"} {
			if b[name] != value {
				t.Errorf("call %d: %s is %q at the provider", i, name, b[name])
			}
		}
		if d, ok := parseTimeout(b["grpc-timeout"]); !ok || d > 5*time.Second-50*time.Millisecond || d < 4*time.Second {
			t.Errorf("the provider is told a timeout of %q", b["grpc-timeout"])
		}
		provider.answer(id, "answer")
		provider.send()
		wantAnswer(t, client.stream(id), "answer")
		if o.Code != codes.OK || !o.Answered || !o.Sent || o.Unprocessed || string(o.Message) != "answer" || o.Provider != p {
			t.Fatalf("outcome is %+v", o)
		}
	}
	if h.calls != 5 || h.ends != 5 {
		t.Fatalf("%d calls, %d ends", h.calls, h.ends)
	}
}

// Everything that a provider may do wrong must be a trailers-only status for EMQX.
func TestWhateverAProviderDoesWrongIsATrailersOnlyStatus(t *testing.T) {
	head := []string{":status", "200", "content-type", "application/grpc"}
	for name, c := range map[string]struct {
		does        func(p *end)
		code        string
		unprocessed bool
	}{
		"trailers-only":        {func(p *end) { p.headers(1, true, append(head, "grpc-status", "7", "grpc-message", "no")...) }, "7", false},
		"trailers-only OK":     {func(p *end) { p.headers(1, true, append(head, "grpc-status", "0")...) }, "13", false},
		"OK without a message": {func(p *end) { p.headers(1, false, head...); p.headers(1, true, "grpc-status", "0") }, "13", false},
		"a message, then an error": {func(p *end) {
			p.headers(1, false, head...)
			p.fr.WriteData(1, false, framed("x"))
			p.headers(1, true, "grpc-status", "9")
		}, "9", false},
		"half a message": {func(p *end) {
			p.headers(1, false, head...)
			p.fr.WriteData(1, false, framed("xyz")[:6])
			p.headers(1, true, "grpc-status", "0")
		}, "13", false},
		"two messages": {func(p *end) {
			p.headers(1, false, head...)
			p.fr.WriteData(1, false, append(framed("x"), framed("y")...))
			p.headers(1, true, "grpc-status", "0")
		}, "13", false},
		"a compressed message": {func(p *end) {
			p.headers(1, false, head...)
			p.fr.WriteData(1, false, []byte{1, 0, 0, 0, 1, 'x'})
			p.headers(1, true, "grpc-status", "0")
		}, "13", false},
		"no trailers": {func(p *end) { p.headers(1, false, head...); p.fr.WriteData(1, true, framed("x")) }, "13", false},
		"no grpc-status": {func(p *end) {
			p.headers(1, false, head...)
			p.fr.WriteData(1, false, framed("x"))
			p.headers(1, true, "a", "b")
		}, "2", false},
		"a strange grpc-status": {func(p *end) { p.headers(1, true, append(head, "grpc-status", "99")...) }, "2", false},
		"HTML 502": {func(p *end) {
			p.headers(1, false, ":status", "502", "content-type", "text/html")
			p.fr.WriteData(1, true, []byte("<html>"))
		}, "14", false},
		"HTTP 404":               {func(p *end) { p.headers(1, true, ":status", "404") }, "12", false},
		"200 with HTML":          {func(p *end) { p.headers(1, false, ":status", "200", "content-type", "text/html") }, "2", false},
		"data before a header":   {func(p *end) { p.fr.WriteData(1, false, framed("x")) }, "13", false},
		"refused":                {func(p *end) { p.fr.WriteRSTStream(1, http2.ErrCodeRefusedStream) }, "14", true},
		"cancelled":              {func(p *end) { p.fr.WriteRSTStream(1, http2.ErrCodeCancel) }, "1", false},
		"calm":                   {func(p *end) { p.fr.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm) }, "8", false},
		"insecure":               {func(p *end) { p.fr.WriteRSTStream(1, http2.ErrCodeInadequateSecurity) }, "7", false},
		"reset without an error": {func(p *end) { p.fr.WriteRSTStream(1, http2.ErrCodeNo) }, "13", false},
		"reset in the answer": {func(p *end) {
			p.headers(1, false, head...)
			p.fr.WriteData(1, false, framed("x"))
			p.fr.WriteRSTStream(1, 2)
		}, "13", false},
		"going away, not acted on":    {func(p *end) { p.fr.WriteGoAway(0, 0, nil) }, "14", true},
		"garbage":                     {func(p *end) { p.out.WriteString("HTTP/1.1 400 Bad Request\r\n\r\n                 ") }, "14", false},
		"a frame too large":           {func(p *end) { p.fr.WriteRawFrame(0, 0, 1, make([]byte, maxFrame+1)) }, "14", false},
		"a block that is none":        {func(p *end) { p.fr.WriteRawFrame(1, 4, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) }, "14", false},
		"headers with capitals":       {func(p *end) { p.headers(1, false, append(head, "Up", "x")...) }, "13", false},
		"an interim status that ends": {func(p *end) { p.headers(1, true, ":status", "100") }, "13", false},
		"too large a header": {func(p *end) {
			p.headers(1, false, append(head, "x", strings.Repeat("a", 16300), "y", strings.Repeat("b", 300))...)
		}, "13", false},
		"push": {func(p *end) { p.fr.WriteRawFrame(5, 4, 1, []byte{0, 0, 0, 2}) }, "14", false},
	} {
		t.Run(name, func(t *testing.T) {
			h, client, provider, cl, _ := rig(t, Options{})
			var o Outcome
			h.forwarded = func(_ *Call, out Outcome) { o = out }
			client.request(1, "q")
			client.send()
			provider.read()
			c.does(provider)
			provider.send()
			want(t, client.stream(1), c.code, "")
			if o.Unprocessed != c.unprocessed || o.Begun || codeText(o.Code) != c.code {
				t.Errorf("outcome is %+v", o)
			}
			if h.ends != 1 || !cl.Idle() || cl.held != 0 || cl.buffered != 0 {
				t.Errorf("left over: %d ends, %s", h.ends, cl)
			}
		})
	}
}

func TestAnInterimStatusIsIgnored(t *testing.T) {
	_, client, provider, _, _ := rig(t, Options{})
	client.request(1, "q")
	client.send()
	provider.headers(1, false, ":status", "103")
	provider.answer(1, "a")
	provider.send()
	wantAnswer(t, client.stream(1), "a")
}

func TestAProviderThatIsLostBeforeAnythingWasWrittenHasNotActedOnIt(t *testing.T) {
	for _, stuck := range []bool{true, false} {
		h, client, provider, _, p := rig(t, Options{})
		var o Outcome
		h.forwarded = func(_ *Call, out Outcome) { o = out }
		provider.m.stuck = stuck
		client.request(1, "q")
		client.send()
		p.Ended(nil)
		want(t, client.stream(1), "14", "lost")
		if o.Unprocessed != stuck || o.Sent == stuck {
			t.Errorf("with a socket that is full=%v: %+v", stuck, o)
		}
	}
}

func TestAFailedForwardIsTriedElsewhereUnseenByTheClient(t *testing.T) {
	for name, path := range map[string]string{"whole": hookPath, "passing": "/a.B/C"} {
		t.Run(name, func(t *testing.T) {
			h, client, first, _, p := rig(t, Options{})
			second, p2 := aProvider(t, client.g)
			second.read()
			h.call = func(c *Call) { c.Forward(p, ForwardOptions{}) }
			h.forwarded = func(c *Call, o Outcome) {
				if o.Provider == p {
					if err := c.Forward(p2, ForwardOptions{Path: "/other/path"}); err != nil {
						t.Error(err)
					}
				}
			}
			client.headers(1, false, ":method", "POST", ":scheme", "http", ":path", path, "content-type", "application/grpc")
			client.fr.WriteData(1, false, framed("que")[:4])
			client.fr.WriteData(1, true, framed("que")[4:])
			client.send()
			if s := first.stream(1); string(s.data) != string(framed("que")) {
				t.Fatalf("the first got %+v", s)
			}
			first.headers(1, true, ":status", "503")
			first.send()
			s := second.stream(1)
			if string(s.data) != string(framed("que")) || !s.ended || s.blocks[0][":path"] != "/other/path" || s.blocks[0][":authority"] != "provider" {
				t.Fatalf("the second got %+v", s)
			}
			second.answer(1, "a")
			second.send()
			wantAnswer(t, client.stream(1), "a")
		})
	}
}

func TestOfTwoForwardsTheFirstGoodAnswerWins(t *testing.T) {
	for name, failFirst := range map[string]bool{"both good": false, "one fails": true} {
		t.Run(name, func(t *testing.T) {
			h, client, first, _, p := rig(t, Options{})
			second, p2 := aProvider(t, client.g)
			second.read()
			cancelled := 0
			h.call = func(c *Call) { c.Forward(p, ForwardOptions{}); c.Wake(20 * time.Millisecond) }
			h.woken = func(c *Call) { c.Forward(p2, ForwardOptions{}) }
			h.forwarded = func(c *Call, o Outcome) {
				if o.Cancelled {
					cancelled++
				}
			}
			client.request(1, "q", "grpc-timeout", "5S")
			client.send()
			client.pass(30 * time.Millisecond)
			if s := second.stream(1); string(s.data) != string(framed("q")) {
				t.Fatalf("the second got %+v", s)
			}
			if failFirst {
				first.fr.WriteRSTStream(1, http2.ErrCodeInternal)
				first.send()
				if s := client.stream(1); s.ended {
					t.Fatalf("the client got %+v while one forward is under way", s)
				}
			}
			second.answer(1, "fast")
			second.send()
			wantAnswer(t, client.stream(1), "fast")
			if s := first.stream(1); !failFirst && (s.reset == nil || *s.reset != http2.ErrCodeCancel) {
				t.Errorf("the slower was not cancelled: %+v", s)
			}
			if want := map[bool]int{false: 1, true: 0}[failFirst]; cancelled != want {
				t.Errorf("%d forwards were told to be cancelled", cancelled)
			}
			first.answer(1, "slow")
			first.send()
			if all := client.read(); len(all) != 0 {
				t.Errorf("the client got more: %+v", all)
			}
		})
	}
}

func TestAReplyWithoutBytesIsStillAMessage(t *testing.T) {
	h, client, _, _, _ := rig(t, Options{})
	h.call = func(c *Call) { c.Reply(nil) }
	client.request(1, "q")
	client.send()
	wantAnswer(t, client.stream(1), "")
}

func TestFailNeverSaysOK(t *testing.T) {
	h, client, _, _, _ := rig(t, Options{})
	h.call = func(c *Call) { c.Fail(codes.OK, "100 % é\n") }
	client.request(1, "q")
	client.send()
	want(t, client.stream(1), "13", "100 %25 %C3%A9%0A")
}

func TestACallEndsBeforeTheClientsDeadline(t *testing.T) {
	h, client, provider, cl, _ := rig(t, Options{})
	late := 0
	h.late = func(c *Call) { late++ }
	client.request(1, "q", "grpc-timeout", "1S")
	client.send()
	client.pass(900 * time.Millisecond)
	if s := client.stream(1); s.ended {
		t.Fatalf("too early: %+v", s)
	}
	client.pass(80 * time.Millisecond)
	want(t, client.stream(1), "4", "deadline")
	if s := provider.read()[1]; s.reset == nil || *s.reset != http2.ErrCodeCancel {
		t.Fatalf("the provider was not told: %+v", s)
	}
	if late != 1 || h.ends != 1 || !cl.Idle() {
		t.Fatalf("late %d, ends %d", late, h.ends)
	}
}

func TestTheHandlerMayStillAnswerWhenTimeIsUp(t *testing.T) {
	h, client, _, _, _ := rig(t, Options{})
	h.call = func(c *Call) {} // waits in a queue of the handler
	h.late = func(c *Call) { c.Reply([]byte("fallback")) }
	client.request(1, "q", "grpc-timeout", "1S")
	client.send()
	client.pass(time.Second)
	wantAnswer(t, client.stream(1), "fallback")
}

func TestAForwardMayHaveLessTimeThanItsCall(t *testing.T) {
	h, client, first, _, p := rig(t, Options{})
	second, p2 := aProvider(t, client.g)
	second.read()
	h.call = func(c *Call) { c.Forward(p, ForwardOptions{Timeout: 100 * time.Millisecond}) }
	h.forwarded = func(c *Call, o Outcome) {
		if o.Provider == p && o.Code == codes.DeadlineExceeded {
			c.Forward(p2, ForwardOptions{})
		}
	}
	client.request(1, "q", "grpc-timeout", "5S")
	client.send()
	if d, _ := parseTimeout(first.stream(1).blocks[0]["grpc-timeout"]); d > 100*time.Millisecond {
		t.Errorf("the provider was told %v", d)
	}
	client.pass(120 * time.Millisecond)
	second.answer(1, "a")
	second.send()
	wantAnswer(t, client.stream(1), "a")
}

func TestACallOfOurOwnHasItsAnswer(t *testing.T) {
	h, _, provider, _, p := rig(t, Options{})
	var answers []Answer
	call := func(timeout time.Duration) {
		err := p.group.Call(p, OwnCall{Header: NewHeader("/a.B/C", ""), Message: []byte("q"), Timeout: timeout, Done: func(a Answer) {
			a.Message = append([]byte(nil), a.Message...)
			answers = append(answers, a)
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	call(0)
	call(time.Second)
	call(time.Second)
	all := provider.read()
	if string(all[1].data) != string(framed("q")) || !all[1].ended || all[1].blocks[0][":authority"] != "provider" || all[1].blocks[0]["content-type"] != "application/grpc" {
		t.Fatalf("the provider got %+v", all[1])
	}
	provider.answer(1, "a")
	provider.headers(3, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "5", "grpc-message", "caf%C3%A9")
	provider.send()
	provider.pass(1100 * time.Millisecond)
	if len(answers) != 3 || string(answers[0].Message) != "a" || answers[1].Code != 5 || answers[1].Text != "café" || answers[2].Code != codes.DeadlineExceeded {
		t.Fatalf("answers: %+v", answers)
	}
	if h.calls != 0 || p.InFlight() != 0 || p.group.Calls() != 0 {
		t.Fatal("something is left over")
	}
}

func TestACancelledCallIsCancelledAtTheProvider(t *testing.T) {
	h, client, provider, cl, p := rig(t, Options{})
	var e End
	h.ended = func(_ *Call, end End) { e = end }
	client.request(1, "q")
	client.send()
	provider.read()
	client.fr.WriteRSTStream(1, http2.ErrCodeCancel)
	client.send()
	if s := provider.stream(1); s.reset == nil || *s.reset != http2.ErrCodeCancel {
		t.Fatalf("the provider got %+v", s)
	}
	client.request(3, "q")
	client.send()
	provider.read()
	cl.Ended(nil)
	if s := provider.stream(3); s.reset == nil {
		t.Fatalf("the provider got %+v", s)
	}
	if !e.Cancelled || h.ends != 2 || p.InFlight() != 0 || cl.held != 0 {
		t.Fatalf("%+v, %d ends", e, h.ends)
	}
}

func TestAProviderThatAnswersEarlyIsToldThatTheRestIsNotComing(t *testing.T) {
	_, client, provider, _, _ := rig(t, Options{Whole: func(string) bool { return false }})
	client.open(1)
	client.send()
	provider.headers(1, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "3")
	provider.send()
	want(t, client.stream(1), "3", "")
	if s := provider.stream(1); s.reset == nil || *s.reset != http2.ErrCodeNo {
		t.Fatalf("the provider got %+v", s)
	}
}
