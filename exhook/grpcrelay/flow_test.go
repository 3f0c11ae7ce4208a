package grpcrelay

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2"
)

// Two far ends with windows of every size, sockets that are full now and then, and
// bytes cut anywhere: whatever happens, each stream must get exactly its bytes, no
// window may be overrun, and what is buffered is bounded.
func TestStreamsKeepToTheWindowsOfBothSides(t *testing.T) {
	for seed := range uint64(30) {
		flowRound(t, rand.New(rand.NewPCG(seed, 5)))
	}
}

// flowSide is what a far end has sent and may send.
type flowSide struct {
	*end
	window  int64            // of the connection, for what the far end sends
	windows map[uint32]int64 // of streams
	given   int64            // what the group may send still
	gave    map[uint32]int64
	data    map[uint32]*bytes.Buffer // that came
	ends    map[uint32]bool
}

func flowRound(t *testing.T, r *rand.Rand) {
	o := Options{Whole: func(string) bool { return false }, StreamWindow: 128 << 10, ConnWindow: 256 << 10, Ahead: 32 << 10, KeepRequest: r.IntN(2) * 8000}
	_, ce, pe, cl, p := rig(t, o)
	initial := uint32(r.IntN(3) * r.IntN(70000))
	sides := [2]*flowSide{}
	for i, e := range []*end{ce, pe} {
		sides[i] = &flowSide{end: e, window: int64(o.ConnWindow), windows: map[uint32]int64{}, given: firstWindow,
			gave: map[uint32]int64{}, data: map[uint32]*bytes.Buffer{}, ends: map[uint32]bool{}}
		e.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: initial})
		e.send()
		e.read()
	}
	const streams = 5
	recv := [2]int64{int64(o.StreamWindow), int64(o.StreamWindow) / 2}
	var payload [2][streams][]byte
	for i := range streams {
		for s := range 2 {
			payload[s][i] = make([]byte, r.IntN(400000))
			for j := range payload[s][i] {
				payload[s][i][j] = byte(r.Uint32())
			}
			sides[s].windows[uint32(1+2*i)] = recv[s]
			sides[s].gave[uint32(1+2*i)] = int64(initial)
			sides[s].data[uint32(1+2*i)] = &bytes.Buffer{}
		}
		ce.open(uint32(1 + 2*i))
	}
	ce.send()
	for i := range streams {
		pe.headers(uint32(1+2*i), false, ":status", "200", "content-type", "application/grpc")
	}
	pe.send()
	var sent [2][streams]int
	for turn := 0; ; turn++ {
		if turn > 200000 {
			t.Fatalf("no end: %s, %+v", cl, sent)
		}
		finished := true
		for s, side := range sides {
			side.m.stuck = r.IntN(4) == 0
			if !side.m.stuck {
				side.m.sent = len(side.m.b)
				side.c.Resume()
				side.g.Flush()
			}
			collect(t, side)
			for i := range streams {
				id := uint32(1 + 2*i)
				left := payload[s][i][sent[s][i]:]
				if sent[s][i] >= 0 && (len(left) > 0 || !side.ends[id+1<<16]) {
					n := min(int64(len(left)), int64(r.IntN(maxFrame+1)), side.windows[id], side.window)
					last := n == int64(len(left))
					if s == 0 && (n > 0 || last) {
						side.fr.WriteData(id, last, left[:n])
					} else if s == 1 && n > 0 {
						side.fr.WriteData(id, false, left[:n])
					}
					if s == 1 && last {
						// An answer must not end before its request, or the rest is dropped.
						if last = side.ends[id]; last {
							side.headers(id, true, "grpc-status", "0")
						}
					}
					side.ends[id+1<<16] = last
					sent[s][i] += int(n)
					side.windows[id] -= n
					side.window -= n
				}
				if r.IntN(3) == 0 && side.gave[id] < 50000 && !side.ends[id] {
					n := 1 + r.IntN(60000)
					side.fr.WriteWindowUpdate(id, uint32(n))
					side.gave[id] += int64(n)
				}
			}
			if r.IntN(3) == 0 && side.given < 100000 {
				n := 1 + r.IntN(100000)
				side.fr.WriteWindowUpdate(0, uint32(n))
				side.given += int64(n)
			}
			for b := bytes.Clone(side.out.Bytes()); len(b) > 0; { // cut anywhere
				n := min(1+r.IntN(30000), len(b))
				side.c.Receive(b[:n])
				b = b[n:]
			}
			side.out.Reset()
			side.g.Flush()
			for i := range streams {
				finished = finished && side.ends[uint32(1+2*i)]
			}
		}
		if cl.held > o.StreamWindow*streams+100000 || cl.buffered > o.StreamWindow/2*streams {
			t.Fatalf("%d and %d bytes are buffered", cl.held, cl.buffered)
		}
		if cl.closed || p.closed {
			t.Fatalf("closed: %v", p.Err())
		}
		if finished {
			break
		}
	}
	for s := range 2 {
		for i := range streams {
			if !bytes.Equal(sides[1-s].data[uint32(1+2*i)].Bytes(), payload[s][i]) {
				t.Fatalf("stream %d from side %d is not what was sent", i, s)
			}
		}
	}
	if cl.held != 0 || cl.buffered != 0 || !cl.Idle() || p.InFlight() != 0 {
		t.Fatalf("left over: %d held, %d buffered", cl.held, cl.buffered)
	}
}

