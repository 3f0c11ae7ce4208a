package relay

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/mqedge/mqedge/proxy/mqtt"
	"golang.org/x/sys/unix"
)

func TestLargePacketsAreSplicedAndSmallOnesSeen(t *testing.T) {
	for _, direction := range []string{"to the client", "to the endpoint"} {
		t.Run(direction, func(t *testing.T) {
			const packets = 30
			w := &watched{}
			g := newRig(t, variant{loops: 1}, Options{Follow: w})
			from, to := g.server, g.client
			if direction == "to the endpoint" {
				from, to = to, from
			}
			large := publish(0, string(stream(1, 0, 4<<20)))
			small := publish(0, "small")
			go func() {
				for range packets {
					io.WriteString(from, large+small)
				}
				io.WriteString(g.server, small[:1])
			}()
			to.SetReadDeadline(time.Now().Add(20 * time.Second))
			want := []byte(large + small)
			got := make([]byte, len(want))
			for range packets {
				_, err := io.ReadFull(to, got)
				must(t, err)
				if !bytes.Equal(got, want) {
					t.Fatal("a packet is not what was sent")
				}
			}
			expect(t, g.client, small[:1])
			g.pair.Farewell("drained", []byte(bye), time.Hour)
			nothing(t, g.client)
			io.WriteString(g.server, small[1:]+small)
			expectLast(t, g.client, small[1:]+bye)
			expectLast(t, g.server, "")
			g.leave(t, "drained", bye)
			if seen := w.shown.Load(); seen > packets*int64(len(want))/2 {
				t.Errorf("%d bytes of %d were read", seen, packets*len(want))
			}
		})
	}
}

