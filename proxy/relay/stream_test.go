package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mqedge/mqedge/proxy/relay/record"
)

// streamRig is a relay that runs, with a group in it.
type streamRig struct {
	variant
	relay *Relay
	group Group
	// narrow makes sockets take little. Where both directions are jammed at once it
	// is of no use: Linux drops the news of a window that opens when they come with
	// a sequence number beyond a window that has shrunk.
	narrow bool
}

func newStreamRig(t *testing.T, v variant, o GroupOptions) *streamRig {
	t.Helper()
	r := newRelay(t, v.loops)
	stopped := running(t, r)
	t.Cleanup(stopped)
	return &streamRig{variant: v, relay: r, group: r.NewGroup(o)}
}

// add puts one end of a connection into the group and returns the other, with
// the socket under it.
func (g *streamRig) add(t *testing.T, begin func(Stream) Handler) (outer net.Conn, raw *net.TCPConn) {
	t.Helper()
	raw, inner := tcpPair(t)
	t.Cleanup(func() { raw.Close() })
	if g.narrow {
		for _, c := range []*net.TCPConn{raw, inner} {
			c.SetReadBuffer(64 << 10)
			c.SetWriteBuffer(64 << 10)
		}
	}
	raw.SetDeadline(time.Now().Add(60 * time.Second))
	c, err := NewConn(inner, nil)
	must(t, err)
	outer = raw
	var near net.Conn = c
	if g.tls != 0 {
		tc := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MaxVersion: g.tls})
		shaken := make(chan error, 1)
		go func() { shaken <- tc.Handshake() }()
		near = g.handshake(t, g.relay, c)
		must(t, <-shaken)
		outer = tc
	}
	must(t, g.group.Add(near, begin))
	return outer, raw
}

// do runs f among the events of the group and waits for it.
func (g *streamRig) do(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	if !g.group.Do(func() { f(); close(done) }) {
		t.Fatal("the relay has ended")
	}
	within(t, done, "what Do was given did not run")
}

// within waits for c.
func within[T any](t *testing.T, c <-chan T, otherwise string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(30 * time.Second):
		t.Fatal(otherwise)
	}
	return v
}

// hands is a handler made of functions, any of which may be nil.
type hands struct {
	Stream
	receive func(s Stream, b []byte)
	drained func(s Stream)
	ended   chan error
}

func newHands() *hands { return &hands{ended: make(chan error, 2)} }

func (h *hands) begin(s Stream) Handler {
	h.Stream = s
	return h
}

func (h *hands) Receive(b []byte) {
	if h.receive != nil {
		h.receive(h, b)
	}
}

func (h *hands) Drained() {
	if h.drained != nil {
		h.drained(h)
	}
}

func (h *hands) Ended(err error) { h.ended <- err }

// echo sends back what it receives, and reads no more than is taken.
func echo() *hands {
	h := newHands()
	h.receive = func(s Stream, b []byte) {
		s.Write(b)
		s.Pause(s.Backlog() > 100<<10)
	}
	h.drained = func(s Stream) { s.Pause(false) }
	return h
}

func wantEnd(t *testing.T, h *hands, want error) {
	t.Helper()
	if err := within(t, h.ended, "the stream did not end"); !errors.Is(err, want) {
		t.Errorf("ended with %v, want %v", err, want)
	}
}

// eachVariant runs f with every implementation and transport. A group is in one
// loop; another one would only take the test's processor while it waits.
func eachVariant(t *testing.T, f func(t *testing.T, v variant)) {
	for _, v := range variants {
		v.loops = min(v.loops, 1)
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			f(t, v)
		})
	}
}

func TestAStreamEchoesAllThatIsSentHoweverItIsCut(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		g := newStreamRig(t, v, GroupOptions{})
		var all sync.WaitGroup
		for i := range uint64(4) {
			rng := rand.New(rand.NewPCG(i, 1))
			h := echo()
			outer, _ := g.add(t, h.begin)
			total := 1<<20 + rng.IntN(2<<20)
			all.Go(func() {
				for sent := 0; sent < total; {
					n := min(total-sent, 1+rng.IntN(1<<(1+rng.IntN(17))))
					if _, err := outer.Write(stream(i, sent, n)); err != nil {
						t.Error(err)
						return
					}
					sent += n
				}
				outer.(closeWriter).CloseWrite()
			})
			all.Go(func() {
				got, err := io.ReadAll(outer)
				if err != nil || len(got) != total || !bytes.Equal(got, stream(i, 0, len(got))) {
					t.Errorf("%d of %d bytes came back, %v", len(got), total, err)
				}
				wantEnd(t, h, io.EOF)
			})
		}
		all.Wait()
	})
}

