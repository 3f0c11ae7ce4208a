package relay

import (
	"bytes"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// segments is how many segments with data came to c.
func segments(t *testing.T, c *net.TCPConn) (n uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		must(t, err)
		n = info.Data_segs_in
	}))
	return n
}

func TestWhatATurnQueuesLeavesInOneWrite(t *testing.T) {
	eachVariant(t, func(t *testing.T, v variant) {
		h := newHands()
		last := false
		g := newStreamRig(t, v, GroupOptions{Turn: func() {
			if last {
				last = false
				h.Write([]byte("."))
			}
		}})
		outer, raw := g.add(t, h.begin)
		buf := make([]byte, 1000)
		g.do(t, func() { h.Write(buf) })
		_, err := io.ReadFull(outer, buf)
		must(t, err)
		before := segments(t, raw)
		g.do(t, func() {
			for range 999 {
				h.Write([]byte("x"))
			}
			last = true
		})
		_, err = io.ReadFull(outer, buf)
		must(t, err)
		if n := segments(t, raw) - before; n != 1 {
			t.Errorf("1000 writes came in %d segments", n)
		}
	})
}

func TestStreamsLeaveNoDescriptorsAndNoBuffersBehind(t *testing.T) {
	r := newRelay(t, 1)
	defer running(t, r)()
	g := &streamRig{variant: variant{loops: 1}, relay: r, group: r.NewGroup(GroupOptions{})}
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(all)
	}
	before := open()
	for i := range 300 {
		h := echo()
		outer, raw := g.add(t, h.begin)
		outer.Write(make([]byte, 20<<10))
		switch i % 3 {
		case 0:
			g.do(t, func() { h.Abort() })
		case 1:
			raw.SetLinger(0)
		default:
			io.ReadFull(outer, make([]byte, 20<<10))
		}
		outer.Close()
		within(t, h.ended, "the stream did not end")
	}
	if after := open(); after > before+2 { // the runtime may open some of its own
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	g.do(t, func() {
		set := &r.loops[0].streams
		if len(set.bySlot) > 3 || len(set.free) != len(set.bySlot) || len(set.again) > 0 {
			t.Errorf("%d slots, %d of them free", len(set.bySlot), len(set.free))
		}
		kept := 0
		for _, b := range set.spare {
			kept += cap(b)
		}
		if kept != set.kept || len(set.spare) > 4 {
			t.Errorf("%d spare buffers of %d bytes, counted as %d", len(set.spare), kept, set.kept)
		}
	})
}

func TestAStreamThatDozesWakesUnseen(t *testing.T) {
	g := newStreamRig(t, variant{loops: 1, tls: tls.VersionTLS13}, GroupOptions{})
	h := echo()
	outer, _ := g.add(t, h.begin)
	buf := make([]byte, 5)
	for range 3 {
		outer.Write([]byte("hello"))
		_, err := io.ReadFull(outer, buf)
		must(t, err)
		g.do(t, func() {
			s := h.Stream.(*loopStream)
			s.last -= int64(dozeAfter)
			for range 2 {
				s.group.loop.sweepStreams()
			}
		})
	}
}

func TestWhatTLSAnswersCannotPileUpInAStream(t *testing.T) {
	r := newRelay(t, 1)
	defer r.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	s := &loopStream{group: &loopGroup{loop: r.loops[0]}, fd: int32(fds[0])}
	answer := make([]byte, 100<<10)
	for range 100 {
		s.answer(answer)
		s.flush()
	}
	if !s.broken || s.unsent() > 0 || s.err != errBacklog {
		t.Error("10 MB are on their way to a peer that reads none")
	}
}

func TestAQueueIsFirstInFirstOutAndReturnsItsBuffer(t *testing.T) {
	l := &loop{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var q queue
		var want []byte
		for range 100 {
			if rng.IntN(2) == 0 {
				b := stream(rng.Uint64(), 0, rng.IntN(3000))
				q.add(l, b)
				want = append(want, b...)
			} else {
				n := rng.IntN(len(want) + 1)
				q.drop(l, n)
				want = want[n:]
			}
			if !bytes.Equal(q.rest(), want) || q.size() != len(want) || len(want) == 0 && q.b != nil {
				t.Fatalf("%d bytes, want %d", q.size(), len(want))
			}
			if cap(q.b) > 4*100*3000 {
				t.Fatalf("a buffer of %d bytes for %d", cap(q.b), len(want))
			}
		}
		q.drop(l, q.size())
	}
	if len(l.streams.spare) == 0 || l.streams.kept > sparesKept {
		t.Errorf("%d buffers of %d bytes are kept", len(l.streams.spare), l.streams.kept)
	}
}

func TestALoopDoesNotWaitWhileAStreamHasMoreToRead(t *testing.T) {
	r := newRelay(t, 1)
	defer r.Close()
	l := r.loops[0]
	if d, _ := l.nextWait(0); d == 0 {
		t.Error("a loop with nothing to do does not wait")
	}
	for _, goOn := range []func(s Stream){
		func(s Stream) { s.Pause(false) },
		func(s Stream) { s.Close() }, // the peer may be stuck until what it sent is read
	} {
		goOn(&loopStream{group: &loopGroup{loop: l}, readable: true, paused: true})
		if d, _ := l.nextWait(0); d != 0 {
			t.Errorf("it waits for %v", d)
		}
		l.streams.again = nil
	}
}

func TestCallsThatWereTakenBeforeTheEndStillHaveTheirTurn(t *testing.T) {
	r := newRelay(t, 1)
	did, turns := 0, 0
	group := r.NewGroup(GroupOptions{Turn: func() { turns++ }})
	group.Do(func() { did++ })
	r.loops[0].stop()
	r.loops[0].run()
	if did != 1 || turns != 1 {
		t.Errorf("%d calls ran, in %d turns", did, turns)
	}
}

func TestAStrandHandsItsConnectionOverToAGroupInAnyLoop(t *testing.T) {
	for _, loops := range []int{0, 1, 2} {
		for _, secure := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
			r := newRelay(t, loops)
			stopped := running(t, r)
			group := r.NewGroup(GroupOptions{Loop: 1}) // strands begin in the first
			config := &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}}
			var live atomic.Int32
			ended := make(chan error, 100)
			addr, stop := serveStrands(t, r, func(c *Conn) {
				var near net.Conn = c
				if secure != 0 {
					var err error
					if near, _, err = r.Handshake(c, config, nil); err != nil {
						t.Error(err)
						c.Close()
						return
					}
				}
				b := make([]byte, 5)
				if _, err := io.ReadFull(near, b); err != nil {
					t.Error(err)
				}
				live.Add(1)
				err := group.Add(near, func(s Stream) Handler {
					h := echo()
					h.ended = ended
					s.Write(b)
					return h.begin(s)
				})
				if err != nil {
					t.Error(err)
				}
			})
			var clients sync.WaitGroup
			for range 10 {
				var c net.Conn = dialled(t, addr)
				if secure != 0 {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: secure})
				}
				clients.Go(func() {
					c.Write([]byte("hello, "))
					c.Write([]byte("world"))
					got := make([]byte, 12)
					if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello, world" {
						t.Errorf("%d loops: %q, %v", loops, got, err)
					}
					c.Close()
				})
			}
			clients.Wait()
			for range live.Load() {
				if err := within(t, ended, "a stream did not end"); err != io.EOF {
					t.Errorf("ended with %v", err)
				}
			}
			stop()
			stopped()
		}
	}
}
