package mqtt

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func TestAFollowerTakesTwentyFourBytes(t *testing.T) {
	if n := unsafe.Sizeof(Follower{}); n > 24 {
		t.Errorf("%d bytes", n)
	}
}

// Packets of an exchange with packet identifier 1.
const (
	qos2     = "\x34\x06\x00\x01t\x00\x01x"
	qos2Dup  = "\x3c\x06\x00\x01t\x00\x01x"
	retained = "\x35\x06\x00\x01t\x00\x01x"
	rec      = "\x50\x02\x00\x01"
	rel      = "\x62\x02\x00\x01"
	comp     = "\x70\x02\x00\x01"
)

// step is what one side sends, and whether an exchange is open behind it.
type step struct {
	from    byte // c or s
	packets string
	open    bool
}

var exchangeTests = []struct {
	name  string
	steps []step
}{
	{"a message of the client's", []step{{'c', qos2, true}, {'s', rec, true}, {'c', rel, true}, {'s', comp, false}}},
	{"a message of the server's", []step{{'s', retained, true}, {'c', rec, true}, {'s', rel, true}, {'c', comp, false}}},
	{"one each way", []step{{'c', qos2, true}, {'s', qos2 + rec, true}, {'c', rec + rel, true}, {'s', comp, true}, {'s', rel, true}, {'c', comp, false}}},
	{"QoS 0 and 1", []step{{'c', "\x30\x04\x00\x01tx\x32\x06\x00\x01t\x00\x01x", false}, {'s', "\x40\x02\x00\x01\x3a\x06\x00\x01t\x00\x01x", false}}},
	{"QoS 3, which there is not", []step{{'c', "\x36\x06\x00\x01t\x00\x01x", false}}},
	{"refused by PUBREC", []step{{'c', qos2, true}, {'s', "\x50\x03\x00\x01\x97", false}}},
	{"refused with properties", []step{{'c', qos2, true}, {'s', "\x50\x08\x00\x01\x97\x04\x1f\x00\x01x", false}, {'s', "\xd0\x00", false}}},
	{"no matching subscribers", []step{{'c', qos2, true}, {'s', "\x50\x04\x00\x01\x10\x00", true}, {'c', rel, true}, {'s', comp, false}}},
	{"finished by PUBCOMP with a reason", []step{{'c', qos2, true}, {'s', rec, true}, {'c', rel, true}, {'s', "\x70\x03\x00\x01\x92", false}}},
	{"repeated before 5.0", []step{{'c', qos2, true}, {'c', qos2Dup, true}, {'s', rec + rec, true}, {'c', rel, true}, {'s', comp, false}}},
	{"PUBREL repeated", []step{{'c', qos2, true}, {'s', rec, true}, {'c', rel + rel, true}, {'s', comp, true}, {'s', comp, false}}},
	{"resumed at PUBLISH", []step{{'s', qos2Dup + qos2Dup + qos2, true}, {'c', rec + rec + rec, true}, {'s', rel + rel + rel, true}, {'c', comp + comp, true}, {'c', comp, false}}},
	{"resumed at PUBREL", []step{{'c', rel, true}, {'c', qos2, true}, {'s', comp, true}, {'s', rec, true}, {'c', rel, true}, {'s', comp, false}}},
	{"a PUBCOMP for nothing", []step{{'s', comp, false}, {'c', qos2, true}}},
}

func TestAnExchangeIsOpenUntilItIsFinished(t *testing.T) {
	for _, tt := range exchangeTests {
		t.Run(tt.name, func(t *testing.T) {
			var whole, bytewise Follower
			for _, s := range tt.steps {
				for _, f := range []*Follower{&whole, &bytewise} {
					parts := [][]byte{[]byte(s.packets)}
					if f == &bytewise {
						parts = slices.Collect(slices.Chunk([]byte(s.packets), 1))
					}
					for _, p := range parts {
						advance := f.FromClient
						if s.from == 's' {
							advance = f.FromServer
						}
						if _, ok := advance(p); !ok {
							t.Fatal("lost")
						}
					}
					if f.QoS2Open() != s.open || !f.AtServerBoundary() {
						t.Fatalf("after %c % x: %+v", s.from, s.packets, f)
					}
				}
			}
		})
	}
}

