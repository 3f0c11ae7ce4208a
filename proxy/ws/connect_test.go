package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mqedge/mqedge/proxy/mqtt"
)

func str(s string) string { return string([]byte{byte(len(s) >> 8), byte(len(s))}) + s }

// connect is a CONNECT packet of 3.1.1 with a user name of n bytes, n < 16000.
func connect(n int) string {
	body := str("MQTT") + "\x04\x82\x00\x3c" + str("dev") + str(strings.Repeat("u", n))
	if len(body) < 0x80 {
		return "\x10" + string(rune(len(body))) + body
	}
	return "\x10" + string([]byte{byte(len(body)) | 0x80, byte(len(body) >> 7)}) + body
}

// each makes a frame of a client of every byte of s, all in one message.
func each(s string) string {
	out := ""
	for i := range len(s) {
		first := byte(0x00)
		if i == 0 {
			first = 0x02
		}
		out += mask(frame(first, s[i:i+1]))
	}
	return out + mask(frame(0x80, ""))
}

func TestAConnectIsFoundHoweverItIsFramed(t *testing.T) {
	small, big := connect(5), connect(3000)
	for name, in := range map[string]string{
		"one frame":                  mask(frame(0x82, small)),
		"a long frame":               mask(frame(0x82, big)),
		"with packets behind":        mask(frame(0x82, small+"\xc0\x00")) + mask(frame(0x82, "\xe0\x00")),
		"two messages":               mask(frame(0x82, small[:7])) + mask(frame(0x82, small[7:])),
		"fragments":                  mask(frame(0x02, small[:1])) + mask(frame(0x00, small[1:9])) + mask(frame(0x80, small[9:])),
		"a frame for each byte":      each(small),
		"a ping before":              mask(frame(0x89, "a")) + mask(frame(0x82, small)),
		"a ping within":              mask(frame(0x02, small[:7])) + mask(frame(0x89, "")) + mask(frame(0x80, small[7:])),
		"empty frames":               mask(frame(0x82, "")) + mask(frame(0x82, small)),
		"the rest of the frame late": mask(frame(0x82, small+strings.Repeat("\xc0\x00", 40000)))[:len(small)+40],
	} {
		for _, rest := range []int{0, 1, 9, len(in)} {
			for how, r := range map[string]io.Reader{
				"at once":      strings.NewReader(in[rest:]),
				"byte by byte": iotest.OneByteReader(strings.NewReader(in[rest:])),
				"with error":   iotest.DataErrReader(strings.NewReader(in[rest:])),
			} {
				c, raw, err := ReadConnect(r, []byte(in[:rest]), 4096)
				if err != nil || c.ClientID != "dev" || c.KeepAlive != 60 {
					t.Errorf("%s, %s, %d before: %+v, %v", name, how, rest, c, err)
				}
				more, _ := io.ReadAll(r)
				if string(raw)+string(more) != in {
					t.Errorf("%s, %s, %d before: bytes were lost or changed", name, how, rest)
				}
			}
		}
	}
}

func TestWhatIsNoConnectInFramesHasACloseCode(t *testing.T) {
	waits := iotest.ErrReader(errors.New("it waits for more"))
	for _, tt := range []struct {
		name, in string
		want     error
		code     uint16
	}{
		{"text", mask(frame(0x81, connect(5)))[:1], ErrText, CloseUnsupportedData},
		{"no mask", frame(0x82, connect(5)), ErrProtocol, CloseProtocolError},
		{"compressed", "\xc2", ErrProtocol, CloseProtocolError},
		{"MQTT without frames", connect(5), ErrProtocol, CloseProtocolError},
		{"a close frame", mask(frame(0x88, "\x03\xe9")), ErrClosed, CloseNormal},
		{"another packet", mask(frame(0x82, "\xc0\x00")), mqtt.ErrNotConnect, CloseProtocolError},
		{"a malformed packet", mask(frame(0x82, "\x10\x00")), mqtt.ErrMalformed, CloseProtocolError},
		{"a large packet", mask(frame(0x82, "\x10\xff\x7f")), mqtt.ErrTooLarge, CloseTooBig},
		{"empty frames without end", strings.Repeat(mask(frame(0x82, "")), 1000), mqtt.ErrTooLarge, CloseTooBig},
		{"pings without end", strings.Repeat(mask(frame(0x89, strings.Repeat("p", 125))), 50), mqtt.ErrTooLarge, CloseTooBig},
		{"silence", "", nil, ClosePolicyViolation},
	} {
		_, raw, err := ReadConnect(io.MultiReader(strings.NewReader(tt.in), waits), nil, 1000)
		if tt.want != nil && !errors.Is(err, tt.want) || CloseCode(err) != tt.code {
			t.Errorf("%s: %v, code %d", tt.name, err, CloseCode(err))
		}
		if len(raw) > 1000+overhead || !strings.HasPrefix(tt.in, string(raw)) {
			t.Errorf("%s: %d bytes came", tt.name, len(raw))
		}
	}
}

