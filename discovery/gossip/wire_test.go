package gossip

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

func sampleMessages(t testing.TB) [][]byte {
	var offers []offer
	for _, a := range many(3) {
		o, err := a.offer(netip.Addr{})
		if err != nil {
			t.Fatal(err)
		}
		offers = append(offers, o)
	}
	sets := []wireSet{{origin: "a~1", seq: 7, age: time.Minute, offers: offers}, {origin: "b~1", seq: 2, left: true}}
	digests := []digest{{"c~1", 9}}
	facts := []wireFact{{kind: "drain", key: "x", value: []byte{0, 1}, owner: "a~1", stamp: 1 << 60, ttl: time.Hour, secret: true}}
	return [][]byte{
		encodeDelta(delta{origin: "a~1", from: 3, to: 7, changed: offers, removed: []place{offers[0].place()}}),
		encodeSets(sets),
		encodeWant(want{"a~1", digests}),
		encodeFacts(facts),
		encodeState(state{sets, digests, facts}),
	}
}

func encodeAny(message any) []byte {
	switch m := message.(type) {
	case delta:
		return encodeDelta(m)
	case []wireSet:
		return encodeSets(m)
	case want:
		return encodeWant(m)
	case []wireFact:
		return encodeFacts(m)
	case state:
		return encodeState(m)
	}
	panic("unknown message")
}

func TestWhatIsEncodedIsDecodedTheSame(t *testing.T) {
	for i, b := range sampleMessages(t) {
		m, err := decode(b)
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if again := encodeAny(m); !bytes.Equal(again, b) {
			t.Errorf("message %d: %x became %x", i, b, again)
		}
		for cut := range b {
			if m, err := decode(b[:cut]); err == nil {
				t.Errorf("message %d cut to %d bytes: %+v", i, cut, m)
			}
		}
		if _, err := decode(append(b, 0)); err == nil {
			t.Errorf("message %d: a byte too many is not noticed", i)
		}
	}
}

func TestALengthAloneAllocatesNothing(t *testing.T) {
	b := append(header(kindSets), 0x80, 0x20) // 4096 sets, and none of them there
	if n := testing.AllocsPerRun(100, func() { decode(b) }); n > 8 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzDecode checks that nothing makes decode panic, that what it takes it takes the same again, and that a catalog that hears it stays
// within its bounds.
func FuzzDecode(f *testing.F) {
	for _, b := range sampleMessages(f) {
		f.Add(b)
	}
	n, err := New(Options{Bind: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := delegate{n}
		d.NotifyMsg(b)
		d.MergeRemoteState(b, false)
		n.turn(time.Now())
		n.mu.Lock()
		offers := 0
		for _, s := range n.catalog.sets {
			offers += len(s.offers)
		}
		if offers != n.catalog.offers || offers > mostOffers || len(n.catalog.sets) > mostSets || n.facts.count > mostFacts || n.facts.bytes > mostFactBytes {
			t.Errorf("%d offers, counted %d; %d sets; %d facts of %d bytes", offers, n.catalog.offers, len(n.catalog.sets), n.facts.count, n.facts.bytes)
		}
		n.mu.Unlock()
		m, err := decode(b)
		if err != nil {
			return
		}
		again, err := decode(encodeAny(m))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(key('a') + "\n\n" + key('b')))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := parseKeys(b)
		if (err == nil) != (len(keys) > 0) || len(keys) > mostKeys {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}
