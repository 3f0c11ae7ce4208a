package gossip

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// What nodes say to each other. A message is the format, its kind, and a body; numbers are uvarints, texts and lists have
// their length before them. Decoding checks everything that can be checked without knowing who said it.
const format = 1

const (
	kindDelta = 1 + iota // what changed in the set of a node
	kindSets             // whole sets: the answer to kindWant
	kindWant             // whose sets the sender lacks
	kindFacts            // shared facts
	kindState            // all of it: what memberlist exchanges now and then
)

const (
	mostSets    = 4096    // nodes whose sets are kept
	biggestSet  = 1 << 20 // bytes of one set
	biggestFact = 512     // bytes of a fact's value
	packetSize  = 1024    // bytes of a message that has to fit into one UDP packet beside memberlist's own
)

var errMalformed = errors.New("malformed message")

// delta brings a set of any number from from up to to. From 0 it has all offers.
type delta struct {
	origin   string
	from, to uint64 // equal: it only says that to exists
	left     bool
	changed  []offer
	removed  []place
}

// wireSet is a whole set.
type wireSet struct {
	origin string
	seq    uint64
	left   bool          // its node said goodbye; there are no offers then
	age    time.Duration // for how long the sender has not known the node to be alive
	offers []offer
}

// digest says that a set exists.
type digest struct {
	origin string
	seq    uint64
}

// want asks for sets newer than those of the digests.
type want struct {
	from    string // who asks
	lacking []digest
}

// state is what two nodes exchange when they meet.
type state struct {
	sets    []wireSet
	digests []digest
	facts   []wireFact
}

type wireFact struct {
	kind, key string
	value     []byte
	owner     string
	stamp     uint64
	ttl       time.Duration // what is left of it
	deleted   bool
	secret    bool

	passed bool // by this node to others; not on the wire
}

func header(kind byte) []byte { return []byte{format, kind} }

func encodeDelta(d delta) []byte {
	b := header(kindDelta)
	b = appendText(b, d.origin)
	b = binary.AppendUvarint(b, d.from)
	b = binary.AppendUvarint(b, d.to)
	b = appendBool(b, d.left)
	b = appendList(b, d.changed, appendOffer)
	return appendList(b, d.removed, func(b []byte, p place) []byte {
		return appendAddr(appendText(b, p.service), p.addr)
	})
}

func encodeSets(sets []wireSet) []byte { return appendList(header(kindSets), sets, appendSet) }

func encodeWant(w want) []byte {
	return appendList(appendText(header(kindWant), w.from), w.lacking, appendDigest)
}

func encodeFacts(facts []wireFact) []byte { return appendList(header(kindFacts), facts, appendFact) }

func encodeState(s state) []byte {
	b := appendList(header(kindState), s.sets, appendSet)
	b = appendList(b, s.digests, appendDigest)
	return appendList(b, s.facts, appendFact)
}

func appendList[T any](b []byte, list []T, one func([]byte, T) []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, item := range list {
		b = one(b, item)
	}
	return b
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	return binary.BigEndian.AppendUint16(appendText(b, a.Addr().AsSlice()), a.Port())
}

func appendOffer(b []byte, o offer) []byte {
	b = appendAddr(appendText(b, o.service), o.addr)
	b = binary.AppendUvarint(b, uint64(o.weight))
	b = append(b, byte(o.health))
	for _, pairs := range []map[string]string{o.tags, o.facts} {
		b = appendList(b, slices.Sorted(maps.Keys(pairs)), func(b []byte, k string) []byte {
			return appendText(appendText(b, k), pairs[k])
		})
	}
	return b
}

func appendSet(b []byte, s wireSet) []byte {
	b = binary.AppendUvarint(appendText(b, s.origin), s.seq)
	b = appendBool(b, s.left)
	b = binary.AppendUvarint(b, uint64(s.age.Milliseconds()))
	return appendList(b, s.offers, appendOffer)
}

func appendDigest(b []byte, d digest) []byte {
	return binary.AppendUvarint(appendText(b, d.origin), d.seq)
}

func appendFact(b []byte, f wireFact) []byte {
	b = appendText(appendText(b, f.kind), f.key)
	b = appendText(b, f.value)
	b = binary.AppendUvarint(appendText(b, f.owner), f.stamp)
	b = binary.AppendUvarint(b, uint64(f.ttl.Milliseconds()))
	return appendBool(appendBool(b, f.deleted), f.secret)
}
