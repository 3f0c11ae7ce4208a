package relay

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mqedge/mqedge/proxy/mqtt"
)

// talk is packets of all types in a random order, some of them up to most bytes long, and how many are messages.
func talk(rng *rand.Rand, most int) (packets []string, messages int) {
	for range rng.IntN(200) {
		first := byte(1+rng.IntN(15)) << 4
		if rng.IntN(2) == 0 {
			first = 0x30 | byte(rng.IntN(12))
		}
		n := rng.IntN(20)
		switch {
		case rng.IntN(30) == 0:
			n = rng.IntN(most)
		case rng.IntN(3) == 0:
			n = rng.IntN(500)
		}
		if first>>4 == 3 {
			messages++
		}
		packets = append(packets, mqttPacket(first, n))
	}
	return packets, messages
}

// mqttPacket has 0x30 in its body, where a PUBLISH would begin if it were one.
func mqttPacket(first byte, n int) string {
	head := []byte{first}
	for left := n; ; {
		digit := byte(left & 0x7f)
		if left >>= 7; left == 0 {
			return string(append(head, digit)) + strings.Repeat("0", n)
		}
		head = append(head, digit|0x80)
	}
}

func TestMessagesOfAllPairsAddUpExactly(t *testing.T) {
	const pairs = 24
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, v.loops)
			stopped := running(t, r)
			var counters Counters
			var want [2]int
			var all sync.WaitGroup
			for i := range pairs {
				rng := rand.New(rand.NewPCG(uint64(i), 9))
				fromClient, n := talk(rng, 20<<10)
				fromServer, m := talk(rng, 6<<20) // some of it is spliced
				want[client] += n
				want[upstream] += m
				all.Go(func() { playTalk(t, r, v, uint64(i), fromClient, fromServer, &counters) })
			}
			all.Wait()
			stopped()
			if got := [2]int{int(counters.MessagesFromClient.Load()), int(counters.MessagesToClient.Load())}; got != want {
				t.Errorf("counted %d messages of clients and of endpoints, %d were sent", got, want)
			}
		})
	}
}

func playTalk(t *testing.T, r *Relay, v variant, seed uint64, fromClient, fromServer []string, counters *Counters) {
	co, ci := tcpPair(t)
	so, si := tcpPair(t)
	near, err := NewConn(ci, nil)
	must(t, err)
	far, err := NewConn(si, nil)
	must(t, err)
	outer, inner := modelClient(t, r, v, seed, co, near)
	done := make(chan Result, 1)
	_, err = r.Add(inner, far, Options{Idle: time.Minute, Follow: new(mqtt.Follower), Counters: counters}, func(res Result) { done <- res })
	must(t, err)
	var all sync.WaitGroup
	for _, end := range []struct {
		conn net.Conn
		says []string
	}{{outer, fromClient}, {so, fromServer}} {
		all.Go(func() {
			for _, packet := range end.says {
				if _, err := io.WriteString(end.conn, packet); err != nil {
					t.Error(err)
					return
				}
			}
			end.conn.(closeWriter).CloseWrite()
		})
		all.Go(func() { io.Copy(io.Discard, struct{ io.Reader }{end.conn}) })
	}
	all.Wait()
	co.Close()
	so.Close()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Errorf("pair %d did not end", seed)
	}
}

func TestAMessageIsCountedWhileThePairLivesAndOnceWhereverItIsCut(t *testing.T) {
	messages := mqttPacket(0x32, 3) + mqttPacket(0xc0, 0) + mqttPacket(0x3d, 200) + mqttPacket(0x62, 2) + mqttPacket(0x30, 2)
	var cuts []int
	for cut := range messages {
		if cut < 12 || cut > len(messages)-12 { // what is between is one body
			cuts = append(cuts, cut)
		}
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			var counters Counters
			g := newRig(t, v, Options{Follow: new(mqtt.Follower), Counters: &counters})
			for _, cut := range cuts {
				for _, side := range []struct {
					from, to net.Conn
					count    func() uint64
				}{{g.client, g.server, counters.MessagesFromClient.Load}, {g.server, g.client, counters.MessagesToClient.Load}} {
					before := side.count()
					for _, part := range []string{messages[:cut], messages[cut:]} {
						if part != "" {
							g.pass(t, side.from, side.to, part)
						}
					}
					if n := side.count() - before; n != 3 { // what has arrived is counted
						t.Fatalf("cut at %d: %d messages, want 3", cut, n)
					}
				}
			}
			g.client.Close()
			g.server.Close()
			g.wait(t)
			if in, out := counters.MessagesFromClient.Load(), counters.MessagesToClient.Load(); in != uint64(3*len(cuts)) || out != in {
				t.Errorf("at the end %d in, %d out", in, out)
			}
		})
	}
}

func TestAMessageThatIsSplicedCountsOnce(t *testing.T) {
	var counters Counters
	g := newRig(t, variant{loops: 1}, Options{Follow: new(mqtt.Follower), Counters: &counters})
	for n := range uint64(3) {
		for _, way := range [][2]net.Conn{{g.client, g.server}, {g.server, g.client}} {
			packet := mqttPacket(0x30, 20<<20)
			go io.WriteString(way[0], packet)
			expect(t, way[1], packet)
		}
		if in, out := counters.MessagesFromClient.Load(), counters.MessagesToClient.Load(); in != n+1 || out != n+1 {
			t.Errorf("%d in, %d out, want %d", in, out, n+1)
		}
	}
	g.client.Close()
	g.server.Close()
	g.wait(t)
}

// BenchmarkCount is what counting adds to a read, when as many loops as there are
// processors count for one listener.
func BenchmarkCount(b *testing.B) {
	for _, counted := range []bool{false, true} {
		b.Run(fmt.Sprintf("messages=%v", counted), func(b *testing.B) {
			var c Counters
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if counted {
						c.addMessages(client, 1)
					}
					c.FromClient.Add(200)
				}
			})
		})
	}
}
