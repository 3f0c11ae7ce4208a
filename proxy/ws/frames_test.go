package ws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unsafe"
)

// frame makes a frame of a server.
func frame(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return string(b) + payload
}

// mask makes a frame of a client of what frame makes.
func mask(frame string) string {
	key := "\x37\xfa\x21\x3d" // of RFC 6455 section 5.7
	b := []byte(frame)
	b[1] |= 0x80
	head := 2
	switch b[1] & 0x7f {
	case 126:
		head = 4
	case 127:
		head = 10
	}
	for i := range b[head:] {
		b[head+i] ^= key[i&3]
	}
	return string(b[:head]) + key + string(b[head:])
}

// follow shows b to f in pieces of at most step bytes and returns the payload of messages.
func follow(f *frames, b string, step int) string {
	var out []byte
	for len(b) > 0 {
		piece := []byte(b[:min(step, len(b))])
		b = b[len(piece):]
		for len(piece) > 0 {
			var payload []byte
			payload, piece = f.next(piece)
			plain := make([]byte, len(payload))
			if f.flags&masked == 0 {
				copy(plain, payload)
			} else if n := f.unmask(plain[:len(plain)/2], payload); n < len(plain) {
				f.unmask(plain[n:], payload[n:]) // in two parts, as a small buffer has it
			}
			out = append(out, plain...)
		}
	}
	return string(out)
}

func TestFramesGiveTheirMessagesHoweverTheyAreCut(t *testing.T) {
	long, longer := strings.Repeat("m", 126), strings.Repeat("n", 1<<16)
	for _, tt := range []struct {
		name string
		in   []string
		want string
	}{
		{"one", []string{frame(0x82, "abc")}, "abc"},
		{"empty", []string{frame(0x82, ""), frame(0x82, "x")}, "x"},
		{"of each length", []string{frame(0x82, long[:125]), frame(0x82, long), frame(0x82, longer[:1<<16-1]), frame(0x82, longer)},
			long[:125] + long + longer[:1<<16-1] + longer},
		{"in fragments, with a ping between", []string{frame(0x02, "a"), frame(0x89, "ping"), frame(0x00, ""),
			frame(0x8a, ""), frame(0x00, "b"), frame(0x80, "c")}, "abc"},
		{"behind a ping", []string{frame(0x89, ""), frame(0x82, "a")}, "a"},
		{"before the end", []string{frame(0x82, "a"), frame(0x88, "\x03\xe8")}, "a"},
	} {
		for _, fromClient := range []bool{false, true} {
			for _, step := range []int{1, 2, 3, 7, 1 << 20} {
				var f frames
				in := strings.Join(tt.in, "")
				if fromClient {
					f.flags, in = masked, ""
					for _, one := range tt.in {
						in += mask(one)
					}
				}
				if got := follow(&f, in, step); got != tt.want || f.err() != nil {
					t.Errorf("%s (client %t, step %d): %d bytes, want %d, %v", tt.name, fromClient, step, len(got), len(tt.want), f.err())
				}
			}
		}
	}
}

func TestBrokenFramesAreKnownByTheirHeader(t *testing.T) {
	for _, tt := range []struct {
		name, in   string
		fromClient bool
		says       string
	}{
		{"text", "\x81", false, "text"},
		{"RSV1, as compression sets it", "\xc2", false, "reserved"},
		{"RSV3", "\x92", false, "reserved"},
		{"an opcode for data", "\x83", false, "opcode"},
		{"an opcode for control", "\x8b", false, "opcode"},
		{"a continuation of nothing", "\x80", false, "order"},
		{"a message within another", frame(0x02, "a") + "\x82", false, "order"},
		{"a continuation after the end", frame(0x02, "a") + frame(0x80, "b") + "\x80", false, "order"},
		{"a ping in fragments", "\x09", false, "control"},
		{"a long ping", "\x89\x7e", false, "control"},
		{"a mask of a server", "\x82\x80", false, "with a mask"},
		{"no mask of a client", "\x82\x00", true, "without a mask"},
		{"125 in two bytes", "\x82\x7e\x00\x7d", false, "shortest"},
		{"65535 in eight bytes", "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", false, "shortest"},
		{"2^63", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", false, "shortest"},
	} {
		f := frames{}
		if tt.fromClient {
			f.flags = masked
		}
		follow(&f, tt.in[:len(tt.in)-1], 100)
		if f.broken() || f.err() != nil {
			t.Errorf("%s: broken too early: %v", tt.name, f.err())
		}
		follow(&f, tt.in[len(tt.in)-1:], 100)
		err := f.err()
		if !f.broken() || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
		if errors.Is(err, ErrText) == errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v is not of one kind", tt.name, err)
		}
		if got := follow(&f, frame(0x82, "more"), 100); got != "" || f.atBoundary() {
			t.Errorf("%s: %q after it broke", tt.name, got)
		}
	}
}

