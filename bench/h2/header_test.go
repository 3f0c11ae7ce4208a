package h2_test

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"

	"github.com/mqedge/mqedge/bench/h2"
)

func TestABlockIsShortAndTheSameOnceItIsInTheTableOfThePeer(t *testing.T) {
	e, d := h2.NewEncoder(), h2.NewDecoder()
	one := h2.Block{Fields: [][2]string{{":status", "200"}, {"content-type", "application/grpc"}}}
	two := h2.Block{Fields: [][2]string{{"grpc-status", "0"}, {"grpc-message", "a"}}}
	for round := range 4 {
		for _, b := range []*h2.Block{&one, &two} {
			block := e.Encode(b)
			if round > 0 && (len(block) != len(b.Fields) || h2.Changes(block)) {
				t.Errorf("round %d: % x, want one byte for each field", round, block)
			}
			got, err := d.Decode(block)
			if err != nil {
				t.Fatal(err)
			}
			want := h2.Header{Status: "200", ContentType: "application/grpc"}
			if b == &two {
				want = h2.Header{GRPCStatus: "0", GRPCMessage: "a"}
			}
			if *got != want {
				t.Errorf("round %d: %+v, want %+v", round, *got, want)
			}
		}
	}
}

func TestAKeptBlockIsEncodedAnewWhenTheTableHasChanged(t *testing.T) {
	e, d := h2.NewEncoder(), h2.NewDecoder()
	kept := h2.Block{Fields: [][2]string{{":path", "/kept"}}}
	for i := range 5 {
		if got, err := d.Decode(e.Encode(&kept)); err != nil || got.Path != "/kept" {
			t.Errorf("round %d: %+v, %v", i, got, err)
		}
		other := h2.Block{Fields: [][2]string{{":path", "/other" + string(rune('a'+i))}}}
		if got, err := d.Decode(e.Encode(&other)); err != nil || got.Path != other.Fields[0][1] {
			t.Errorf("round %d: %+v, %v", i, got, err)
		}
	}
	e.Limit(0)
	for range 3 {
		if got, err := d.Decode(e.Encode(&kept)); err != nil || got.Path != "/kept" {
			t.Errorf("without a table: %+v, %v", got, err)
		}
	}
}

func TestOnlyIndexingAndSizesChangeTheTable(t *testing.T) {
	for block, want := range map[string]bool{
		"\x88":                     false, // indexed
		"\xff\x80\x01":             false, // indexed, 127+128
		"\x0f\x0d\x01x":            false, // literal, name 28
		"\x00\x01a\x01b\x88":       false, // literal with its name
		"\x10\x01a\x01b":           false, // never indexed
		"\x40\x01a\x01b":           true,
		"\x88\x5c\x01x":            true,
		"\x3f\xe1\x1f":             true, // size
		"":                         false,
		"\x00\x01a\x05b":           true, // cut short
		"\x00":                     true,
		"\x0f\xff\xff\xff\xff\xff": true,
	} {
		if got := h2.Changes([]byte(block)); got != want {
			t.Errorf("% x: %v, want %v", block, got, want)
		}
	}
}

func FuzzADecoderThatRemembersDecodesLikeOneThatDoesNot(f *testing.F) {
	f.Add([]byte("\x02\x88\x82\x05\x40\x01a\x01b\x01\xbe\x05\x44\x03/ab\x01\xbe\x01\xbe\x01\xbf"))
	f.Add([]byte("\x01\x88\x03\x3f\xe1\x1f\x01\x88"))
	f.Fuzz(func(t *testing.T, input []byte) { // blocks, each after its length
		var want h2.Header
		plain := hpack.NewDecoder(h2.DefaultHeaderTableSize, func(f hpack.HeaderField) {
			switch f.Name {
			case ":method":
				want.Method = f.Value
			case ":path":
				want.Path = f.Value
			case ":status":
				want.Status = f.Value
			case "content-type":
				want.ContentType = f.Value
			case "grpc-status":
				want.GRPCStatus = f.Value
			case "grpc-message":
				want.GRPCMessage = f.Value
			}
		})
		d := h2.NewDecoder()
		for len(input) > 0 {
			n := min(int(input[0]), len(input)-1)
			block := bytes.Clone(input[1 : 1+n])
			input = input[1+n:]
			for range 2 {
				want = h2.Header{}
				_, err := plain.Write(block)
				if err == nil {
					err = plain.Close()
				}
				got, gotErr := d.Decode(block)
				if (err == nil) != (gotErr == nil) {
					t.Fatalf("% x: %v, want %v", block, gotErr, err)
				}
				if err != nil {
					return
				}
				if *got != want {
					t.Fatalf("% x: %+v, want %+v", block, *got, want)
				}
			}
		}
	})
}