func TestAPeerThatChangesItsKeysGetsItsAnswers(t *testing.T) {
	for _, std := range []bool{false, true} {
		v := variant{loops: 1, tls: tls.VersionTLS13, std: std}
		g := newStreamRig(t, v, GroupOptions{})
		raw, inner := tcpPair(t)
		near, err := NewConn(inner, nil)
		must(t, err)
		own, err := NewConn(raw, nil)
		must(t, err)
		var keys trafficKeys
		own.cut = &cutter{}
		client := tls.Client(own, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &keys})
		shaken := make(chan error, 1)
		go func() { shaken <- client.Handshake() }()
		secure := v.handshake(t, g.relay, near)
		must(t, <-shaken)
		own.cut = nil
		rec, err := record.New(record.Secrets{Suite: client.ConnectionState().CipherSuite, Read: keys.server, Write: keys.client})
		must(t, err)
		h := echo()
		must(t, g.group.Add(secure, h.begin))
		peer := &TLS{Conn: own, rec: rec}
		ask := rec.KeyUpdate(nil, true)
		want := append(rec.Seal(ask, []byte("under new keys")), rec.CloseNotify(nil)...)
		raw.Write(want)
		got, err := io.ReadAll(peer)
		if string(got) != "under new keys" || err != nil { // without the answer the peer has the wrong key
			t.Errorf("got %q, %v", got, err)
		}
		raw.Close()
		wantEnd(t, h, io.EOF)
	}
}

func TestTurnIsCalledAfterWhatHappenedAndWhatItWritesGoesOut(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		var got []byte
		h := newHands()
		h.receive = func(_ Stream, b []byte) { got = append(got, b...) }
		g := newStreamRig(t, v, GroupOptions{Turn: func() {
			if len(got) > 0 {
				h.Write(got)
				got = nil
			}
		}})
		outer, _ := g.add(t, h.begin)
		buf := make([]byte, 4)
		for range 50 {
			outer.Write([]byte("ping"))
			_, err := io.ReadFull(outer, buf)
			must(t, err)
		}
		g.do(t, func() { got = []byte("done") })
		_, err := io.ReadFull(outer, buf)
		must(t, err)
		if string(buf) != "done" {
			t.Errorf("got %q", buf)
		}
	})
}

func TestWhatASocketDoesNotTakeIsABacklogUntilItIsDrained(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		const size = 3 << 20
		g := newStreamRig(t, v, GroupOptions{})
		g.narrow = true
		h := newHands()
		drained := make(chan int, 100)
		h.drained = func(s Stream) { drained <- s.Backlog() }
		outer, _ := g.add(t, h.begin)
		text := stream(1, 0, size)
		g.do(t, func() {
			for rest := text; len(rest) > 0; {
				n := min(len(rest), 100<<10)
				h.Write(rest[:n])
				rest = rest[n:]
			}
		})
		g.do(t, func() {
			if n := h.Backlog(); n == 0 {
				t.Error("3 MB were taken for a peer that reads none")
			}
		})
		got := make([]byte, size)
		_, err := io.ReadFull(outer, got)
		must(t, err)
		if !bytes.Equal(got, text) {
			t.Error("the bytes differ")
		}
		if n := within(t, drained, "Drained was not called"); n != 0 {
			t.Errorf("%d bytes are left when it is drained", n)
		}
		g.do(t, func() { h.Write([]byte("more")) })
		_, err = io.ReadFull(outer, got[:4])
		must(t, err)
		if string(got[:4]) != "more" {
			t.Errorf("after the backlog came %q", got[:4])
		}
	})
}