func TestTheCodeOfAPubrecIsNotSkipped(t *testing.T) {
	var f Follower
	f.FromClient([]byte(qos2[:2]))
	if f.ClientLeft() != 6 || !f.QoS2Open() {
		t.Fatalf("in PUBLISH: %+v", f)
	}
	f.SkipClient(6)
	for i, c := range []byte("\x50\x08\x00\x01\x97") {
		if f.ServerLeft() > 0 {
			t.Fatalf("%d bytes may be skipped %d bytes into PUBREC", f.ServerLeft(), i)
		}
		f.FromServer([]byte{c})
	}
	if f.QoS2Open() || f.ServerLeft() != 5 {
		t.Fatalf("behind the code: %+v", f)
	}
	if f.SkipServer(5); !f.AtServerBoundary() {
		t.Fatalf("behind PUBREC: %+v", f)
	}
}

func TestALostStreamCountsAsOpen(t *testing.T) {
	for name, lose := range map[string]func(*Follower) (int, bool){
		"client": func(f *Follower) (int, bool) { return f.FromClient([]byte("\x30\xff\xff\xff\xff")) },
		"server": func(f *Follower) (int, bool) { return f.FromServer([]byte("\x30\xff\xff\xff\xff")) },
	} {
		var f Follower
		if _, ok := lose(&f); ok || !f.QoS2Open() {
			t.Errorf("%s: %+v", name, f)
		}
		if f.AtServerBoundary() != (name == "client") {
			t.Errorf("%s: at a boundary: %v", name, f.AtServerBoundary())
		}
	}
}

func TestCountersStayAtTheirHighestValue(t *testing.T) {
	var f Follower
	for range 1 << 16 {
		f.FromClient([]byte(qos2))
	}
	for range 1 << 17 {
		f.FromServer([]byte(comp))
	}
	if !f.QoS2Open() {
		t.Error("65,536 exchanges counted as none")
	}
	f = Follower{}
	for range 300 {
		f.FromClient([]byte(qos2))
		f.FromServer([]byte(rec))
	}
	for range 300 {
		f.FromClient([]byte(rel))
		f.FromServer([]byte(comp))
	}
	if f.QoS2Open() {
		t.Errorf("300 exchanges at once are not finished: %+v", f)
	}
}

// peers are a client and a server that keep to MQTT 5.0, with the packet
// identifiers that a Follower does not know.
type peers struct {
	random *rand.Rand
	f      Follower
	at     [2]map[uint16]int // by who sends the message: the next packet of each exchange
	nextID uint16
}

func (p *peers) send(from int, packet []byte) {
	for len(packet) > 0 {
		n := 1 + p.random.IntN(len(packet))
		if from == 0 {
			p.f.FromClient(packet[:n])
		} else {
			p.f.FromServer(packet[:n])
		}
		packet = packet[n:]
	}
}

// begin starts an exchange, or takes up one of an earlier connection.
func (p *peers) begin(owner int, first byte) {
	p.nextID++
	id := string([]byte{byte(p.nextID >> 8), byte(p.nextID)})
	if first>>4 == pubrel {
		p.at[owner][p.nextID] = pubcomp
		p.send(owner, packet(first, id))
		return
	}
	p.at[owner][p.nextID] = pubrec
	p.send(owner, packet(first, str("topic"), id, "\x00payload"))
}

// goOn sends the next packet of one exchange.
func (p *peers) goOn(owner int) {
	for id, kind := range p.at[owner] {
		wire := string([]byte{byte(id >> 8), byte(id)})
		switch kind {
		case pubrec:
			if p.random.IntN(4) == 0 {
				delete(p.at[owner], id)
				p.send(1-owner, packet(0x50, wire, "\x97"))
				return
			}
			p.at[owner][id] = pubrel
			p.send(1-owner, packet(0x50, wire))
		case pubrel:
			p.at[owner][id] = pubcomp
			p.send(owner, packet(0x62, wire))
		case pubcomp:
			delete(p.at[owner], id)
			p.send(1-owner, packet(0x70, wire, "\x00\x00"))
		}
		return
	}
}

