package gossip

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"
)

// decode returns a delta, []wireSet, want, []wireFact or state that shares no memory with b. The error is errMalformed.
func decode(b []byte) (any, error) {
	r := &reader{rest: b}
	if r.byte() != format {
		return nil, errMalformed
	}
	var message any
	switch r.byte() {
	case kindDelta:
		message = r.delta()
	case kindSets:
		message = list(r, mostSets, (*reader).set)
	case kindWant:
		message = want{r.name(), list(r, mostSets, (*reader).digest)}
	case kindFacts:
		message = list(r, mostFacts, (*reader).fact)
	case kindState:
		message = state{list(r, mostSets, (*reader).set), list(r, mostSets, (*reader).digest), list(r, mostFacts, (*reader).fact)}
	default:
		return nil, errMalformed
	}
	if r.bad || len(r.rest) > 0 {
		return nil, errMalformed
	}
	return message, nil
}

// reader takes a message apart. After the first thing that is wrong it returns zero values.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fail() { r.bad, r.rest = true, nil }

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail()
	}
	return b == 1
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes(longest int) []byte {
	n := r.number()
	if n > uint64(longest) {
		r.fail()
		return nil
	}
	return r.take(int(n))
}

func (r *reader) text(longest int) string {
	s := string(r.bytes(longest))
	if !isText(s, longest) {
		r.fail()
	}
	return s
}

func (r *reader) name() string {
	s := r.text(longestName)
	if s == "" {
		r.fail()
	}
	return s
}

func (r *reader) duration() time.Duration {
	ms := r.number()
	if ms > math.MaxInt64/uint64(time.Millisecond) {
		r.fail()
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// list grows with what is really there, so a length alone cannot make it allocate.
func list[T any](r *reader, most int, one func(*reader) T) []T {
	n := r.number()
	if n > uint64(most) {
		r.fail()
		return nil
	}
	var items []T
	for range n {
		item := one(r)
		if r.bad {
			return nil
		}
		items = append(items, item)
	}
	return items
}

func (r *reader) addr() netip.AddrPort {
	ip, ok := netip.AddrFromSlice(r.bytes(16))
	port := r.take(2)
	if !ok || port == nil {
		r.fail()
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(port))
}

func (r *reader) pairs() map[string]string {
	n := r.number()
	if n > mostPairs {
		r.fail()
	}
	var pairs map[string]string
	for i := uint64(0); i < n && !r.bad; i++ {
		if pairs == nil {
			pairs = make(map[string]string, n)
		}
		k := r.name()
		pairs[k] = r.text(longestValue)
	}
	return pairs
}

func (r *reader) offer() offer {
	o := offer{service: r.name(), addr: r.addr()}
	weight := r.number()
	o.weight = uint32(min(max(weight, 1), math.MaxUint32))
	o.health = Health(r.byte())
	if o.health > Down {
		r.fail()
	}
	o.tags = r.pairs()
	o.facts = r.pairs()
	return o
}

func (r *reader) delta() delta {
	d := delta{origin: r.name(), from: r.number(), to: r.number(), left: r.bool()}
	d.changed = list(r, mostAnnouncements, (*reader).offer)
	d.removed = list(r, mostAnnouncements, func(r *reader) place { return place{r.name(), r.addr()} })
	if d.from > d.to || d.to == 0 || d.from == d.to && len(d.changed)+len(d.removed) > 0 {
		r.fail()
	}
	return d
}

func (r *reader) set() wireSet {
	s := wireSet{origin: r.name(), seq: r.number(), left: r.bool(), age: r.duration()}
	before := len(r.rest)
	s.offers = list(r, mostAnnouncements, (*reader).offer)
	if s.seq == 0 || s.left && len(s.offers) > 0 || before-len(r.rest) > biggestSet {
		r.fail()
	}
	return s
}

func (r *reader) digest() digest { return digest{r.name(), r.number()} }

func (r *reader) fact() wireFact {
	f := wireFact{kind: r.name(), key: r.text(longestValue)}
	f.value = append([]byte(nil), r.bytes(biggestFact)...)
	f.owner, f.stamp, f.ttl = r.name(), r.number(), r.duration()
	f.deleted, f.secret = r.bool(), r.bool()
	return f
}