func TestNothingIsReceivedInAPauseAndAllOfItAfterwards(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		ticks := make(chan struct{}, 1000)
		g := newStreamRig(t, v, GroupOptions{Tick: func() {
			select {
			case ticks <- struct{}{}:
			default:
			}
		}})
		h := newHands()
		var got []byte
		whole := make(chan struct{}, 1)
		h.receive = func(_ Stream, b []byte) {
			if got = append(got, b...); string(got) == "held back" {
				whole <- struct{}{}
			}
		}
		outer, _ := g.add(t, func(s Stream) Handler {
			s.Pause(true)
			return h.begin(s)
		})
		outer.Write([]byte("held "))
		outer.Write([]byte("back"))
		for range 4 {
			within(t, ticks, "Tick is not called")
		}
		g.do(t, func() {
			if len(got) > 0 {
				t.Errorf("received %q in a pause", got)
			}
			h.Pause(false)
		})
		within(t, whole, "what waited did not come")
		g.do(t, func() { h.Pause(true) })
		outer.Close()
		g.do(t, func() { h.Pause(false) })
		wantEnd(t, h, io.EOF)
	})
}

func TestTheEventsOfAGroupNeverOverlap(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		const streams, callers, calls = 8, 8, 200
		// None of these has a lock: the race detector looks at them, too.
		events, did, received := 0, map[int]int{}, 0
		g := newStreamRig(t, v, GroupOptions{Turn: func() { events++ }, Tick: func() { events++ }})
		var ends []*hands
		var all sync.WaitGroup
		for range streams {
			h := newHands()
			h.receive = func(s Stream, b []byte) {
				events++
				received += len(b)
				s.Write(b)
			}
			outer, _ := g.add(t, h.begin)
			ends = append(ends, h)
			all.Go(func() {
				for range 100 {
					outer.Write([]byte("0123456789"))
					if _, err := io.ReadFull(outer, make([]byte, 10)); err != nil {
						t.Error(err)
					}
				}
				outer.Close()
			})
		}
		for i := range callers {
			all.Go(func() {
				for n := range calls {
					g.group.Do(func() {
						events++
						if did[i] != n {
							t.Errorf("call %d of a goroutine ran as its %dth", n, did[i])
						}
						did[i]++
					})
				}
			})
		}
		all.Wait()
		for _, h := range ends {
			wantEnd(t, h, io.EOF)
		}
		g.do(t, func() {
			if received != streams*1000 {
				t.Errorf("received %d bytes", received)
			}
			for i := range callers {
				if did[i] != calls {
					t.Errorf("%d of %d calls ran", did[i], calls)
				}
			}
		})
	})
}

func TestAConnectionThatWasDialledElsewhereJoinsAGroup(t *testing.T) {
	for _, loops := range []int{0, 1} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			g := newStreamRig(t, variant{loops: loops}, GroupOptions{})
			ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}, MaxVersion: version})
			must(t, err)
			served := make(chan struct{})
			go func() {
				defer close(served)
				c, err := ln.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				c.Write([]byte("ready")) // comes with the tickets of TLS 1.3
				io.Copy(c, c)
				c.Close()
			}()
			tcp, err := net.Dial("tcp", ln.Addr().String())
			must(t, err)
			conn, err := NewConn(tcp.(*net.TCPConn), nil)
			must(t, err)
			client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			must(t, client.Handshake())
			h := newHands()
			var got []byte
			h.receive = func(s Stream, b []byte) {
				switch got = append(got, b...); string(got) {
				case "ready":
					s.Write([]byte(", steady"))
				case "ready, steady":
					s.Close()
				}
			}
			must(t, g.group.Add(client, h.begin))
			wantEnd(t, h, net.ErrClosed)
			within(t, served, "the server did not see the end")
			ln.Close()
		}
	}
}

func TestWhatWasReadBeforeAddIsReceivedFirst(t *testing.T) {
	for _, loops := range []int{0, 1} {
		g := newStreamRig(t, variant{loops: loops}, GroupOptions{})
		outer, inner := tcpPair(t)
		c, err := NewConn(inner, []byte("early "))
		must(t, err)
		outer.Write([]byte("late"))
		must(t, g.group.Add(c, echo().begin))
		outer.CloseWrite()
		got, err := io.ReadAll(outer)
		if string(got) != "early late" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		outer.Close()
	}
}

func TestAGroupRefusesAForeignConnection(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, loops := range []int{0, 1} {
		r := newRelay(t, loops)
		err := r.NewGroup(GroupOptions{}).Add(a, func(Stream) Handler { t.Error("begun"); return nil })
		if err == nil {
			t.Error("a pipe was accepted")
		}
		r.Close()
	}
}
