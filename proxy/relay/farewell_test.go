package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqedge/mqedge/proxy/mqtt"
	"github.com/mqedge/mqedge/proxy/ws"
)

var (
	_ Follower = (*mqtt.Follower)(nil)
	_ Follower = (*ws.Follower)(nil)
)

// Packets of an exchange, and the words.
const (
	pubrec  = "\x50\x02\x00\x01"
	pubrel  = "\x62\x02\x00\x01"
	pubcomp = "\x70\x02\x00\x01"
	bye     = "\xe0\x02\x9d\x00"
)

func publish(qos int, body string) string {
	b := []byte{0x30 | byte(qos)<<1}
	n := len(body)
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return string(append(b, byte(n))) + body
}

// forEach runs f with a pair that is followed, in every way to carry it.
func forEach(t *testing.T, f func(t *testing.T, g *rig)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			f(t, newRig(t, v, Options{Follow: new(mqtt.Follower)}))
		})
	}
}

// pass sends s from one end and awaits it at the other.
func (g *rig) pass(t *testing.T, from, to net.Conn, s string) {
	t.Helper()
	_, err := io.WriteString(from, s)
	must(t, err)
	expect(t, to, s)
}

func expect(t *testing.T, c net.Conn, s string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, len(s))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != s {
		t.Fatalf("got %q, %v, want %q", b[:n], err, s)
	}
}

// expectLast wants s and then a clean end.
func expectLast(t *testing.T, c net.Conn, s string) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, err := io.ReadAll(c); err != nil || string(b) != s {
		t.Fatalf("got %q, %v, want %q and the end", b, err, s)
	}
}

// nothing wants that c is sent nothing for a while, and no end.
func nothing(t *testing.T, c net.Conn) {
	t.Helper()
	if tc, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = tc.NetConn() // a timeout would break a tls.Conn for good
	}
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d, %v", n, err)
	}
}

// stuck waits until nothing has moved for a while, and returns what did.
func (g *rig) stuck(t *testing.T) (fromClient, toClient uint64) {
	t.Helper()
	still := 0
	must(t, eventually(func() bool {
		up, down := fromClient, toClient
		fromClient, toClient = g.pair.Bytes()
		if still++; up+down == 0 || up != fromClient || down != toClient {
			still = 0
		}
		<-time.After(10 * time.Millisecond)
		return still == 30
	}))
	return fromClient, toClient
}

// leave closes both outer ends and checks the result.
func (g *rig) leave(t *testing.T, why Reason, words string) {
	t.Helper()
	g.client.Close()
	g.server.Close()
	res := g.wait(t)
	if res.Reason != why || res.Err != nil || res.ToClient != res.FromUpstream+uint64(len(words)) {
		t.Errorf("result %+v, want %s and %d bytes of words", res, why, len(words))
	}
}

func TestAnIdlePairIsLeftAtOnce(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.server, g.client, publish(0, "hello"))
		g.pass(t, g.client, g.server, publish(1, "hi"))
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		expectLast(t, g.client, bye)
		expectLast(t, g.server, "")
		g.leave(t, "drained", bye)
	})
}

func TestAFarewellWithoutWordsIsAnEndBetweenPackets(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		p := publish(0, "in two pieces")
		g.pass(t, g.server, g.client, p[:4])
		g.pair.Farewell("drained", nil, time.Hour)
		g.pass(t, g.client, g.server, publish(0, "the client goes on"))
		io.WriteString(g.server, p[4:]+p)
		expectLast(t, g.client, p[4:])
		expectLast(t, g.server, "")
		g.leave(t, "drained", "")
	})
}

func TestWordsWaitForTheEndOfThePacketAndNothingFollowsThem(t *testing.T) {
	for cut := 1; cut < 9; cut += 2 {
		forEach(t, func(t *testing.T, g *rig) {
			p := publish(0, "a packet")
			g.pass(t, g.server, g.client, p+p[:cut])
			g.pair.Farewell("drained", []byte(bye), time.Hour)
			nothing(t, g.client)
			g.pass(t, g.client, g.server, publish(0, "the client goes on")) // by when the loop has seen the farewell
			io.WriteString(g.server, p[cut:]+p+p[:3])
			expectLast(t, g.client, p[cut:]+bye)
			expectLast(t, g.server, "")
			g.leave(t, "drained", bye)
		})
	}
}

func TestAnOpenExchangeIsWaitedFor(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.server, g.client, publish(2, "exactly once"))
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		nothing(t, g.client)
		g.pass(t, g.client, g.server, pubrec)
		g.pass(t, g.server, g.client, pubrel)
		io.WriteString(g.client, pubcomp)
		expectLast(t, g.server, pubcomp)
		expectLast(t, g.client, bye)
		g.leave(t, "drained", bye)
	})
}

