package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

func TestCloseSendsWhatIsQueuedAndTheEndOfTheStream(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		const size = 1 << 20
		g := newStreamRig(t, v, GroupOptions{})
		g.narrow = true
		h := newHands()
		h.receive = func(Stream, []byte) { t.Error("received after Close") }
		outer, _ := g.add(t, h.begin)
		text := stream(3, 0, size)
		g.do(t, func() {
			h.Pause(true)
			h.Write(text)
			h.Close()
			h.Write([]byte("too late"))
			h.Close()
		})
		outer.Write([]byte("a client that still talks"))
		got, err := io.ReadAll(outer)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes came, %v", len(got), err)
		}
		outer.Close()
		wantEnd(t, h, net.ErrClosed)
		g.do(t, func() {
			h.Write([]byte("nowhere"))
			h.Pause(false)
			h.Close()
			h.Abort()
			if n := h.Backlog(); n != 0 {
				t.Errorf("%d bytes are queued after the end", n)
			}
		})
	})
}

func TestCloseSendsOneCloseNotify(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		g := newStreamRig(t, v, GroupOptions{})
		h := newHands()
		_, raw := g.add(t, h.begin)
		g.do(t, func() { h.Close() })
		got, err := io.ReadAll(raw)
		must(t, err)
		switch v.tls {
		case 0:
			if len(got) > 0 {
				t.Errorf("got %q", got)
			}
		case tls.VersionTLS12: // RFC 5246 section 6.2.1: an alert has type 21
			if len(got) != 31 || got[0] != 21 {
				t.Errorf("got % x", got)
			}
		default: // RFC 8446 section 5.2: header, alert, its type, tag
			if len(got) != 5+2+1+16 {
				t.Errorf("got % x", got)
			}
		}
		raw.Close()
		wantEnd(t, h, net.ErrClosed)
	})
}

func TestCloseInAPauseLetsAPeerFinishWhatItSends(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		ticks := make(chan struct{}, 1000)
		g := newStreamRig(t, v, GroupOptions{Tick: func() {
			select {
			case ticks <- struct{}{}:
			default:
			}
		}})
		g.narrow = true
		h := newHands()
		outer, _ := g.add(t, func(s Stream) Handler {
			s.Pause(true)
			return h.begin(s)
		})
		sent := make(chan error, 1)
		go func() {
			_, err := outer.Write(make([]byte, 1<<20))
			sent <- err
		}()
		for range 3 { // by then it is stuck
			within(t, ticks, "Tick is not called")
		}
		g.do(t, func() {
			h.Write(make([]byte, 1<<20)) // which the peer reads when it has sent its own
			h.Close()
		})
		if err := within(t, sent, "the peer is stuck"); err != nil {
			t.Error(err)
		}
		if n, err := io.Copy(io.Discard, outer); n != 1<<20 || err != nil {
			t.Errorf("%d bytes came, %v", n, err)
		}
		outer.Close()
		wantEnd(t, h, net.ErrClosed)
	})
}

func TestCloseWaitsABoundedTimeForAPeerThatNeverEnds(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		g := newStreamRig(t, v, GroupOptions{})
		g.narrow = true
		silent, deaf := newHands(), newHands()
		g.add(t, silent.begin)
		g.add(t, deaf.begin)
		g.do(t, func() {
			silent.Close()
			deaf.Write(make([]byte, 2<<20))
			deaf.Close()
		})
		wantEnd(t, silent, net.ErrClosed)
		wantEnd(t, deaf, net.ErrClosed)
	})
}

func TestAPeerThatEndedStillGetsWhatIsQueued(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		const size = 1 << 20
		g := newStreamRig(t, v, GroupOptions{})
		g.narrow = true
		h := newHands()
		text := stream(4, 0, size)
		h.receive = func(s Stream, _ []byte) { s.Write(text) }
		outer, _ := g.add(t, h.begin)
		outer.Write([]byte("?"))
		outer.(closeWriter).CloseWrite()
		got, err := io.ReadAll(outer)
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes came, %v", len(got), err)
		}
		wantEnd(t, h, io.EOF)
	})
}

func TestAResetEndsAStream(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		g := newStreamRig(t, v, GroupOptions{})
		h := echo()
		outer, raw := g.add(t, h.begin)
		outer.Write([]byte("last words"))
		_, err := io.ReadFull(outer, make([]byte, 10))
		must(t, err)
		raw.SetLinger(0)
		raw.Close()
		wantEnd(t, h, syscall.ECONNRESET)
	})
}

func TestWritingToAPeerThatBrokeEndsTheStream(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		g := newStreamRig(t, v, GroupOptions{})
		h := newHands()
		_, raw := g.add(t, h.begin)
		g.do(t, func() { h.Pause(true) }) // it is not told by reading
		raw.SetLinger(0)
		raw.Close()
		g.do(t, func() { h.Write([]byte("hello?")) })
		err := within(t, h.ended, "the stream did not end")
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestAbortClosesAtOnce(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		g := newStreamRig(t, v, GroupOptions{})
		h := newHands()
		h.receive = func(s Stream, _ []byte) {
			s.Write(make([]byte, 100<<10))
			s.Abort()
			if n := s.Backlog(); n != 0 {
				t.Errorf("%d bytes are queued after Abort", n)
			}
		}
		outer, _ := g.add(t, h.begin)
		outer.Write([]byte("x"))
		wantEnd(t, h, net.ErrClosed)
		if n, err := io.Copy(io.Discard, outer); n > 0 {
			t.Errorf("%d bytes came, %v", n, err)
		}
	})
}

func TestATickCanEndAPeerThatVanished(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		silence := 0
		h := newHands()
		g := newStreamRig(t, v, GroupOptions{Tick: func() {
			if h.Stream == nil {
				return
			}
			if silence++; silence == 3 {
				h.Abort()
			}
		}})
		h.receive = func(s Stream, b []byte) { silence = 0 }
		g.add(t, h.begin)
		wantEnd(t, h, net.ErrClosed)
	})
}

func TestARelayEndsAfterItsStreamsAndTakesNoMoreCalls(t *testing.T) {
	for _, loops := range []int{0, 2} {
		r := newRelay(t, loops)
		stop := running(t, r)
		group := r.NewGroup(GroupOptions{Loop: 1})
		outer, inner := tcpPair(t)
		c, err := NewConn(inner, nil)
		must(t, err)
		h := echo()
		must(t, group.Add(c, h.begin))
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		buf := make([]byte, 1)
		for range 20 { // it works on while it ends
			outer.Write([]byte("x"))
			_, err := io.ReadFull(outer, buf)
			must(t, err)
		}
		select {
		case <-stopped:
			t.Error("the relay ended before its stream")
		default:
		}
		if !group.Do(func() { h.Close() }) {
			t.Error("Do is refused while a stream lives")
		}
		if _, err := outer.Read(buf); err != io.EOF {
			t.Errorf("after Close: %v", err)
		}
		outer.Close()
		wantEnd(t, h, net.ErrClosed)
		within(t, stopped, "the relay did not end")
		if group.Do(func() { t.Error("it runs after the end") }) {
			t.Error("Do is not refused after the end")
		}
		outer, inner = tcpPair(t)
		c, err = NewConn(inner, nil)
		must(t, err)
		if err := group.Add(c, h.begin); err != net.ErrClosed {
			t.Errorf("Add after the end: %v", err)
		}
		if _, err := outer.Read(buf); err != io.EOF {
			t.Errorf("the connection was not closed: %v", err)
		}
		outer.Close()
	}
}
