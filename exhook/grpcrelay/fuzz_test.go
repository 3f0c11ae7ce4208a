package grpcrelay

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
)

// ledger is a handler that checks that each call and each forward ends once.
type ledger struct {
	t        testing.TB
	calls    map[*Call]int // forwards under way
	provider [2]*Provider
	does     []byte // what to do next
	began    int
}

func (l *ledger) next() byte {
	if len(l.does) == 0 {
		return 0
	}
	b := l.does[0]
	l.does = l.does[1:]
	return b
}

func (l *ledger) act(c *Call) {
	switch b := l.next(); b % 8 {
	case 0, 1, 2:
		l.forward(c, int(b>>3))
	case 3:
		l.forward(c, 0)
		l.forward(c, 1)
	case 4:
		c.Reply([]byte{b})
	case 5:
		c.Fail(codes.Code(b), "no")
	case 6:
		c.Hold()
		c.Wake(time.Duration(b) * time.Millisecond)
	}
}

func (l *ledger) forward(c *Call, i int) {
	if c.Forward(l.provider[i%2], ForwardOptions{Timeout: time.Duration(i) * time.Millisecond}) == nil {
		l.calls[c]++
	}
}

func (l *ledger) Call(c *Call) {
	if _, twice := l.calls[c]; twice {
		l.t.Fatal("a call began twice")
	}
	l.calls[c] = 0
	l.began++
	l.act(c)
}

func (l *ledger) Forwarded(c *Call, o Outcome) {
	if l.calls[c]--; l.calls[c] < 0 {
		l.t.Fatal("a forward ended that had not begun, or after its call")
	}
	l.act(c)
}

func (l *ledger) Woken(c *Call) { l.alive(c); l.act(c) }
func (l *ledger) Late(c *Call)  { l.alive(c); l.act(c) }

func (l *ledger) alive(c *Call) {
	if _, ok := l.calls[c]; !ok {
		l.t.Fatal("a call is heard of after its end")
	}
}

func (l *ledger) Ended(c *Call, e End) {
	l.alive(c)
	if l.calls[c] != 0 {
		l.t.Fatal("a call ended before its forwards")
	}
	delete(l.calls, c)
}

// fuzzGroup is a group with one client and two providers.
func fuzzGroup(t testing.TB, does []byte) (*ledger, *end, *Client, [2]*end) {
	l := &ledger{t: t, calls: map[*Call]int{}, does: does}
	g := NewGroup(Options{
		Handler: l, Whole: func(path string) bool { return path == hookPath },
		StreamWindow: firstWindow, ConnWindow: 2 * firstWindow, MaxCalls: 8, KeepRequest: 100, Ahead: 2000, AnswerLimit: 3000, WholeLimit: 3000,
	})
	client, cl := aClient(t, g)
	var ends [2]*end
	for i := range ends {
		ends[i], l.provider[i] = aProvider(t, g)
	}
	return l, client, cl, ends
}

func (l *ledger) settle(client *end, cl *Client, ends [2]*end) {
	l.t.Helper()
	for _, e := range append(ends[:], client) {
		if !e.m.closed && e.m.Backlog() > 1<<20 {
			l.t.Fatalf("%d bytes are queued", e.m.Backlog())
		}
	}
	for _, s := range cl.waiting[cl.waitHead:] {
		if c := s.(*Call); c.over || !c.waiting {
			l.t.Fatal("a call that is over waits to send")
		}
	}
	l.does = nil
	wasClosed := cl.closed
	cl.Ended(nil)
	if have := cl.recvWindow + cl.freed; !wasClosed && have != int64(client.g.o.ConnWindow) {
		l.t.Fatalf("of the connection's window %d are left", have)
	}
	if len(l.calls) != 0 || cl.held != 0 || cl.buffered != 0 || cl.live != 0 || len(cl.streams) != 0 {
		l.t.Fatalf("left over: %d calls, %d held, %d buffered, %d live, %d streams", len(l.calls), cl.held, cl.buffered, cl.live, len(cl.streams))
	}
	for i, p := range l.provider {
		if len(p.streams) != 0 || p.waitHead != len(p.waiting) {
			l.t.Fatalf("provider %d has %d streams, %d waiting", i, len(p.streams), len(p.waiting)-p.waitHead)
		}
	}
	client.g.Flush()
	for i := range client.g.wheel.slot {
		if client.g.wheel.slot[i] != nil {
			l.t.Fatal("a call is left on the wheel")
		}
	}
}

// seeds are conversations to start from.
func seeds(t testing.TB) (requests, answers []byte) {
	_, client, provider, _, _ := rig(t, Options{})
	client.request(1, "hello", "grpc-timeout", "1S")
	client.open(3)
	client.fr.WriteData(3, false, make([]byte, 300))
	client.fr.WriteRSTStream(3, 8)
	client.fr.WritePing(false, [8]byte{})
	client.fr.WriteSettings(http2.Setting{ID: 4, Val: 10})
	client.fr.WriteWindowUpdate(0, 1000)
	provider.answer(1, "hello")
	provider.fr.WriteGoAway(1, 0, nil)
	return client.out.Bytes(), provider.out.Bytes()
}

