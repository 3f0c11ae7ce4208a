package relay

import (
	"io"
	"net"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestAPairInALoopStaysSmall(t *testing.T) {
	// The size class above it would cost every connection another 32 bytes.
	if size := unsafe.Sizeof(loopPair{}); size > 208 {
		t.Errorf("a pair takes %d bytes", size)
	}
}

func TestAnUrgentByteDoesNotHoldUpTheBytesBehindIt(t *testing.T) {
	g := newRig(t, variant{loops: 1}, Options{})
	buf := make([]byte, 20)
	g.client.Write([]byte("aaaaaaaaaa"))
	_, err := io.ReadFull(g.server, buf[:10])
	must(t, err)
	raw, err := g.client.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		if err := unix.Sendto(int(fd), []byte("b!"), unix.MSG_OOB, nil); err != nil {
			t.Error(err)
		}
	}))
	g.client.Write([]byte("cccccccccc"))
	g.server.SetReadDeadline(time.Now().Add(5 * time.Second))
	got := 0
	for got < 11 { // "b" and the c's; the urgent "!" is not part of the stream
		n, err := g.server.Read(buf[got:])
		if err != nil {
			t.Fatalf("after %q: %v", buf[:got], err)
		}
		got += n
	}
	if string(buf[:got]) != "bcccccccccc" {
		t.Errorf("got %q", buf[:got])
	}
}

func TestWhatTLSAnswersCannotPileUpForAPeerThatReadsNothing(t *testing.T) {
	r := newRelay(t, 1)
	defer r.Close()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	must(t, err)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	p := &loopPair{}
	p.ledger = newLedger(Options{}, nil)
	p.loop.Store(r.loops[0])
	s := &p.sides[client]
	s.fd = int32(fds[0])
	must(t, r.loops[0].listen(unix.EPOLL_CTL_ADD, fds[0], false, 0, client))
	answer := make([]byte, 100<<10)
	for range 100 {
		p.write(s, answer, 0)
	}
	if !s.broken || s.backlog != nil {
		t.Error("10 MB are on their way to a peer that reads none")
	}
	if e := p.ending.Load(); e == nil || e.err != errBacklog || e.reason != ClientReset {
		t.Errorf("ending: %+v", e)
	}
}

func TestALoopIsStuckWhenItIsAtOneTurnForOverASecond(t *testing.T) {
	r, err := New(RelayOptions{Loops: 2})
	must(t, err)
	defer r.Close()
	r.began = time.Now().Add(-time.Minute)
	for since, want := range map[time.Duration]bool{0: false, 59*time.Second + 500*time.Millisecond: false, 50 * time.Second: true} {
		r.loops[1].workingSince.Store(int64(since))
		if got := r.Stuck(); (got > 0) != want || want && got < 9*time.Second {
			t.Errorf("at a turn that began after %v of a minute: stuck for %v", since, got)
		}
	}
}
