package grpcrelay

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
)

// A cache of blocks must never say anything else than a decoder without one, in
// whatever way the table changes in between.
func TestTheDecodersCacheSaysWhatADecoderWithoutOneSays(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		known := intern{}
		cached, plain := newDecoder(16<<10, &known), hpack.NewDecoder(tableSize, nil)
		for n := range 300 {
			block.Reset()
			if r.IntN(40) == 0 {
				enc.SetMaxDynamicTableSize(uint32(r.IntN(tableSize)))
			}
			for range r.IntN(6) + 1 {
				enc.WriteField(hpack.HeaderField{
					Name: fmt.Sprint("n", r.IntN(5)), Value: strings.Repeat("v", r.IntN(3)*100*r.IntN(2)) + fmt.Sprint(r.IntN(3)),
					Sensitive: r.IntN(10) == 0,
				})
			}
			want, err := plain.DecodeFull(block.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // a repeated block is the same only if it does not change the table
				h, err := cached.decode(block.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(h.fields, want) {
					t.Fatalf("round %d, block %d: %v, want %v", round, n, h.fields, want)
				}
				if changesTable(block.Bytes()) {
					break
				}
			}
		}
	}
}

func TestHeadersThatRepeatAreOne(t *testing.T) {
	known := intern{}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	fields := func() []byte {
		block.Reset()
		enc.WriteField(hpack.HeaderField{Name: ":path", Value: "/a"})
		enc.WriteField(hpack.HeaderField{Name: "x", Value: "y"})
		return bytes.Clone(block.Bytes())
	}
	first, second := fields(), fields()
	var seen []*Header
	for range 2 { // connections
		d := newDecoder(16<<10, &known)
		d.decode(first)
		for range 2 {
			h, err := d.decode(second)
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, h)
		}
	}
	for _, h := range seen {
		if h != seen[0] || !h.shared {
			t.Fatal("a header was made anew")
		}
	}
}

// The fields of a malformed header can be made to look like those of another.
func TestAMalformedHeaderIsNotTakenForAnother(t *testing.T) {
	known := intern{}
	literal := func(name, value string) []byte {
		return appendText(appendText([]byte{0}, name), value)
	}
	bad, good := newDecoder(16<<10, &known), newDecoder(16<<10, &known)
	if h, _ := bad.decode(literal("a", "b\x00c\x00d")); h.wrong == "" {
		t.Fatal("a NUL is no mistake")
	}
	if h, _ := good.decode(append(literal("a", "b"), literal("c", "d")...)); h.wrong != "" || len(h.fields) != 2 {
		t.Fatalf("got %+v", h)
	}
}

// What the encoder writes x/net's decoder must read, whatever is cached, evicted
// or resized in between.
func TestWhatTheEncoderWritesIsReadAsItWas(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		enc, dec := newEncoder(), hpack.NewDecoder(tableSize, nil)
		var heads []*Header
		for i := range 30 {
			h := NewHeader(fmt.Sprint("/service/method", i), "host", hpack.HeaderField{Name: "grpc-message-type", Value: strings.Repeat("m", r.IntN(250))},
				hpack.HeaderField{Name: "x-own", Value: fmt.Sprint(i)}, hpack.HeaderField{Name: "secret", Value: "s", Sensitive: true})
			h.shared = r.IntN(4) > 0
			heads = append(heads, h)
		}
		for range 400 {
			if r.IntN(50) == 0 {
				n := uint32(r.IntN(2 * tableSize))
				enc.limit(n)
				if r.IntN(2) == 0 {
					enc.limit(n / 2)
					enc.limit(n)
				}
			}
			h := heads[r.IntN(1+r.IntN(len(heads)))]
			form := blockForm(r.IntN(5))
			key := blockKey{head: h, path: h.path, authority: fmt.Sprint("host", r.IntN(2)), form: form}
			b := enc.block(nil, key)
			if form <= formRequestTLS {
				b = enc.timeout(b, 5*time.Second)
			}
			fields, err := dec.DecodeFull(b)
			if err != nil {
				t.Fatal(err)
			}
			var want []hpack.HeaderField
			add := func(name, value string) { want = append(want, hpack.HeaderField{Name: name, Value: value}) }
			switch form {
			case formRequest, formRequestTLS:
				add(":method", "POST")
				add(":scheme", map[blockForm]string{formRequest: "http", formRequestTLS: "https"}[form])
				add(":path", key.path)
				add(":authority", key.authority)
				add("te", "trailers")
			case formAnswer, formTrailersOnly:
				add(":status", "200")
			}
			want = append(want, h.fields...)
			if form <= formRequestTLS {
				add("grpc-timeout", "5000m")
			}
			if !slices.Equal(fields, want) {
				t.Fatalf("read %v, want %v", fields, want)
			}
		}
	}
}

func TestTimeoutsAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5S": 5 * time.Second, "100m": 100 * time.Millisecond, "1H": time.Hour, "2M": 2 * time.Minute, "7u": 7 * time.Microsecond,
		"9n": 9, "0S": 0, "99999999H": 1 << 20 * time.Second, "99999999m": 99999999 * time.Millisecond,
	} {
		if d, ok := parseTimeout(text); !ok || d != want {
			t.Errorf("%s is read as %v, %v", text, d, ok)
		}
	}
	for _, text := range []string{"", "S", "5", "123456789S", "-1S", "+1S", "5s", "1.5S", " 1S"} {
		if d, ok := parseTimeout(text); ok {
			t.Errorf("%q is read as %v", text, d)
		}
	}
	for d, want := range map[time.Duration]string{
		5 * time.Second: "5000m", 1500 * time.Microsecond: "1m", 999 * time.Microsecond: "999u", 0: "1u", -5: "1u",
		200 * time.Hour: "720000S",
	} {
		if text := string(appendTimeout(nil, d)); text != want || len(text) > 9 {
			t.Errorf("%v is written as %s, want %s", d, text, want)
		}
	}
}

func TestMessagesAreEscapedAndBack(t *testing.T) {
	for text, want := range map[string]string{"plain": "plain", "a b": "a b", " a ": "%20a%20", "100%": "100%25", "é\n": "%C3%A9%0A", "": ""} {
		if got := escapeMessage(text); got != want || unescapeMessage(got) != text {
			t.Errorf("%q is %q, and back %q", text, got, unescapeMessage(got))
		}
	}
	if got := unescapeMessage("%zz%4"); got != "%zz%4" {
		t.Errorf("got %q", got)
	}
}