func TestAConnectOfTheLargestSizeFitsInSomeFrames(t *testing.T) {
	packet := connect(4000)
	in := ""
	for b := packet; b != ""; b = b[min(len(b), 100):] {
		in += mask(frame(0x82, b[:min(len(b), 100)]))
	}
	if _, _, err := ReadConnect(strings.NewReader(in), nil, len(packet)); err != nil {
		t.Error(err)
	}
	if _, _, err := ReadConnect(strings.NewReader(in), nil, len(packet)-1); !errors.Is(err, mqtt.ErrTooLarge) {
		t.Errorf("one byte less: %v", err)
	}
}

func TestReadConnectTakesMemoryOnlyForWhatArrived(t *testing.T) {
	in := mask(frame(0x82, "\x10\xff\xff\x7f"+str("MQTT")+strings.Repeat("x", 1<<16)))[:18]
	_, raw, _ := ReadConnect(io.MultiReader(strings.NewReader(in), iotest.ErrReader(io.ErrNoProgress)), nil, 1<<24)
	if cap(raw) > 1024 {
		t.Errorf("%d bytes taken for %d", cap(raw), len(in))
	}
}

func TestReadConnectSaysWhenTheStreamEnds(t *testing.T) {
	if _, _, err := ReadConnect(strings.NewReader(""), nil, 100); err != io.EOF {
		t.Errorf("empty: %v", err)
	}
	for n := 1; n < len(mask(frame(0x82, connect(5)))); n++ {
		in := mask(frame(0x82, connect(5)))[:n]
		if _, _, err := ReadConnect(strings.NewReader(in), nil, 100); err != io.ErrUnexpectedEOF {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestTheConnackIsReadFromTheEndpointsFrames(t *testing.T) {
	in := frame(0x89, "") + frame(0x02, "\x20\x02") + frame(0x80, "\x00\x03") + frame(0x82, "\xd0\x00")
	for _, r := range []io.Reader{strings.NewReader(in[2:]), iotest.OneByteReader(strings.NewReader(in[2:]))} {
		c, raw, err := ReadConnack(r, []byte(in[:2]), mqtt.Level311, 1000)
		more, _ := io.ReadAll(r)
		if err != nil || c.ReasonCode != 3 || string(raw)+string(more) != in {
			t.Errorf("%+v, %q, %v", c, raw, err)
		}
	}
	for in, want := range map[string]error{
		frame(0x88, "\x03\xe9"):       ErrClosed,
		mask(frame(0x82, "\x20\x02")): ErrProtocol,
		frame(0x82, "\xe0\x00"):       mqtt.ErrNotConnack,
		"":                            io.EOF,
	} {
		if _, raw, err := ReadConnack(strings.NewReader(in), nil, mqtt.Level5, 1000); !errors.Is(err, want) || string(raw) != in {
			t.Errorf("%q: %q, %v, want %v", in, raw, err, want)
		}
	}
}

func FuzzReadConnect(f *testing.F) {
	for _, in := range []string{
		mask(frame(0x82, connect(5))), each(connect(1)), mask(frame(0x88, "")),
		mask(frame(0x89, "p")) + mask(frame(0x82, connect(200))),
	} {
		f.Add([]byte(in), uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, rest uint8) {
		const limit = 512
		n := min(int(rest), len(b))
		c, raw, err := ReadConnect(bytes.NewReader(b[n:]), bytes.Clone(b[:n]), limit)
		if !bytes.HasPrefix(b, raw) || len(raw) > max(limit+overhead, n) {
			t.Fatalf("%q came of %q", raw, b)
		}
		pc, _, perr := ReadConnect(iotest.OneByteReader(bytes.NewReader(b)), nil, limit)
		if fmt.Sprint(c, err) != fmt.Sprint(pc, perr) && (err == nil || perr == nil) {
			t.Fatalf("%+v, %v; in pieces %+v, %v", c, err, pc, perr)
		}
		payload, _ := reference(b, true)
		want, _, werr := mqtt.ParseConnect(payload, limit)
		if err == nil && (werr != nil || c != want) {
			t.Fatalf("%+v, but the payload is %+v, %v", c, want, werr)
		}
		if werr == nil && len(b) < limit && err != nil {
			t.Fatalf("%v, but the payload is %+v", err, want)
		}
	})
}
