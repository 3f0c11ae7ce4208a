package hooks

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func startProvider(t *testing.T, addr string) *Provider {
	t.Helper()
	p, err := StartProvider(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// results are of calls that were made one after the other.
type results []Result

func startNode(t *testing.T, addr string) (*Node, *results) {
	t.Helper()
	all := &results{}
	n, err := NewNode(NodeOptions{Addr: addr, Name: "node", Began: func() {}, Ended: func(r Result) { *all = append(*all, r) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n, all
}

// impostor answers every call the same.
func impostor(t *testing.T, answer func(stream grpc.ServerStream) ([]byte, error)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.ForceServerCodec(codec{}), grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		b, err := answer(stream)
		if err != nil {
			return err
		}
		return stream.SendMsg(&b)
	}))
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		<-ended
	})
	return l.Addr().String()
}

func TestANodeIsAnsweredWellAndTheProviderKnowsItsClients(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	n, all := startNode(t, p.Addr())
	n.Load()
	n.Connected("a")
	n.Published("b", "some/topic", []byte{0, 255, 0}, 2)
	var methods []string
	for _, r := range *all {
		methods = append(methods, r.Method)
		if r.Err != nil || r.Ignored || r.Took <= 0 {
			t.Errorf("%+v", r)
		}
	}
	if want := []string{loaded, authenticate, connected, publish}; !slices.Equal(methods, want) {
		t.Errorf("calls %q, want %q", methods, want)
	}
	h := p.Heard()
	if h.Calls != 3 || h.Early != 0 || h.Nodes["node"] != 1 || len(h.Nodes) != 1 {
		t.Errorf("%+v", h)
	}
	if len(h.Clients) != 2 || h.Clients["a"].IsZero() || !h.Clients["b"].After(h.Clients["a"]) {
		t.Errorf("clients %v", h.Clients)
	}
}

func TestCallsBeforeOnProviderLoadedOfTheirNodeAreEarly(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	n, _ := startNode(t, p.Addr())
	n.Connected("a")
	n.Load()
	n.Connected("a")
	if h := p.Heard(); h.Early != 2 || h.Calls != 4 {
		t.Errorf("%d of %d early, want 2 of 4", h.Early, h.Calls)
	}
}

func TestAProviderThatWasKilledComesBackOnItsAddressAndKnowsNothing(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	n, all := startNode(t, p.Addr())
	n.Load()
	p.Kill()
	p.Kill()
	n.Published("a", "t", nil, 0)
	if r := (*all)[1]; status.Code(r.Err) != codes.Unavailable {
		t.Errorf("with nobody there: %+v", r)
	}
	p = startProvider(t, p.Addr())
	if h := p.Heard(); h.Calls != 0 || len(h.Nodes) != 0 {
		t.Errorf("%+v", h)
	}
}

func TestANodeTakesNoAnswerThatIsNotWhatItShouldBe(t *testing.T) {
	other := text(text(nil, 1, "node"), 6, "another payload")
	for name, test := range map[string]struct {
		answer []byte
		call   func(*Node)
		want   string
	}{
		"a hook is missing":         {text(nil, 1, text(nil, 1, "message.publish")), (*Node).Load, "not the hooks"},
		"no hooks":                  {nil, (*Node).Load, "not the hooks"},
		"refused":                   {number(number(nil, typeField, stopAndReturn), boolField, 0), connects, "not let in"},
		"nobody decides":            {number(nil, typeField, ignore), connects, "not let in"},
		"a message that is empty":   {nil, publishes, "came back changed"},
		"a message that is another": {text(number(nil, typeField, stopAndReturn), messageField, other), publishes, "came back changed"},
	} {
		t.Run(name, func(t *testing.T) {
			n, all := startNode(t, impostor(t, func(grpc.ServerStream) ([]byte, error) { return test.answer, nil }))
			test.call(n)
			if r := (*all)[0]; r.Err == nil || !strings.Contains(r.Err.Error(), test.want) || r.Ignored {
				t.Errorf("%+v, want %q", r, test.want)
			}
		})
	}
}

func connects(n *Node)  { n.Connected("client") }
func publishes(n *Node) { n.Published("client", "topic", []byte("payload"), 1) }

func TestAMessageThatNobodyHadAnOpinionOfIsIgnored(t *testing.T) {
	n, all := startNode(t, impostor(t, func(grpc.ServerStream) ([]byte, error) { return number(nil, typeField, ignore), nil }))
	publishes(n)
	if r := (*all)[0]; r.Err != nil || !r.Ignored {
		t.Errorf("%+v", r)
	}
}

func TestClosingANodeEndsItsCalls(t *testing.T) {
	called := make(chan struct{})
	addr := impostor(t, func(s grpc.ServerStream) ([]byte, error) {
		close(called)
		<-s.Context().Done()
		return nil, context.Canceled
	})
	var began atomic.Int32
	ended := make(chan Result, 1)
	n, err := NewNode(NodeOptions{Addr: addr, Began: func() { began.Add(1) }, Ended: func(r Result) { ended <- r }})
	if err != nil {
		t.Fatal(err)
	}
	go n.Load()
	<-called
	n.Close()
	select {
	case r := <-ended:
		if !errors.Is(r.Err, ErrClosed) || began.Load() != 1 {
			t.Errorf("%+v after %d began", r, began.Load())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func TestAHookThatIsNotRegisteredIsNotServed(t *testing.T) {
	p := startProvider(t, "127.0.0.1:0")
	n, all := startNode(t, p.Addr())
	n.call("OnSessionCreated", nil, func([]byte) (bool, error) { return false, nil })
	if r := (*all)[0]; status.Code(r.Err) != codes.Unimplemented {
		t.Errorf("%+v", r)
	}
}

func FuzzAnyRequestIsAnsweredAndAnyAnswerRead(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(text(nil, 1, text(text(nil, 1, "node"), 2, "client")))
	f.Add([]byte{0x0a, 0x7f})
	f.Add([]byte{0x08, 0x02, 0x18, 0x01, 0x0d, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := &Provider{heard: Heard{Nodes: make(map[string]int), Clients: make(map[string]time.Time)}}
		for _, method := range []string{loaded, authenticate, connected, publish} {
			answer, err := p.answer(method, b, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if method == publish {
				if kind, _, message := valued(answer); kind != stopAndReturn || string(message) != string(within(b, 1)) {
					t.Errorf("%x came back as %x", b, answer)
				}
			}
		}
		registers(b)
		valued(b)
	})
}
