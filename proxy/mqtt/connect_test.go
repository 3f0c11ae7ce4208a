package mqtt

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// packet puts a fixed header in front of body.
func packet(first byte, body ...string) []byte {
	b := strings.Join(body, "")
	out := []byte{first}
	for n := len(b); ; {
		d := byte(n & 0x7f)
		if n >>= 7; n > 0 {
			out = append(out, d|0x80)
			continue
		}
		out = append(out, d)
		break
	}
	return append(out, b...)
}

func str(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

func TestConnectsOfEveryVersionAreRead(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []byte
		want Connect
	}{
		{"3.1", packet(0x10, str("MQIsdp"), "\x03\x02\x00\x3c", str("dev")),
			Connect{Level: 3, CleanStart: true, KeepAlive: 60, ClientID: "dev"}},
		{"3.1.1", packet(0x10, str("MQTT"), "\x04\x00\x01\x00", str("dev")),
			Connect{Level: 4, KeepAlive: 256, ClientID: "dev"}},
		{"3.1.1 with all fields", packet(0x10, str("MQTT"), "\x04\xf6\x00\x0a", str("dev"), str("will/t"), str("gone"), str("me"), str("secret")),
			Connect{Level: 4, CleanStart: true, KeepAlive: 10, ClientID: "dev", Username: "me"}},
		{"5", packet(0x10, str("MQTT"), "\x05\x02\x00\x00", "\x05\x11\x00\x00\x00\x0a", str("")),
			Connect{Level: 5, CleanStart: true}},
		{"5 with a will and properties", packet(0x10, str("MQTT"), "\x05\xc6\x00\x1e", "\x00", str("dev"), "\x02\x01\x01", str("w"), str(""), str("me"), str("x")),
			Connect{Level: 5, CleanStart: true, KeepAlive: 30, ClientID: "dev", Username: "me"}},
		{"a mosquitto bridge", packet(0x10, str("MQTT"), "\x84\x02\x00\x3c", str("bridge")),
			Connect{Level: 4, CleanStart: true, KeepAlive: 60, ClientID: "bridge"}},
		{"a client id that is not UTF-8", packet(0x10, str("MQTT"), "\x04\x02\x00\x00", str("\xff\xfe\x00")),
			Connect{Level: 4, CleanStart: true, ClientID: "\xff\xfe\x00"}},
		{"a password without a user name", packet(0x10, str("MQTT"), "\x04\x42\x00\x00", str("d"), str("pw")),
			Connect{Level: 4, CleanStart: true, ClientID: "d"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for cut := range tt.in {
				if _, _, err := ParseConnect(tt.in[:cut], 1000); err != ErrIncomplete {
					t.Fatalf("after %d bytes: %v", cut, err)
				}
			}
			got, n, err := ParseConnect(append(bytes.Clone(tt.in), 0xc0, 0), 1000)
			if err != nil || n != len(tt.in) || got != tt.want {
				t.Errorf("got %+v, %d, %v", got, n, err)
			}
		})
	}
}

func TestWhatIsNoConnectIsRefusedWithAReason(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     error
		says     string
	}{
		{"HTTP", "GET / HTTP/1.1\r\n", ErrNotConnect, "HTTP"},
		{"TLS", "\x16\x03\x01\x02\x00", ErrNotConnect, "TLS"},
		{"PROXY v1", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", ErrNotConnect, "proxy_protocol.trust"},
		{"PROXY v2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11", ErrNotConnect, "proxy_protocol.trust"},
		{"PINGREQ first", "\xc0\x00", ErrNotConnect, "0xc0"},
		{"reserved bits of the fixed header", "\x11\x00", ErrNotConnect, "0x11"},
		{"another protocol name", string(packet(0x10, str("AMQP"), "\x04\x02\x00\x00", str("d"))), ErrNotConnect, "name"},
		{"an unknown level", string(packet(0x10, str("MQTT"), "\x06\x02\x00\x00", str("d"))), ErrMalformed, "level 6"},
		{"3.1 under the new name", string(packet(0x10, str("MQTT"), "\x03\x02\x00\x00", str("d"))), ErrMalformed, "level 3"},
		{"the reserved flag", string(packet(0x10, str("MQTT"), "\x04\x03\x00\x00", str("d"))), ErrMalformed, "reserved"},
		{"will QoS 3", string(packet(0x10, str("MQTT"), "\x04\x1e\x00\x00", str("d"), str("t"), str(""))), ErrMalformed, "QoS 3"},
		{"will retain without a will", string(packet(0x10, str("MQTT"), "\x04\x22\x00\x00", str("d"))), ErrMalformed, "without a will"},
		{"a client id beyond the packet", string(packet(0x10, str("MQTT"), "\x04\x02\x00\x00\x00\x09dev")), ErrMalformed, "longer"},
		{"bytes after the last field", string(packet(0x10, str("MQTT"), "\x04\x02\x00\x00", str("d"), "x")), ErrMalformed, "after"},
		{"a length of five bytes", "\x10\xff\xff\xff\xff\x01", ErrMalformed, "four"},
		{"a property length of five bytes", string(packet(0x10, str("MQTT"), "\x05\x02\x00\x00\xff\xff\xff\xff\x01")), ErrMalformed, "four"},
		{"more than allowed", "\x10\xff\x7f", ErrTooLarge, "at most 1000"},
		{"nothing in it", "\x10\x00", ErrMalformed, "longer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := ParseConnect([]byte(tt.in), 1000)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v saying %q", err, tt.want, tt.says)
			}
		})
	}
}