func FuzzClientReceive(f *testing.F) {
	requests, _ := seeds(f)
	f.Add(requests, []byte{0}, uint8(7))
	f.Add(requests, []byte{4, 5}, uint8(0))
	f.Fuzz(func(t *testing.T, in, does []byte, cut uint8) {
		l, client, cl, ends := fuzzGroup(t, does)
		for len(in) > 0 {
			n := min(len(in), int(cut)+1)
			cl.Receive(in[:n])
			in = in[n:]
			client.g.Flush()
		}
		client.pass(100 * time.Millisecond)
		l.settle(client, cl, ends)
	})
}

func FuzzProviderReceive(f *testing.F) {
	_, answers := seeds(f)
	f.Add(answers, []byte{0}, uint8(7))
	f.Add(answers, []byte{3}, uint8(0))
	f.Fuzz(func(t *testing.T, in, does []byte, cut uint8) {
		l, client, cl, ends := fuzzGroup(t, does)
		client.request(1, "whole")
		client.headers(3, false, ":method", "POST", ":scheme", "http", ":path", "/a/b", "content-type", "application/grpc")
		client.send()
		own := 0
		if client.g.Call(l.provider[0], OwnCall{Header: NewHeader("/x/y", ""), Done: func(Answer) { own++ }}) == nil {
			own--
		}
		for len(in) > 0 {
			n := min(len(in), int(cut)+1)
			l.provider[0].Receive(in[:n])
			in = in[n:]
			client.g.Flush()
		}
		l.provider[0].Ended(nil)
		if own != 0 {
			t.Fatal("a call of our own did not end once")
		}
		l.settle(client, cl, ends)
	})
}

// FuzzConversation plays frames that are well-formed, in any order, on all sides.
func FuzzConversation(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), []byte{0, 3})
	f.Add(bytes.Repeat([]byte{0, 10, 20, 30, 40, 50}, 20), []byte{0, 3, 6, 1})
	f.Fuzz(converse)
}

func TestConversationsOfAllSortsEndEachCallOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 3000 {
		script, does := make([]byte, 2*r.IntN(100)), make([]byte, r.IntN(50))
		for i := range script {
			script[i] = byte(r.Uint32())
		}
		for i := range does {
			does[i] = byte(r.Uint32())
		}
		converse(t, script, does)
	}
}

func converse(t *testing.T, script, does []byte) {
	l, client, cl, ends := fuzzGroup(t, does)
	id := uint32(1)
	for len(script) >= 2 {
		op, x := script[0], script[1]
		script = script[2:]
		side := ends[int(op)&1]
		// Mostly streams that exist: others end the connection.
		on := uint32(x%16)%max(id/2, 1)*2 + 1
		if sent := l.provider[int(op)&1].nextID / 2; op>>1%20 >= 9 && sent > 0 {
			on = uint32(x%16)%sent*2 + 1
		}
		switch op >> 1 % 20 {
		case 0, 1, 2:
			client.request(id, string(make([]byte, x)), "grpc-timeout", "9m")
			id += 2
		case 3, 4:
			client.headers(id, x&1 != 0, ":method", "POST", ":scheme", "http", ":path", "/a/b", "content-type", "application/grpc")
			id += 2
		case 5:
			client.fr.WriteData(on, x&64 != 0, make([]byte, int(x)*20))
		case 6:
			client.fr.WriteRSTStream(on, 8)
		case 7:
			client.fr.WriteWindowUpdate(on, uint32(x)+1)
		case 8:
			client.fr.WriteSettings(http2.Setting{ID: 4, Val: uint32(x) * 10})
		case 9, 10:
			side.answer(on, string(make([]byte, x)))
		case 11:
			side.headers(on, false, ":status", "200", "content-type", "application/grpc")
		case 12:
			side.fr.WriteData(on, x&64 != 0, make([]byte, int(x)*20))
		case 13:
			side.headers(on, true, "grpc-status", "0")
		case 14:
			side.fr.WriteRSTStream(on, 7)
		case 15:
			side.fr.WriteSettings(http2.Setting{ID: 4, Val: uint32(x) * 10}, http2.Setting{ID: 3, Val: uint32(x % 8)})
		case 16:
			client.pass(time.Duration(x) * time.Millisecond)
		case 17:
			for _, e := range []*end{client, side} {
				if e.m.stuck = !e.m.stuck; !e.m.stuck {
					e.m.sent = len(e.m.b)
					e.c.Resume()
				}
			}
		case 18:
			switch x % 16 {
			case 0:
				side.fr.WriteGoAway(on, 0, nil)
			case 1:
				cl.Drain()
			case 2:
				side.c.Ended(nil)
			}
		case 19:
			side.fr.WriteWindowUpdate(on*uint32(x&1), uint32(x)+1)
		}
		client.send()
		side.send()
	}
	client.read() // all of it must be frames
	ends[0].read()
	ends[1].read()
	l.settle(client, cl, ends)
}