// collect reads what the group sent to a side and checks it against the windows.
func collect(t *testing.T, side *flowSide) {
	t.Helper()
	for id, s := range side.read() {
		if s.reset != nil || s.goaway != nil {
			t.Fatalf("stream %d: %+v", id, s)
		}
		if id == 0 {
			side.window += int64(s.windows)
			continue
		}
		side.windows[id] += int64(s.windows)
		side.gave[id] -= int64(len(s.data))
		side.given -= int64(len(s.data))
		if side.gave[id] < 0 || side.given < 0 {
			t.Fatal("a window was overrun")
		}
		side.data[id].Write(s.data)
		side.ends[id] = side.ends[id] || s.ended
	}
}

func TestWindowsAreEnforced(t *testing.T) {
	o := Options{Whole: func(string) bool { return false }, StreamWindow: 70000, ConnWindow: 100000}
	h, client, _, cl, _ := rig(t, o)
	h.call = func(*Call) {} // nothing moves
	send := func(id uint32, n int) {
		for ; n > 0; n -= 10000 {
			client.fr.WriteData(id, false, make([]byte, 10000))
		}
		client.send()
	}
	client.open(1)
	send(1, 70000)
	if s := client.stream(1); s.reset != nil {
		t.Fatal("reset within the window")
	}
	send(1, 10000)
	if s := client.stream(1); s.reset == nil || *s.reset != http2.ErrCodeFlowControl {
		t.Fatalf("a stream over its window got %+v", s)
	}
	client.open(3)
	client.open(5)
	send(3, 60000)
	send(5, 50000)
	if cl.closed {
		gone(t, client, http2.ErrCodeFlowControl)
	} else {
		t.Fatal("the window of the connection is not enforced")
	}
}

func TestAClientThatDoesNotTakeItsAnswersHoldsUpOnlyItself(t *testing.T) {
	o := Options{Whole: func(string) bool { return false }, Buffered: 300000}
	h, slow, provider, cl, p := rig(t, o)
	fast, _ := aClient(t, slow.g)
	fast.read()
	slow.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	slow.open(1)
	slow.open(3)
	slow.send()
	slow.read()
	for _, id := range []uint32{1, 3} {
		provider.headers(id, false, ":status", "200", "content-type", "application/grpc")
		for range 16 {
			provider.fr.WriteData(id, false, make([]byte, 10000))
		}
	}
	provider.send()
	all := slow.read()
	if s := all[3]; !s.ended || s.status() != "8" || s.reset != nil {
		t.Fatalf("over its bound the slow client got %+v", s)
	}
	if s := all[1]; s.ended || cl.buffered > 300000 {
		t.Fatalf("got %+v, %d buffered", s, cl.buffered)
	}
	fast.request(1, "q")
	fast.send()
	provider.answer(5, "a")
	provider.send()
	wantAnswer(t, fast.stream(1), "a")
	if p.closed || h.calls != 3 {
		t.Fatal("others were held up")
	}
}
