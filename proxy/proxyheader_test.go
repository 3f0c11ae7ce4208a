package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"
	"unicode/utf8"

	"github.com/pires/go-proxyproto"
)

// pieces reads b in two pieces, the second with the end of the stream.
func pieces(b []byte, cut int) io.Reader {
	return io.MultiReader(bytes.NewReader(b[:cut]), iotest.DataErrReader(bytes.NewReader(b[cut:])))
}

func TestAHeaderReadsTheSameHoweverItIsCut(t *testing.T) {
	long := proxyproto.TLV{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: make([]byte, maxHeaderV2-12-3)}
	for name, header := range map[string][]byte{"v1": headerOf(t, 1), "v2": headerOf(t, 2), "the longest v2": headerOf(t, 2, long)} {
		want, err := proxyproto.Read(newBufio(header))
		must(t, err)
		whole := append(bytes.Clone(header), "what follows"...)
		for cut := range len(whole) + 1 {
			if cut == 600 {
				break // of the longest: the rest is more of the same
			}
			h, unread, err := readHeader(pieces(whole, cut))
			must(t, err)
			// What the second piece had may not have been read yet.
			if !h.EqualsTo(want) || !strings.HasPrefix("what follows", string(unread)) {
				t.Fatalf("%s cut at %d: %+v, then %q", name, cut, h, unread)
			}
		}
		h, unread, err := readHeader(iotest.OneByteReader(bytes.NewReader(whole)))
		if err != nil || !h.EqualsTo(want) || len(unread) != 0 {
			t.Fatalf("%s byte by byte: %+v, then %q, %v", name, h, unread, err)
		}
		for cut := range len(header) {
			if cut == 600 {
				break
			}
			if _, _, err := readHeader(bytes.NewReader(header[:cut])); err != io.EOF {
				t.Fatalf("%s that ends after %d bytes: %v", name, cut, err)
			}
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	for _, version := range []byte{1, 2} {
		f.Add(append(headerOf(f, version), "tail"...), uint16(20))
	}
	f.Add([]byte("PROXY UNKNOWN\r\n\x10\x00"), uint16(3))
	f.Add(rawV2(0x20, 0, 0, nil), uint16(15))
	f.Add(rawV2(0x21, 0x31, 216, make([]byte, 216)), uint16(16))
	f.Add(rawV2(0x21, 0x11, 60000, nil), uint16(13))
	f.Add([]byte("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n\r\n"), uint16(32))
	f.Fuzz(func(t *testing.T, b []byte, at uint16) {
		cut := int(at) % (len(b) + 1)
		whole, unread, err := readHeader(bytes.NewReader(b))
		inTwo, unread2, err2 := readHeader(pieces(b, cut))
		if (err == nil) != (err2 == nil) {
			t.Fatalf("whole: %v; cut at %d: %v", err, cut, err2)
		}
		if err != nil {
			return
		}
		if !whole.EqualsTo(inTwo) {
			t.Fatalf("whole %+v, cut at %d %+v", whole, cut, inTwo)
		}
		size, err := headerSize(b)
		if err != nil || size == 0 || size > len(b) {
			t.Fatalf("a header of %d bytes, %v, was read from %d", size, err, len(b))
		}
		if !bytes.HasPrefix(b[size:], unread) || !bytes.HasPrefix(b[size:], unread2) {
			t.Fatalf("unread %q and %q, want a beginning of %q", unread, unread2, b[size:])
		}
	})
}

func FuzzFormattedHeaderIsReadBack(f *testing.F) {
	f.Add(true, []byte{192, 0, 2, 7}, []byte{198, 51, 100, 1}, uint16(4000), uint16(8883), []byte("tlv"), []byte("tail"))
	f.Add(false, []byte(net.ParseIP("2001:db8::1")), []byte(net.ParseIP("::ffff:192.0.2.7")), uint16(0), uint16(65535), []byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, v2 bool, source, destination []byte, sourcePort, destinationPort uint16, value, tail []byte) {
		version := byte(1)
		if v2 {
			version = 2
		}
		h := proxyproto.HeaderProxyFromAddrs(version,
			&net.TCPAddr{IP: source, Port: int(sourcePort)}, &net.TCPAddr{IP: destination, Port: int(destinationPort)})
		if v2 && len(value) > 0 && len(value) < 4000 {
			must(t, h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_UNIQUE_ID, Value: value}}))
		}
		b, err := h.Format()
		if err != nil {
			return
		}
		got, unread, err := readHeader(bytes.NewReader(append(bytes.Clone(b), tail...)))
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if v2 || h.Command == proxyproto.PROXY {
			again, err := got.Format()
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("%q was read as %q, %v", b, again, err)
			}
		}
		if !bytes.HasPrefix(tail, unread) {
			t.Errorf("unread %q, want a beginning of %q", unread, tail)
		}
	})
}

func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"device-7", "a\nb\u0085c\x85\xff", strings.Repeat("ü", 200), strings.Repeat("\x00", 300), "\u2028\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := printable(s)
		if !utf8.ValidString(got) || len(got) > maxTLVText || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q became %q", s, got)
		}
		if printable(got) != got {
			t.Errorf("%q became %q, which becomes %q", s, got, printable(got))
		}
		if clean := utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }); clean && len(s) <= maxTLVText && got != s {
			t.Errorf("%q became %q without need", s, got)
		}
	})
}

func TestTheLengthOfAHeaderIsBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(signatureV1), neverEnding('x'))
	if _, _, err := readHeader(endless); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("v1: %v", err)
	}
	if _, _, err := readHeader(io.MultiReader(bytes.NewReader(rawV2(0x21, 0x11, maxHeaderV2+1, nil)), neverEnding(0))); err == nil {
		t.Error("v2: no error")
	}
}

type neverEnding byte

func (c neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}