func TestAnExchangeThatEndsWithinOneReadLetsTheWordsInThere(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.client, g.server, publish(2, "exactly once"))
		g.pass(t, g.server, g.client, pubrec)
		g.pass(t, g.client, g.server, pubrel)
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		p := publish(0, "and on it goes")
		g.pass(t, g.client, g.server, p)
		io.WriteString(g.server, p+pubcomp+publish(2, "another")+p)
		expectLast(t, g.client, p+pubcomp+bye)
		g.leave(t, "drained", bye)
	})
}

func TestPatienceEndsAtTheNextPacketBoundary(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.server, g.client, publish(2, "exactly once"))
		g.pair.Farewell("drained", []byte(bye), 200*time.Millisecond)
		expectLast(t, g.client, bye)
		expectLast(t, g.server, "")
		g.leave(t, "drained", bye)
	})
}

func TestAPacketThatNeverEndsIsLeftWithoutWords(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		p := publish(0, "never ends")
		g.pass(t, g.server, g.client, p[:5])
		g.pair.Farewell("drained", []byte(bye), 100*time.Millisecond)
		expectLast(t, g.client, "")
		g.leave(t, "drained", "")
	})
}

func TestAServerWhoseStreamIsLostIsLeftWithoutWords(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.server, g.client, "\x30\xff\xff\xff\xff\xff")
		g.pass(t, g.server, g.client, publish(0, "goes on all the same"))
		g.pair.Farewell("drained", []byte(bye), 0)
		expectLast(t, g.client, "")
		g.leave(t, "drained", "")
	})
}

func TestAClientWhoseStreamIsLostHearsTheWordsWhenPatienceIsOver(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.client, g.server, "\x30\xff\xff\xff\xff\xff")
		g.pair.Farewell("drained", []byte(bye), 100*time.Millisecond)
		expectLast(t, g.client, bye)
		g.leave(t, "drained", bye)
	})
}

func TestCloseEndsAFarewellThatWaits(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.server, g.client, publish(2, "exactly once"))
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		g.pair.Farewell("rebalanced", []byte("not these"), 2*time.Hour)
		nothing(t, g.client)
		g.pair.Close("kicked")
		expectLast(t, g.client, "")
		g.leave(t, "drained", "")
	})
}

func TestAFarewellInAHurryEndsThePatienceOfTheOneBefore(t *testing.T) {
	for _, patience := range []time.Duration{0, 200 * time.Millisecond} {
		forEach(t, func(t *testing.T, g *rig) {
			g.pass(t, g.server, g.client, publish(2, "exactly once"))
			g.pair.Farewell("drained", []byte(bye), time.Hour)
			nothing(t, g.client)
			g.pair.Farewell("kicked", []byte("not these"), patience)
			expectLast(t, g.client, bye)
			expectLast(t, g.server, "")
			g.leave(t, "drained", bye)
		})
	}
}

func TestAFarewellInAHurryDoesNotWaitForAPacketThatNeverEnds(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		p := publish(0, "never ends")
		g.pass(t, g.server, g.client, p[:5])
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		g.pair.Farewell("kicked", []byte(bye), 0)
		expectLast(t, g.client, "")
		g.leave(t, "drained", "")
	})
}

func TestAFarewellAfterCloseSaysNothing(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pair.Close("kicked")
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		expectLast(t, g.client, "")
		g.leave(t, "kicked", "")
		g.pair.Farewell("drained", []byte(bye), time.Hour)
	})
}

func TestWithoutFollowAFarewellIsClose(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{})
			g.pass(t, g.server, g.client, publish(2, "exactly once"))
			g.pair.Farewell("drained", []byte(bye), time.Hour)
			expectLast(t, g.client, "")
			g.leave(t, "drained", "")
		})
	}
}

func TestAnEndpointThatClosesWhileAFarewellWaitsLetsTheWordsIn(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.server, g.client, publish(2, "exactly once"))
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		nothing(t, g.client)
		g.server.Close()
		expectLast(t, g.client, bye)
		g.leave(t, "drained", bye)
	})
}

func TestAnEndpointThatDiesWithinAPacketEndsAFarewellWithoutWords(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.server, g.client, publish(0, "cut off")[:4])
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		g.server.Close()
		expectLast(t, g.client, "")
		if res := g.wait(t); res.Reason != "drained" || res.ToClient != res.FromUpstream {
			t.Errorf("result %+v", res)
		}
	})
}

func TestAFarewellAfterTheEndpointClosedIsClose(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.server.Close()
		expectLast(t, g.client, "")
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		if res := g.wait(t); res.Reason != UpstreamClosed || res.ToClient != 0 {
			t.Errorf("result %+v", res)
		}
	})
}