func TestAmongPeersThatKeepTheRulesTheCountIsExact(t *testing.T) {
	for seed := range uint64(200) {
		p := peers{random: rand.New(rand.NewPCG(seed, 0)), at: [2]map[uint16]int{{}, {}}}
		check := func() {
			t.Helper()
			if open := len(p.at[0])+len(p.at[1]) > 0; p.f.QoS2Open() != open || !p.f.AtServerBoundary() {
				t.Fatalf("seed %d: open %v, but %+v", seed, open, p.f)
			}
			for owner, e := range []exchanges{p.f.fromClient, p.f.fromServer} {
				if int(e.open) != len(p.at[owner]) {
					t.Fatalf("seed %d: %d open, counted %d", seed, len(p.at[owner]), e.open)
				}
			}
		}
		for owner := range 2 { // the session of an earlier connection, in the order of MQTT 5.0 section 4.6
			for range p.random.IntN(4) {
				p.begin(owner, 0x62)
				check()
			}
			for range p.random.IntN(4) {
				p.begin(owner, 0x3c)
				check()
			}
		}
		for range 300 {
			owner := p.random.IntN(2)
			switch p.random.IntN(8) {
			case 0, 1:
				p.begin(owner, 0x34)
			case 2:
				p.send(owner, packet(0x32, str("topic"), "\x00\x01\x00payload"))
			default:
				p.goOn(owner)
			}
			check()
		}
	}
}

// reference keeps all bytes of one direction and reads them anew each time.
type reference struct {
	stream []byte
	read   int // packets that have been counted
}

// take returns the packets that have become known with p: a PUBREC with a code
// when that is there, with the code in place of what is left.
func (r *reference) take(p []byte) (known []mark, lost bool) {
	r.stream = append(r.stream, p...)
	headers, broken := marks(r.stream)
	for _, h := range headers[r.read:] {
		if h.first>>4 == pubrec {
			switch {
			case h.left < 3:
				h.left = 0
			case len(r.stream) < h.at+3:
				return known, false
			default:
				h.left = int(r.stream[h.at+2])
			}
		}
		r.read++
		known = append(known, h)
	}
	return known, broken <= len(r.stream)
}

// tally counts in the words of Follower's comment.
type tally struct {
	open, unreleased int
	fresh            bool
}

func (y *tally) end() { y.open = max(0, y.open-1) }

func (y *tally) own(h mark) {
	switch dup := h.first&0x08 != 0; {
	case h.first>>4 == publish && h.first&0x06 == 0x04:
		if !dup || !y.fresh {
			y.open++
		}
		y.fresh = y.fresh || !dup
	case h.first>>4 == pubrel && y.unreleased > 0:
		y.unreleased--
	case h.first>>4 == pubrel:
		y.open++
	}
}

func (y *tally) answer(h mark) {
	switch {
	case h.first>>4 == pubcomp, h.first>>4 == pubrec && h.left >= 0x80:
		y.end()
	case h.first>>4 == pubrec:
		y.unreleased++
	}
}

func countPublish(packets []mark) (n int) {
	for _, h := range packets {
		if h.first>>4 == publish {
			n++
		}
	}
	return n
}