func TestWordsComeBehindWhatIsInThePipe(t *testing.T) {
	g := newRig(t, variant{loops: 1}, Options{Follow: new(mqtt.Follower)})
	large := publish(0, string(stream(1, 0, 4<<20)))
	go func() {
		for {
			if _, err := io.WriteString(g.server, large); err != nil {
				return
			}
		}
	}()
	p, l := g.pair.(*loopPair), g.relay.loops[0]
	got := make([]byte, len(large))
	g.stopInSplice(t, client, func() {
		_, err := io.ReadFull(g.client, got)
		must(t, err)
	})
	l.runIn(func() { rawSetInt(int(p.sides[client].fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10) })
	g.pair.Farewell("drained", []byte(bye), time.Hour)
	got = got[:0]
	var err error
	for buf := make([]byte, 64<<10); err == nil; {
		var n int
		n, err = g.client.Read(buf)
		got = append(got, buf[:n]...)
	}
	got, said := bytes.CutSuffix(got, []byte(bye))
	if err != io.EOF || !said || len(got)%len(large) != 0 {
		t.Fatalf("%d bytes came, %v, the words at the end: %v", len(got), err, said)
	}
	for ; len(got) > 0; got = got[len(large):] {
		if string(got[:len(large)]) != large {
			t.Error("a packet is not what was sent")
		}
	}
	g.leave(t, "drained", bye)
}

func TestAnEmptyPipeDoesNotHoldUpTheWords(t *testing.T) {
	g := newRig(t, variant{loops: 1}, Options{Follow: anywhere{}})
	p, words := g.pair.(*loopPair), stream(1, 0, 900<<10)
	ready := make(chan struct{})
	p.at().runIn(func() {
		defer close(ready)
		s := &p.sides[client]
		rawSetInt(int(s.fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10)
		s.backlog = &backlog{pipe: p.at().borrowPipe()} // as when a turn ends behind a splice
	})
	<-ready
	g.pair.Farewell("drained", words, 0)
	expectLast(t, g.client, string(words))
	g.leave(t, "drained", string(words))
}

// stopInSplice reads until nothing moves while there are bytes for a side in its
// pipe.
func (g *rig) stopInSplice(t *testing.T, to int, read func()) {
	t.Helper()
	must(t, eventually(func() bool {
		for range 5 {
			read()
		}
		g.stuck(t)
		piped := make(chan bool, 1)
		g.relay.loops[0].runIn(func() {
			b := g.pair.(*loopPair).sides[to].backlog
			piped <- b != nil && b.pipe != nil && b.pipe.n > 0
		})
		return <-piped
	}))
}

func TestNothingFollowsWhatIsInThePipeForTheEndpoint(t *testing.T) {
	g := newRig(t, variant{loops: 1}, Options{Follow: anywhere{}})
	go io.Copy(g.client, neverEnding{})
	got, buf := uint64(0), make([]byte, 4<<20)
	g.stopInSplice(t, upstream, func() {
		n, err := io.ReadFull(g.server, buf)
		must(t, err)
		got += uint64(n)
	})
	taken, _ := g.pair.Bytes()
	g.pair.Farewell("drained", []byte(bye), 0)
	expectLast(t, g.client, bye)
	n, err := io.Copy(io.Discard, g.server)
	if err != nil || got+uint64(n) != taken {
		t.Errorf("the endpoint got %d bytes, %v; %d were taken for it", got+uint64(n), err, taken)
	}
	g.leave(t, "drained", bye)
}

// anywhere has a boundary after each byte.
type anywhere struct{}

func (anywhere) FromClient([]byte) (int, bool) { return 0, true }
func (anywhere) FromServer([]byte) (int, bool) { return 0, true }
func (anywhere) ClientLeft() int               { return 1 << 20 }
func (anywhere) ServerLeft() int               { return 1 << 20 }
func (anywhere) SkipClient(int)                {}
func (anywhere) SkipServer(int)                {}
func (anywhere) AtServerBoundary() bool        { return true }
func (anywhere) QoS2Open() bool                { return false }

func TestTheEndFollowsTheWordsAsSoonAsTheClientTakesThem(t *testing.T) {
	for _, v := range variants {
		if v.loops == 0 {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			v.loops = 1
			g := newRig(t, v, Options{Follow: anywhere{}})
			go io.Copy(g.server, neverEnding{})
			p := g.pair.(*loopPair)
			must(t, eventually(func() bool {
				begun := make(chan bool, 1)
				g.relay.loops[0].runIn(func() {
					if !p.sides[client].blocked() {
						begun <- false
						return
					}
					p.conclude("drained", nil)
					p.await(newFarewell([]byte(bye), 0, p.at().now)) // Farewell, while the words have to wait
					p.linger += 1000                                 // the close at the end of the grace would do as well
					begun <- true
				})
				return <-begun
			}))
			g.client.SetReadDeadline(time.Now().Add(10 * time.Second))
			got, err := io.ReadAll(g.client)
			got, said := bytes.CutSuffix(got, []byte(bye))
			if err != nil || !said || bytes.Trim(got, "\x00") != nil {
				t.Errorf("%d bytes came, %v, the words at the end: %v", len(got), err, said)
			}
			g.leave(t, "drained", bye)
		})
	}
}

// runIn runs f in loop l.
func (l *loop) runIn(f func()) {
	l.relay.pairs.Add(1)
	l.running.Add(1)
	l.post(message{conn: &Conn{socket: socket{fd: -1, slot: -1, loop: l}}, run: f})
}

func TestAFarewellGoesOnWaitingInTheLoopThatThePairIsHandedTo(t *testing.T) {
	g := newRig(t, variant{loops: 2}, Options{Follow: new(mqtt.Follower)})
	g.pass(t, g.server, g.client, publish(2, "exactly once"))
	g.pair.Farewell("drained", []byte(bye), 2*time.Second)
	from, to := g.relay.loops[0], g.relay.loops[1]
	from.runIn(func() {
		p := g.pair.(*loopPair)
		if p.farewell == nil {
			t.Error("no farewell waits")
		}
		from.handOver(p, to)
	})
	g.pass(t, g.client, g.server, publish(0, "the client goes on"))
	expectLast(t, g.client, bye)
	expectLast(t, g.server, "")
	g.leave(t, "drained", bye)
}
