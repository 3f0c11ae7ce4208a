package relay

import (
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// carried makes a loop that does not run carry a pair and returns the pair with
// its far ends.
func carried(t *testing.T, l *loop, before func(client, server *net.TCPConn)) (p *loopPair, client, server *net.TCPConn) {
	t.Helper()
	client, near := tcpPair(t)
	server, far := tcpPair(t)
	t.Cleanup(func() { client.Close(); server.Close() })
	before(client, server)
	p = &loopPair{}
	p.ledger = newLedger(Options{}, func(Result) {})
	p.loop.Store(l)
	for i, tcp := range []*net.TCPConn{near, far} {
		raw, err := tcp.SyscallConn()
		must(t, err)
		fd, err := duplicate(raw)
		must(t, err)
		must(t, tcp.Close())
		p.sides[i] = side{fd: int32(fd)}
	}
	l.relay.pairs.Add(1)
	l.carry(&message{pair: p})
	t.Cleanup(func() {
		if !p.gone {
			p.conclude(ClientClosed, nil)
			p.finish()
		}
	})
	return p, client, server
}

// turn is one of a loop that does not run; it returns how many events came.
func turn(l *loop, wait time.Duration) int {
	var events [16]unix.EpollEvent
	n := l.wait(events[:], wait, true)
	for i := range events[:n] {
		l.handle(&events[i])
	}
	return n
}

func TestAPairToWhichNothingHappensGivesItsLoopNothingToDo(t *testing.T) {
	r := newRelay(t, 1)
	defer r.Close()
	l := r.loops[0]
	p, _, _ := carried(t, l, func(_, _ *net.TCPConn) {})
	if p.sides[client].readable || p.sides[upstream].readable {
		t.Error("the loop reads what has not sent anything")
	}
	if n := turn(l, 0); n > 0 {
		t.Errorf("%d events: that a socket has room is no news", n)
	}
}

func TestWhatWasSentBeforeThePairCameIsRelayed(t *testing.T) {
	r := newRelay(t, 1)
	defer r.Close()
	l := r.loops[0]
	_, _, server := carried(t, l, func(client, _ *net.TCPConn) { client.Write([]byte("early")) })
	if n := turn(l, 5*time.Second); n != 1 {
		t.Errorf("%d events, want one for what the client sent", n)
	}
	buf := make([]byte, 5)
	server.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(server, buf); err != nil || string(buf) != "early" {
		t.Errorf("got %q, %v", buf, err)
	}
}

func TestAFullSocketIsHeardOfWhenItHasRoom(t *testing.T) {
	r := newRelay(t, 1)
	defer r.Close()
	l := r.loops[0]
	p, client, server := carried(t, l, func(_, _ *net.TCPConn) {})
	sent := 0
	for !p.sides[upstream].blocked() {
		client.SetWriteDeadline(time.Now().Add(5 * time.Second))
		n, err := client.Write(make([]byte, 256<<10))
		must(t, err)
		sent += n
		turn(l, 0)
	}
	must(t, client.CloseWrite())
	got := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, server)
		got <- n
	}()
	for deadline := time.Now().Add(10 * time.Second); !p.sides[upstream].shut; turn(l, 10*time.Millisecond) {
		l.continueReads()
		if time.Now().After(deadline) {
			t.Fatal("the loop never heard that there is room")
		}
	}
	if n := <-got; n != int64(sent) {
		t.Errorf("%d of %d bytes came through", n, sent)
	}
}

func TestAPairOfAStrandIsCarriedInTheSameTurn(t *testing.T) {
	r := newRelay(t, 1)
	stopped := running(t, r)
	far, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer far.Close()
	direct, dialledAtOnce := make(chan bool, 1), make(chan bool, 1)
	addr, stop := serveStrands(t, r, func(c *Conn) {
		u, err := c.Dial(far.Addr().String(), DialOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		dialledAtOnce <- u.socket.slot < 0
		l := c.socket.loop
		if _, err := r.Add(c, u, Options{}, func(Result) {}); err != nil {
			t.Error(err)
		}
		direct <- len(l.added) == 1
	})
	client := dialled(t, addr)
	if !<-dialledAtOnce {
		t.Error("the loop had to hear of a connection within this host, which stands when connect returns")
	}
	if !<-direct {
		t.Error("the pair went by the inbox, which takes another turn")
	}
	server, err := far.Accept()
	must(t, err)
	client.Write([]byte("through"))
	buf := make([]byte, 7)
	if _, err := io.ReadFull(server, buf); err != nil || string(buf) != "through" {
		t.Errorf("got %q, %v", buf, err)
	}
	client.Close()
	server.Close()
	stop()
	stopped()
}
