package ws

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/proxy/mqtt"
)

func publish(qos byte, n int) string {
	body := str("t") + "\x00\x01" + strings.Repeat("p", n)
	if qos == 0 {
		body = str("t") + strings.Repeat("p", n)
	}
	length := string([]byte{byte(len(body))})
	if len(body) >= 0x80 {
		length = string([]byte{byte(len(body)) | 0x80, byte(len(body) >> 7)})
	}
	return string([]byte{0x30 | qos<<1}) + length + body
}

func TestAPacketMayGoOnlyBetweenMessagesAndBetweenPackets(t *testing.T) {
	ping := "\xd0\x00"
	for _, tt := range []struct {
		name, in string
		want     bool
	}{
		{"at the start", "", true},
		{"behind a packet in its frame", frame(0x82, ping), true},
		{"behind several", frame(0x82, ping+publish(0, 300)+ping), true},
		{"in a frame, between packets", frame(0x82, ping+ping)[:4], false},
		{"between frames, in a packet", frame(0x82, ping[:1]), false},
		{"behind both frames of a packet", frame(0x82, ping[:1]) + frame(0x82, ping[1:]), true},
		{"in a message of fragments, between packets", frame(0x02, ping), false},
		{"behind its last, empty fragment", frame(0x02, ping) + frame(0x80, ""), true},
		{"behind a ping of WebSocket", frame(0x89, "\xd0"), true},
		{"within a ping of WebSocket", frame(0x89, "x")[:2], false},
		{"behind a close frame", frame(0x82, ping) + frame(0x88, "\x03\xe8"), false},
		{"once frames are broken", frame(0x82, ping) + "\xff", false},
		{"once packets are broken", frame(0x82, "\x30\xff\xff\xff\xff"), false},
	} {
		for _, step := range []int{1, 2, 1000} {
			var f Follower
			for in := []byte(tt.in); len(in) > 0; in = in[min(step, len(in)):] {
				f.FromServer(in[:min(step, len(in))])
			}
			if got := f.AtServerBoundary(); got != tt.want {
				t.Errorf("%s, %d at a time: %t", tt.name, step, got)
			}
		}
	}
}

func TestALostStreamIsToldByReturnAndLeavesExchangesUnknown(t *testing.T) {
	for name, in := range map[string]string{"frames": "\xff", "packets": frame(0x82, "\x30\xff\xff\xff\xff")} {
		var f Follower
		if _, ok := f.FromServer([]byte(in)); ok || !f.QoS2Open() {
			t.Errorf("%s of the server", name)
		}
		f = Follower{}
		if name == "packets" {
			in = mask(in)
		}
		if _, ok := f.FromClient([]byte(in)); ok || !f.QoS2Open() {
			t.Errorf("%s of the client", name)
		}
	}
	for _, n := range []int{-1, 1} {
		f := Follower{}
		f.SkipClient(n)
		if !f.QoS2Open() {
			t.Errorf("%d bytes skipped of the client and none left", n)
		}
		f = Follower{}
		f.SkipServer(n)
		if !f.QoS2Open() || f.AtServerBoundary() {
			t.Errorf("%d bytes skipped of the server and none left", n)
		}
	}
}

func TestExchangesAreFollowedThroughMasksFramesAndSkips(t *testing.T) {
	var f Follower
	client := func(in string) {
		for b := []byte(in); len(b) > 0; {
			if n := min(f.ClientLeft(), len(b)); n > 0 {
				f.SkipClient(n)
				b = b[n:]
				continue
			}
			if _, ok := f.FromClient(b[:1]); !ok {
				t.Fatalf("lost in %.20q", in)
			}
			b = b[1:]
		}
	}
	client(mask(frame(0x82, connect(3))) + mask(frame(0x82, publish(2, 3000)[:100])))
	if !f.QoS2Open() {
		t.Error("an exchange began unseen")
	}
	if n := f.ClientLeft(); n != 0 {
		t.Errorf("%d left between two frames", n)
	}
	client(mask(frame(0x89, "pp")) + mask(frame(0x82, publish(2, 3000)[100:])))
	f.FromServer([]byte(frame(0x82, "\x50\x02\x00\x01")))
	client(mask(frame(0x02, "\x62\x02")) + mask(frame(0x80, "\x00\x01")))
	if !f.QoS2Open() {
		t.Error("an exchange ended before PUBCOMP")
	}
	f.FromServer([]byte(frame(0x82, "\x70\x02\x00\x01")))
	if f.QoS2Open() {
		t.Error("the exchange did not end with PUBCOMP")
	}
}