func TestGarbageIsKnownByItsFirstByte(t *testing.T) {
	for _, first := range []byte{0x00, 'G', 0x16, 0x20, 0xff} {
		if _, _, err := ParseConnect([]byte{first}, 1000); !errors.Is(err, ErrNotConnect) {
			t.Errorf("%#02x: %v", first, err)
		}
	}
}

func TestReadConnectReturnsEveryByteItRead(t *testing.T) {
	in := packet(0x10, str("MQTT"), "\x04\xc2\x00\x3c", str("dev"), str(strings.Repeat("u", 3000)), str("pw"))
	in = append(in, "\xc0\x00"...)
	for name, r := range map[string]io.Reader{
		"at once":         bytes.NewReader(in),
		"byte by byte":    iotest.OneByteReader(bytes.NewReader(in)),
		"data with error": iotest.DataErrReader(bytes.NewReader(in)),
	} {
		t.Run(name, func(t *testing.T) {
			c, got, err := ReadConnect(r, nil, 64<<10)
			if err != nil || c.ClientID != "dev" || len(c.Username) != 3000 {
				t.Fatalf("got %+v, %v", c, err)
			}
			rest, _ := io.ReadAll(r)
			if !bytes.Equal(append(got, rest...), in) {
				t.Error("bytes were lost or changed")
			}
		})
	}
}

func TestReadConnectSaysWhenTheStreamEnds(t *testing.T) {
	if _, _, err := ReadConnect(strings.NewReader(""), nil, 100); err != io.EOF {
		t.Errorf("empty: %v", err)
	}
	if _, _, err := ReadConnect(strings.NewReader("\x10\x0c\x00"), nil, 100); err != io.ErrUnexpectedEOF {
		t.Errorf("cut: %v", err)
	}
}

func TestReadConnectTakesMemoryOnlyForWhatArrived(t *testing.T) {
	r := io.MultiReader(bytes.NewReader([]byte("\x10\xff\xff\x7f\x00\x04MQTT")), iotest.ErrReader(io.ErrNoProgress))
	_, got, _ := ReadConnect(r, nil, 1<<24)
	if cap(got) > 1024 {
		t.Errorf("%d bytes taken for 10", cap(got))
	}
}

func FuzzParseConnect(f *testing.F) {
	f.Add(packet(0x10, str("MQTT"), "\x04\xf6\x00\x0a", str("dev"), str("will/t"), str("gone"), str("me"), str("secret")))
	f.Add(packet(0x10, str("MQTT"), "\x05\xc6\x00\x1e", "\x00", str("dev"), "\x02\x01\x01", str("w"), str(""), str("me"), str("x")))
	f.Add(packet(0x10, str("MQIsdp"), "\x03\x02\x00\x3c", str("dev")))
	f.Add([]byte("GET / HTTP/1.1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const max = 4096
		c, n, err := ParseConnect(b, max)
		if err == nil && (n > len(b) || n > max || c.Version() == "") {
			t.Fatalf("%+v takes %d of %d bytes", c, n, len(b))
		}
		// However the bytes arrive, the verdict is the same.
		var verdict error = ErrIncomplete
		for cut := 0; cut <= len(b) && verdict == ErrIncomplete; cut++ {
			var piece Connect
			piece, _, verdict = ParseConnect(b[:cut], max)
			if verdict == nil && piece != c {
				t.Fatalf("in pieces %+v, whole %+v", piece, c)
			}
		}
		for _, sentinel := range []error{ErrIncomplete, ErrTooLarge} {
			if errors.Is(err, sentinel) != errors.Is(verdict, sentinel) {
				t.Fatalf("whole: %v, in pieces: %v", err, verdict)
			}
		}
		if (err == nil) != (verdict == nil) {
			t.Fatalf("whole: %v, in pieces: %v", err, verdict)
		}
	})
}

func TestTheFirstBytesAreReadIntoTheRoomGiven(t *testing.T) {
	packet := "\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00"
	buf := make([]byte, 14)
	_, got, err := ReadConnect(strings.NewReader(packet+"more"), buf, 100)
	if err != nil || string(got) != packet || &got[0] != &buf[0] {
		t.Errorf("got %q, in the room given: %v, %v", got, &got[0] == &buf[0], err)
	}
	_, got, err = ReadConnect(strings.NewReader(packet), buf[:5:5], 100)
	if err != nil || string(got) != packet {
		t.Errorf("with too little room: %q, %v", got, err)
	}
}
