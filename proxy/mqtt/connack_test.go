package mqtt

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// allProperties is one of each that a CONNACK may have (MQTT 5.0 section 3.2.2.3).
var allProperties = "\x11\x00\x00\x0e\x10" + "\x21\x00\x20" + "\x24\x01" + "\x25\x01" + "\x27\x00\x10\x00\x00" +
	"\x12" + str("auto-1") + "\x22\xff\xff" + "\x1f" + str("why") + "\x26" + str("k") + str("v") + "\x26" + str("k") + str("v") +
	"\x28\x01" + "\x29\x01" + "\x2a\x01" + "\x13\x00\x78" + "\x1a" + str("re/") + "\x1c" + str("b.example:1883 c.example") +
	"\x15" + str("SCRAM-SHA-1") + "\x16" + str("\x00\xff")

func properties(s string) string { return string(packet(0, s)[1:]) }

func TestConnacksOfEveryVersionAreRead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		level byte
		in    []byte
		want  Connack
	}{
		{"3.1", Level31, packet(0x20, "\x01\x00"), Connack{}}, // the first byte is not used
		{"3.1.1 accepted", Level311, packet(0x20, "\x00\x00"), Connack{}},
		{"3.1.1 with a session", Level311, packet(0x20, "\x01\x00"), Connack{SessionPresent: true}},
		{"3.1.1 not authorized", Level311, packet(0x20, "\x00\x05"), Connack{ReasonCode: 5}},
		{"5 accepted", Level5, packet(0x20, "\x00\x00\x00"), Connack{}},
		{"5 server busy", Level5, packet(0x20, "\x00\x89\x00"), Connack{ReasonCode: ServerBusy}},
		{"5 no keep alive", Level5, packet(0x20, "\x00\x00\x03\x13\x00\x00"), Connack{HasServerKeepAlive: true}},
		{"5 all properties", Level5, packet(0x20, "\x01\x9c"+properties(allProperties)),
			Connack{ReasonCode: UseAnotherServer, SessionPresent: true, ServerKeepAlive: 120, HasServerKeepAlive: true,
				AssignedClientID: "auto-1", ServerReference: "b.example:1883 c.example"}},
		{"3.1.1 for a client of 5", Level5, packet(0x20, "\x00\x01"), Connack{ReasonCode: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for cut := range tt.in {
				if _, _, err := ParseConnack(tt.in[:cut], tt.level, 1000); err != ErrIncomplete {
					t.Fatalf("after %d bytes: %v", cut, err)
				}
			}
			got, n, err := ParseConnack(append(bytes.Clone(tt.in), 0xd0, 0), tt.level, 1000)
			if err != nil || n != len(tt.in) || got != tt.want {
				t.Errorf("got %+v, %d, %v", got, n, err)
			}
		})
	}
}

func TestWhatIsNoConnackIsSaidWithAReason(t *testing.T) {
	for _, tt := range []struct {
		name  string
		level byte
		in    string
		want  error
		says  string
	}{
		{"HTTP", Level311, "HTTP/1.1 400 Bad Request\r\n", ErrNotConnack, "HTTP"},
		{"a TLS alert", Level311, "\x15\x03\x01\x00\x02\x02\x46", ErrNotConnack, "tls"},
		{"PUBLISH first", Level311, "\x30\x03\x00\x01a", ErrNotConnack, "0x30"},
		{"DISCONNECT first", Level5, "\xe0\x02\x8b\x00", ErrNotConnack, "0xe0"},
		{"reserved bits of the fixed header", Level5, "\x21\x03\x00\x00\x00", ErrNotConnack, "0x21"},
		{"AUTH first", Level5, "\xf0\x02\x18\x00", ErrAuthFirst, "authentication"},
		{"AUTH before 5.0", Level311, "\xf0\x02\x18\x00", ErrNotConnack, "0xf0"},
		{"a short one", Level5, "\x20\x01\x00", ErrNotConnack, "1 bytes"},
		{"properties before 5.0", Level311, "\x20\x03\x00\x00\x00", ErrNotConnack, "3 bytes"},
		{"a length of five bytes", Level5, "\x20\xff\xff\xff\xff\x01", ErrNotConnack, "four"},
		{"more than allowed", Level5, "\x20\xe6\x07", ErrTooLarge, "at most 1000"},
		{"properties beyond the packet", Level5, "\x20\x06\x00\x00\x04\x13\x00\x00", ErrNotConnack, "end with the packet"},
		{"bytes after the properties", Level5, "\x20\x07\x00\x00\x03\x13\x00\x00\x24", ErrNotConnack, "end with the packet"},
		{"a property length of five bytes", Level5, "\x20\x07\x00\x00\xff\xff\xff\xff\x01", ErrNotConnack, "end with the packet"},
		{"no properties but their length", Level5, "\x20\x03\x00\x00\x01", ErrNotConnack, "end with the packet"},
		{"a property cut off", Level5, "\x20\x05\x00\x00\x02\x13\x00", ErrNotConnack, "0x13"},
		{"an unknown property", Level5, "\x20\x05\x00\x00\x02\x01\x00", ErrNotConnack, "0x01"},
		{"two keep alives", Level5, "\x20\x09\x00\x00\x06\x13\x00\x01\x13\x00\x02", ErrNotConnack, "twice"},
		{"two client ids", Level5, "\x20\x0b\x00\x00\x08\x12\x00\x01a\x12\x00\x01b", ErrNotConnack, "twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := ParseConnack([]byte(tt.in), tt.level, 1000)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || got != (Connack{}) {
				t.Errorf("got %+v, %v, want %v saying %q", got, err, tt.want, tt.says)
			}
		})
	}
}