func TestBytesLeftEndWithTheirFrameAndTheirPacket(t *testing.T) {
	var f Follower
	f.FromServer([]byte(frame(0x82, publish(0, 100))[:20]))
	if n := f.ServerLeft(); n != 2+105-20 {
		t.Errorf("%d left of frame and packet", n)
	}
	f.SkipServer(f.ServerLeft())
	if !f.AtServerBoundary() {
		t.Error("not at the boundary behind what was skipped")
	}
	f.FromServer([]byte(frame(0x82, publish(0, 100)[:50])[:20]))
	if n := f.ServerLeft(); n != 2+50-20 {
		t.Errorf("%d left of a frame that ends in a packet", n)
	}
	f.SkipServer(f.ServerLeft() + 1)
	if _, ok := f.FromServer([]byte(frame(0x82, ""))); ok {
		t.Error("more was skipped than the frame had, though not more than the packet")
	}
	f = Follower{}
	f.FromServer([]byte(frame(0x82, publish(0, 50)+publish(0, 50))[:20]))
	if n := f.ServerLeft(); n != 2+55-20 {
		t.Errorf("%d left of a packet that ends in a frame", n)
	}
	f = Follower{}
	f.FromServer([]byte(frame(0x02, publish(0, 50)[:20]) + frame(0x89, "ping")[:3]))
	if n := f.ServerLeft(); n != 0 {
		t.Errorf("%d left of a control frame", n)
	}
}

func TestWhatFollowsALongPacketInItsFrameIsSeen(t *testing.T) {
	var f Follower
	n, ok := f.FromClient([]byte(mask(frame(0x82, publish(0, 3000)+publish(2, 5)+publish(0, 3000)))))
	if !ok || !f.QoS2Open() {
		t.Error("an exchange began unseen")
	}
	if n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}

func TestFollowingTakesNoMemory(t *testing.T) {
	var f Follower
	client, server := []byte(mask(frame(0x82, publish(1, 300)))), []byte(frame(0x82, publish(1, 300)))
	if n := testing.AllocsPerRun(100, func() { f.FromClient(client); f.FromServer(server) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFollower puts a stream of packets into frames by the seed and compares with
// what the packets alone say.
func FuzzFollower(f *testing.F) {
	client, server := connect(3)+publish(2, 200)+"\x62\x02\x00\x01", "\x20\x02\x00\x00"+publish(2, 5)+"\x50\x02\x00\x01"
	f.Add([]byte(client), []byte(server), uint64(1))
	f.Add([]byte(publish(0, 500)), []byte(publish(1, 500)), uint64(2))
	f.Fuzz(func(t *testing.T, client, server []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		var bare mqtt.Follower
		var framed Follower
		for len(client) > 0 || len(server) > 0 {
			c, s := client[:min(random.IntN(40), len(client))], server[:min(random.IntN(40), len(server))]
			client, server = client[len(c):], server[len(s):]
			var want, got [2]int
			want[0], _ = bare.FromClient(c)
			want[1], _ = bare.FromServer(s)
			wire := mask(frame(0x82, string(c)))
			if random.IntN(2) == 0 {
				wire = mask(frame(0x89, "x")) + mask(frame(0x02, string(c))) + mask(frame(0x80, ""))
			}
			for wire != "" {
				if n := min(framed.ClientLeft(), len(wire)); n > 0 && random.IntN(2) == 0 {
					framed.SkipClient(n)
					wire = wire[n:]
					continue
				}
				n := min(1+random.IntN(60), len(wire))
				messages, _ := framed.FromClient([]byte(wire[:n]))
				got[0] += messages
				wire = wire[n:]
			}
			for wire := AppendFrame(nil, s); len(wire) > 0; {
				if n := min(framed.ServerLeft(), len(wire)); n > 0 && random.IntN(2) == 0 {
					framed.SkipServer(n)
					wire = wire[n:]
					continue
				}
				n := min(1+random.IntN(60), len(wire))
				messages, _ := framed.FromServer(wire[:n])
				got[1] += messages
				wire = wire[n:]
			}
			if got != want {
				t.Fatalf("%d messages of the client's and the server's, want %d", got, want)
			}
			if framed.AtServerBoundary() != bare.AtServerBoundary() || framed.QoS2Open() != bare.QoS2Open() {
				t.Fatalf("boundary %t, want %t; open %t, want %t",
					framed.AtServerBoundary(), bare.AtServerBoundary(), framed.QoS2Open(), bare.QoS2Open())
			}
		}
	})
}