func TestAMessageIsCountedOnceWhereverItIsCut(t *testing.T) {
	var stream []byte
	var ends []int // of the headers of messages
	add := func(first byte, length int) {
		b := packet(first, strings.Repeat("x", length))
		if first>>4 == publish {
			ends = append(ends, len(stream)+len(b)-length)
		}
		stream = append(stream, b...)
	}
	for _, length := range []int{0, 3, 127, 128, 300, 16384} {
		for _, first := range []byte{0x30, 0x31, 0x32, 0x3a, 0x34, 0x3c, 0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0xc0, 0xe0, 0xf0} {
			if length < 16384 || first == 0x34 || first == 0x82 {
				add(first, length)
			}
		}
	}
	want := func(from, to int) (n int) {
		for _, end := range ends {
			if from < end && end <= to {
				n++
			}
		}
		return n
	}
	for name, of := range map[string]func(*Follower) (func([]byte) (int, bool), func() int, func(int)){
		"client": func(f *Follower) (func([]byte) (int, bool), func() int, func(int)) {
			return f.FromClient, f.ClientLeft, f.SkipClient
		},
		"server": func(f *Follower) (func([]byte) (int, bool), func() int, func(int)) {
			return f.FromServer, f.ServerLeft, f.SkipServer
		},
	} {
		for cut := range len(stream) {
			advance, left, skip := of(new(Follower))
			n, ok := advance(stream[:cut])
			if !ok || n != want(0, cut) {
				t.Fatalf("%s, cut at %d: %d messages, %v; want %d", name, cut, n, ok, want(0, cut))
			}
			skipped := left()
			skip(skipped)
			if n, ok = advance(stream[cut+skipped:]); !ok || n != want(cut, len(stream)) {
				t.Fatalf("%s, behind %d: %d messages, %v; want %d", name, cut, n, ok, want(cut, len(stream)))
			}
		}
		sum, all := 0, len(ends)
		advance, _, _ := of(new(Follower))
		for _, c := range stream {
			n, _ := advance([]byte{c})
			sum += n
		}
		if sum != all {
			t.Errorf("%s, byte by byte: %d messages, want %d", name, sum, all)
		}
	}
}

func FuzzFollower(f *testing.F) {
	for _, tt := range exchangeTests {
		var script []byte
		for _, s := range tt.steps {
			head := byte(len(s.packets))
			if s.from == 's' {
				head |= 0x80
			}
			script = append(append(script, head), s.packets...)
		}
		f.Add(script)
	}
	f.Add([]byte("\x03\x34\xff\xff\x83\x30\xff\xff\x02\xff\xff\x85\xff\xff\xff\xff\xff"))
	// A script is pieces: whose and how long in the first byte, then the bytes.
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 512 { // fewer packets than a counter holds
			return
		}
		var got Follower
		var refs [2]reference
		var tallies [2]tally
		var lost [2]bool
		for len(script) > 0 {
			from := int(script[0] >> 7)
			n := min(int(script[0]&0x7f), len(script)-1)
			p := script[1 : 1+n]
			script = script[1+n:]
			known, broken := refs[from].take(p)
			if !lost[from] {
				for _, h := range known {
					tallies[from].own(h)
					tallies[1-from].answer(h)
				}
			}
			before := lost[from]
			lost[from] = before || broken
			left, skip, advance := got.ClientLeft, got.SkipClient, got.FromClient
			if from == 1 {
				left, skip, advance = got.ServerLeft, got.SkipServer, got.FromServer
			}
			if n&1 == 0 { // skip what may be skipped
				k := min(left(), n)
				skip(k)
				p = p[k:]
			}
			messages, ok := advance(p)
			if ok == lost[from] {
				t.Fatalf("% x: %v, lost %v", p, ok, lost[from])
			}
			if want := countPublish(known); !before && messages != want || before && messages != 0 {
				t.Fatalf("% x: %d messages, want %d", p, messages, want)
			}
			open := tallies[0].open+tallies[1].open > 0 || lost[0] || lost[1]
			if got.QoS2Open() != open {
				t.Fatalf("%+v, want %+v, lost %v", got, tallies, lost)
			}
			var b Boundary
			b.Advance(refs[1].stream)
			if b.AtBoundary() != got.AtServerBoundary() {
				t.Fatalf("%+v, want %+v", got, b)
			}
		}
	})
}

func BenchmarkFollower(bench *testing.B) {
	for name, b := range map[string][]byte{
		"QoS0":     bytes.Repeat(packet(0x30, "0123456789abcdef"), 256<<10/18),
		"exchange": bytes.Repeat([]byte(rec+comp+"\x50\x04\x00\x01\x00\x00"+comp), 256<<10/18),
	} {
		headers, _ := marks(b)
		bench.Run(name+"/256KiB", func(bench *testing.B) {
			var f Follower
			bench.ReportAllocs()
			for bench.Loop() {
				f.FromServer(b)
			}
			bench.ReportMetric(float64(bench.Elapsed().Nanoseconds())/float64(bench.N)/float64(len(headers)), "ns/packet")
		})
	}
}
