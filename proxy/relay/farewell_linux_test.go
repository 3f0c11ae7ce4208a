package relay

import (
	"bytes"
	"io"
	"testing"
	"time"
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
	g := newRig(t, variant{loops: 1}, Options{Follow: &watched{}})
	large := publish(0, string(stream(1, 0, 16<<20)))
	go func() {
		for {
			if _, err := io.WriteString(g.server, large); err != nil {
				return
			}
		}
	}()
	got := make([]byte, 10<<20)
	_, err := io.ReadFull(g.client, got)
	must(t, err)
	g.stuck(t)
	g.pair.Farewell("drained", []byte(bye), time.Hour)
	rest, err := io.ReadAll(g.client)
	must(t, err)
	got = append(got, rest...)
	got, ok := bytes.CutSuffix(got, []byte(bye))
	if !ok || len(got)%len(large) != 0 {
		t.Fatalf("%d bytes came, the words among them: %v", len(got), ok)
	}
	for ; len(got) > 0; got = got[len(large):] {
		if string(got[:len(large)]) != large {
			t.Fatal("a packet is not what was sent")
		}
	}
	g.leave(t, "drained", bye)
}