func TestAMessageMayGoOnlyBetweenMessages(t *testing.T) {
	in := frame(0x82, "ab") + frame(0x02, "c") + frame(0x89, "p") + frame(0x80, "") + frame(0x8a, "p") + frame(0x88, "")
	//      header, payload   -, then in fragments  ping within      the last      pong: between   then never
	want := "nnnY" + "nnn" + "nnn" + "nY" + "nnY" + "nn"
	var f frames
	if !f.atBoundary() {
		t.Error("not at the start")
	}
	got := ""
	for i := range len(in) {
		follow(&f, in[i:i+1], 1)
		if f.atBoundary() {
			got += "Y"
		} else {
			got += "n"
		}
	}
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if f.state != closed {
		t.Errorf("state %d after a close frame", f.state)
	}
}

func TestFollowingADirectionTakesSixteenBytes(t *testing.T) {
	if n := unsafe.Sizeof(frames{}); n > 16 {
		t.Errorf("%d bytes", n)
	}
}

func TestFramesOfOnesOwnAreThoseOfAServer(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 1<<16 - 1, 1 << 16} {
		payload := strings.Repeat("x", n)
		if got := string(AppendFrame([]byte("a"), []byte(payload))); got != "a"+frame(0x82, payload) {
			t.Errorf("%d bytes: %.20q", n, got)
		}
	}
	if got := string(AppendClose([]byte("a"), CloseTooBig)); got != "a"+frame(0x88, "\x03\xf1") {
		t.Errorf("%q", got)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte(mask(frame(0x02, "abc"))+mask(frame(0x89, ""))+mask(frame(0x80, "d"))), true, uint8(3))
	f.Add([]byte(frame(0x82, strings.Repeat("x", 300))+frame(0x88, "\x03\xe8")), false, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, fromClient bool, step uint8) {
		var whole, pieces frames
		if fromClient {
			whole.flags, pieces.flags = masked, masked
		}
		want := follow(&whole, string(b), len(b)+1)
		if got := follow(&pieces, string(b), int(step)+1); got != want || pieces != whole {
			t.Fatalf("whole %q, %+v; in pieces %q, %+v", want, whole, got, pieces)
		}
		model, end := reference(b, fromClient)
		if want != string(model) {
			t.Fatalf("%q, the reference says %q", want, model)
		}
		if end != (whole.state == inPayload && whole.left == 0) {
			t.Fatalf("between frames: the reference says %t, %+v", end, whole)
		}
	})
}

// reference is RFC 6455 section 5.2 once more, on a whole stream and with no
// care for memory. It returns the payload of messages and whether b ends between
// two frames.
func reference(b []byte, fromClient bool) (payload []byte, between bool) {
	message := false
	for len(b) > 0 {
		op, final := b[0]&0x0f, b[0]&0x80 != 0
		isControl := op >= 8
		known := op == 0 && message || op == 2 && !message || op >= 8 && op <= 10 && final
		if b[0]&0x70 != 0 || !known || len(b) < 2 || (b[1]&0x80 != 0) != fromClient {
			return payload, false
		}
		if !isControl {
			message = !final
		}
		n, b2 := uint64(b[1]&0x7f), b[2:]
		width := map[uint64]int{126: 2, 127: 8}[n]
		if isControl && width > 0 || len(b2) < width {
			return payload, false
		}
		if width > 0 {
			n = binary.BigEndian.Uint64(append(make([]byte, 8-width), b2[:width]...))
			if width == 2 && n < 126 || width == 8 && (n < 1<<16 || n >= 1<<63) {
				return payload, false
			}
		}
		b2 = b2[width:]
		key := make([]byte, 4)
		if fromClient {
			if len(b2) < 4 {
				return payload, false
			}
			key, b2 = b2[:4], b2[4:]
		}
		here := bytes.Clone(b2[:min(n, uint64(len(b2)))])
		for i := range here {
			here[i] ^= key[i%4]
		}
		if !isControl {
			payload = append(payload, here...)
		}
		if uint64(len(here)) < n || op == 8 {
			return payload, false
		}
		b = b2[n:]
	}
	return payload, true
}
