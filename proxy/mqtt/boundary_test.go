package mqtt

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unsafe"
)

// lengths are the ends of the ranges in MQTT 5.0 table 1-1, but for the greatest.
var lengths = []int{0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152}

func TestABoundaryTakesEightBytes(t *testing.T) {
	if n := unsafe.Sizeof(Boundary{}); n > 8 {
		t.Errorf("%d bytes", n)
	}
}

func TestPacketsOfEveryLengthEndWhereTheyEnd(t *testing.T) {
	for _, length := range lengths {
		one := packet(0x30, strings.Repeat("b", length))
		header := len(one) - length
		for cut := 1; cut <= header; cut++ {
			var b Boundary
			if !b.AtBoundary() {
				t.Fatal("not at a boundary to begin with")
			}
			if b.Advance(one[:cut]); b.AtBoundary() != (cut == len(one)) || cut < header && b.Left() != 0 {
				t.Fatalf("length %d, %d bytes of the header: %+v", length, cut, b)
			}
			b.Advance(one[cut:header])
			if b.Left() != length {
				t.Fatalf("length %d: %d bytes left", length, b.Left())
			}
			b.Skip(length / 2)
			if b.Advance(one[header+length/2:]); !b.AtBoundary() || b.Left() != 0 {
				t.Fatalf("length %d at the end: %+v", length, b)
			}
		}
		var b Boundary
		if b.Advance(bytes.Repeat(one, 3)); !b.AtBoundary() {
			t.Errorf("length %d after three packets: %+v", length, b)
		}
		if b.Advance(one[:header]); b.AtBoundary() != (length == 0) {
			t.Errorf("length %d in the fourth packet: %+v", length, b)
		}
	}
}

func TestTheGreatestPacketCanBeSkipped(t *testing.T) {
	var b Boundary
	b.Advance([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
	if b.Left() != 268_435_455 {
		t.Fatal(b.Left())
	}
	b.Skip(268_435_455)
	if !b.AtBoundary() || b.Lost() {
		t.Errorf("%+v", b)
	}
}

func TestAStreamThatBreaksTheRulesIsLostForGood(t *testing.T) {
	for name, lose := range map[string]func(*Boundary){
		"a length of five bytes":        func(b *Boundary) { b.Advance([]byte{0x30, 0xff, 0xff, 0xff, 0xff}) },
		"skipped beyond the packet":     func(b *Boundary) { b.Advance([]byte{0x30, 5}); b.Skip(6) },
		"skipped backwards":             func(b *Boundary) { b.Advance([]byte{0x30, 5}); b.Skip(-1) },
		"skipped into the next header":  func(b *Boundary) { b.Skip(1) },
		"skipped in a header":           func(b *Boundary) { b.Advance([]byte{0x30}); b.Skip(1) },
		"a length of five bytes in two": func(b *Boundary) { b.Advance([]byte{0x30, 0xff, 0xff}); b.Advance([]byte{0xff, 0xff}) },
	} {
		t.Run(name, func(t *testing.T) {
			var b Boundary
			lose(&b)
			for range 2 {
				if !b.Lost() || b.AtBoundary() || b.Left() != 0 || b.Advance([]byte{0xd0, 0}) {
					t.Fatalf("%+v", b)
				}
			}
		})
	}
}

// mark is a place in a stream at which a packet's header or body has just ended.
type mark struct {
	at, left int
	first    byte
}

// marks finds the headers of all packets at once; the last one may be cut. broken
// is where the stream breaks the rules, or beyond its end.
func marks(stream []byte) (headers []mark, broken int) {
	at := 0
	for at < len(stream) {
		length, n, err := varint(stream[at+1:])
		if err == ErrIncomplete {
			break
		}
		if err != nil {
			return headers, at + 5
		}
		headers = append(headers, mark{at + 1 + n, length, stream[at]})
		at += 1 + n + length
	}
	return headers, len(stream) + 1
}

func FuzzBoundary(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x00\xd0\x00\x30\x05\x00\x01abc\x40\x02\x00\x01"), []byte{1, 2, 3, 0x82})
	f.Add(append(packet(0x30, strings.Repeat("x", 200)), 0xd0, 0), []byte{2, 0x90, 1})
	f.Add([]byte("\x30\xff\xff\xff\xff\x01"), []byte{3})
	f.Add([]byte("\x30\x80\x80\x00\x30\x80\x80\x80\x01"), []byte{1})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		headers, broken := marks(stream)
		var b Boundary
		at := 0
		for turn := 0; at < len(stream); turn++ {
			n, skip := len(stream)-at, false
			if len(cuts) > 0 {
				c := cuts[turn%len(cuts)]
				n, skip = min(n, int(c&0x7f)+1), c&0x80 != 0
			}
			if skip && b.Left() > 0 {
				n = min(n, b.Left())
				b.Skip(n)
			} else if ok := b.Advance(stream[at : at+n]); ok == b.Lost() {
				t.Fatalf("Advance says %v of %+v", ok, b)
			}
			at += n
			wantLeft, atEnd := 0, false
			for _, h := range headers {
				if h.at <= at && at <= h.at+h.left {
					wantLeft, atEnd = h.at+h.left-at, h.at+h.left == at
				}
			}
			if lost := at >= broken; lost != b.Lost() {
				t.Fatalf("after %d bytes: %+v, broken at %d", at, b, broken)
			} else if !lost && (wantLeft != b.Left() || atEnd != b.AtBoundary()) {
				t.Fatalf("after %d bytes: %+v, want %d left, at boundary %v", at, b, wantLeft, atEnd)
			}
		}
	})
}

func BenchmarkBoundary(bench *testing.B) {
	bench.Run("packet=200B/call", func(bench *testing.B) {
		one := packet(0x30, strings.Repeat("x", 197))
		var b Boundary
		bench.ReportAllocs()
		for bench.Loop() {
			b.Advance(one)
		}
		if !b.AtBoundary() {
			bench.Fatal("lost count")
		}
	})
	for _, size := range []int{2, 64, 200} {
		bench.Run(fmt.Sprintf("packet=%dB/256KiB", size), func(bench *testing.B) {
			buffer, n := manyPackets(size)
			var b Boundary
			bench.ReportAllocs()
			for bench.Loop() {
				b.Advance(buffer)
			}
			bench.ReportMetric(float64(bench.Elapsed().Nanoseconds())/float64(bench.N)/float64(n), "ns/packet")
		})
	}
}

// manyPackets fills 256 KiB with packets of size bytes.
func manyPackets(size int) (b []byte, n int) {
	one := packet(0x30, strings.Repeat("x", size-2))
	if len(one) > size {
		one = packet(0x30, strings.Repeat("x", size-3))
	}
	n = 256 << 10 / len(one)
	return bytes.Repeat(one, n), n
}