func TestReadConnackReturnsEveryByteItRead(t *testing.T) {
	in := packet(0x20, "\x00\x00"+properties("\x1f"+str(strings.Repeat("r", 3000))+"\x13\x00\x0a"))
	in = append(in, "\x30\x03\x00\x01a"...) // a retained message right behind it
	for name, r := range map[string]io.Reader{
		"at once":         bytes.NewReader(in),
		"byte by byte":    iotest.OneByteReader(bytes.NewReader(in)),
		"data with error": iotest.DataErrReader(bytes.NewReader(in)),
	} {
		t.Run(name, func(t *testing.T) {
			c, got, err := ReadConnack(r, nil, Level5, 64<<10)
			if err != nil || c.ServerKeepAlive != 10 {
				t.Fatalf("got %+v, %v", c, err)
			}
			rest, _ := io.ReadAll(r)
			if !bytes.Equal(append(got, rest...), in) {
				t.Error("bytes were lost or changed")
			}
		})
	}
}

func TestReadConnackTellsAnEarlyCloseFromALateOne(t *testing.T) {
	if _, b, err := ReadConnack(strings.NewReader(""), nil, Level311, 100); err != io.EOF || len(b) > 0 {
		t.Errorf("before any byte: %q, %v", b, err)
	}
	if _, b, err := ReadConnack(strings.NewReader("\x20\x02"), nil, Level311, 100); err != io.ErrUnexpectedEOF || len(b) != 2 {
		t.Errorf("in the packet: %q, %v", b, err)
	}
}

func TestReadConnackReturnsWhatCameInsteadOfAConnack(t *testing.T) {
	for in, want := range map[string]error{"\xf0\x02\x18\x00": ErrAuthFirst, "\x20\xff\x7f\x00": ErrTooLarge, "HTTP/1.1": ErrNotConnack} {
		if _, b, err := ReadConnack(strings.NewReader(in), nil, Level5, 100); !errors.Is(err, want) || string(b) != in {
			t.Errorf("%q: %q, %v", in, b, err)
		}
	}
}

func FuzzParseConnack(f *testing.F) {
	f.Add(packet(0x20, "\x01\x9c"+properties(allProperties)), byte(Level5))
	f.Add(packet(0x20, "\x00\x05"), byte(Level311))
	f.Add([]byte("\x20\x07\x00\x00\xff\xff\xff\xff\x01"), byte(Level5))
	f.Add([]byte("\xf0\x02\x18\x00"), byte(Level5))
	f.Fuzz(func(t *testing.T, b []byte, level byte) {
		const max = 4096
		c, n, err := ParseConnack(b, level, max)
		if err == nil && (n > len(b) || n > max || n < 4) || err != nil && c != (Connack{}) {
			t.Fatalf("%+v takes %d of %d bytes, %v", c, n, len(b), err)
		}
		// However the bytes arrive, the verdict is the same.
		var verdict error = ErrIncomplete
		for cut := 0; cut <= len(b) && verdict == ErrIncomplete; cut++ {
			var piece Connack
			if piece, _, verdict = ParseConnack(b[:cut], level, max); verdict == nil && piece != c {
				t.Fatalf("in pieces %+v, whole %+v", piece, c)
			}
		}
		for _, sentinel := range []error{ErrIncomplete, ErrTooLarge, ErrAuthFirst, ErrNotConnack} {
			if errors.Is(err, sentinel) != errors.Is(verdict, sentinel) {
				t.Fatalf("whole: %v, in pieces: %v", err, verdict)
			}
		}
	})
}