func TestAClientThatGoesWhileAFarewellWaitsEndsThePair(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		g.pass(t, g.server, g.client, publish(2, "exactly once"))
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		g.client.Close()
		expectLast(t, g.server, "")
		g.server.Close()
		if res := g.wait(t); res.Reason != "drained" {
			t.Errorf("result %+v", res)
		}
	})
}

func TestTheIdleTimeGoesOnWhileAFarewellWaits(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, v, Options{Follow: new(mqtt.Follower), Idle: time.Second})
			g.pass(t, g.server, g.client, publish(2, "exactly once"))
			g.pair.Farewell("drained", []byte(bye), time.Hour)
			expectLast(t, g.client, "")
			g.leave(t, "drained", "")
		})
	}
}

func TestAClientThatReadsNothingIsLeftInTheEnd(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		go func() {
			p := []byte(publish(0, string(make([]byte, 1000))))
			for {
				if _, err := g.server.Write(p); err != nil {
					return
				}
			}
		}()
		g.stuck(t)
		g.pair.Farewell("drained", []byte(bye), 200*time.Millisecond)
		if res := g.wait(t); res.Reason != "drained" || res.ToClient >= res.FromUpstream {
			t.Errorf("result %+v", res)
		}
	})
}

func TestWordsReachAClientThatKeepsSending(t *testing.T) {
	// To close a socket with bytes unread destroys what it has not sent yet
	// (RFC 2525 section 2.17), and much is left: the client reads late.
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			for range 10 {
				if wordsReachTheSender(t, newRig(t, v, Options{Follow: new(mqtt.Follower)})) {
					return
				}
			}
			t.Error("the client never read within a second")
		})
	}
}

// wordsReachTheSender returns false when the client was too late.
func wordsReachTheSender(t *testing.T, g *rig) (inTime bool) {
	p := publish(0, strings.Repeat("x", 1000))
	all := strings.Repeat(p, 512<<10/len(p))
	_, err := io.WriteString(g.server, all)
	must(t, err)
	g.stuck(t)
	var sending sync.WaitGroup
	defer sending.Wait()
	defer g.client.Close()
	sending.Go(func() {
		for {
			if _, err := io.WriteString(g.client, p); err != nil {
				return
			}
		}
	})
	must(t, eventually(func() bool { up, _ := g.pair.Bytes(); return up > 0 }))
	began := time.Now()
	g.pair.Farewell("drained", []byte(bye), time.Hour)
	io.Copy(io.Discard, g.server)
	<-time.After(50 * time.Millisecond) // so that a close would have come
	g.client.SetReadDeadline(time.Now().Add(10 * time.Second))
	got, err := io.ReadAll(g.client)
	if time.Since(began) >= abortGrace {
		return false
	}
	if err != nil || string(got) != all+bye {
		t.Errorf("the client got %d bytes of %d, %v", len(got), len(all)+len(bye), err)
	}
	g.leave(t, "drained", bye)
	return true
}

func TestWhatWasQueuedForTheEndpointIsSentBeforeItsClose(t *testing.T) {
	forEach(t, func(t *testing.T, g *rig) {
		all := bytes.Repeat([]byte(publish(0, string(make([]byte, 1000)))), 16<<10)
		go g.client.Write(all)
		taken, _ := g.stuck(t)
		g.pair.Farewell("drained", []byte(bye), time.Hour)
		g.server.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, err := io.ReadAll(g.server)
		if err != nil || uint64(len(got)) < taken || !bytes.HasPrefix(all, got) {
			t.Errorf("the endpoint got %d bytes, %v; %d had been taken for it", len(got), err, taken)
		}
		expectLast(t, g.client, bye)
		g.leave(t, "drained", bye)
	})
}

// watched counts what a follower is shown.
type watched struct {
	mqtt.Follower
	shown atomic.Int64
}

func (w *watched) FromServer(p []byte) (int, bool) {
	w.shown.Add(int64(len(p)))
	return w.Follower.FromServer(p)
}

func (w *watched) FromClient(p []byte) (int, bool) {
	w.shown.Add(int64(len(p)))
	return w.Follower.FromClient(p)
}

func TestTheFollowerIsShownNothingOfAStreamThatItLost(t *testing.T) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := &watched{}
			g := newRig(t, v, Options{Follow: w})
			g.pass(t, g.server, g.client, "\x30\xff\xff\xff\xff")
			g.pass(t, g.client, g.server, "\x30\xff\xff\xff\xff")
			g.pass(t, g.server, g.client, "more")
			g.pass(t, g.client, g.server, "more")
			g.client.Close()
			g.server.Close()
			g.wait(t)
			if n := w.shown.Load(); n != 10 {
				t.Errorf("%d bytes were shown, want 10", n)
			}
		})
	}
}
