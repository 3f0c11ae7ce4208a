package gossip

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	sendQueue      = 1024
	mostBroadcasts = 4096
	smallState     = 64 << 10 // bytes: up to here all sets go along with every regular exchange
	bigState       = 8 << 20  // bytes: and up to here when a node joins
	answerSize     = 256 << 10

	fetchInterval  = 300 * time.Millisecond
	fetchGiveUp    = 30 * time.Second // the next exchange of states begins anew
	fewNews        = 8
	quietBeginning = 30 * time.Second

	askOrigin = 8 // how many members ask the origin of a set first, the others ask each other
)

var errRefused = errors.New("refused")

// broadcast is a message on its way to everybody. A newer one of the same name takes its place.
type broadcast struct {
	name    string
	message []byte
	sent    chan struct{} // closed when it has been said often enough; may be nil
}

func (b *broadcast) Invalidates(memberlist.Broadcast) bool { return false }
func (b *broadcast) Name() string                          { return b.name }
func (b *broadcast) Message() []byte                       { return b.message }
func (b *broadcast) Finished() {
	if b.sent != nil {
		close(b.sent)
	}
}

// relay passes a message on to everybody.
func (n *Node) relay(name string, message []byte, sent chan struct{}) {
	n.broadcasts.QueueBroadcast(&broadcast{name, message, sent})
	if n.broadcasts.NumQueued() > mostBroadcasts {
		n.broadcasts.Prune(mostBroadcasts)
	}
}

func (n *Node) relayFact(w wireFact) {
	if w.ttl = n.facts.remaining(w.kind, w.key, time.Now()); w.ttl >= time.Millisecond {
		n.relay("fact "+w.kind+" "+w.key, encodeFacts([]wireFact{w}), nil)
	}
}

// lack is a set that is known to exist but not known.
type lack struct {
	seq   uint64
	since time.Time
	next  time.Time // when to ask
	tries int
}

// The hear functions take over what others say. n.mu is held.

func (n *Node) hearDelta(d delta, raw []byte, now time.Time) {
	news, fetch := n.catalog.patch(d, now)
	s := n.catalog.sets[d.origin]
	if d.origin != n.name && d.to > n.relayed[d.origin] && (fetch || s != nil && s.seq == d.to) {
		// Also when it is known already by an exchange: who passes on nothing ends the spreading.
		n.relayed[d.origin] = d.to
		if len(raw) <= packetSize {
			n.relay("set "+d.origin, append([]byte(nil), raw...), nil)
		}
	}
	switch {
	case fetch:
		n.hearOf(d.origin, d.to, now)
	case news:
		n.learnt(d.origin, d.left, now)
	}
}

func (n *Node) hearSet(s wireSet, now time.Time) (news bool) {
	news = n.catalog.put(s, now)
	if news {
		n.learnt(s.origin, s.left, now)
	}
	return news
}

// hearState takes over what another node knows. Its news are passed on, because nobody may have said them here: the other may
// come from beyond a partition. Only a node that has just begun keeps still, since to it alone everything is news.
func (n *Node) hearState(s state, now time.Time) {
	var news []string
	for _, set := range s.sets {
		if n.hearSet(set, now) {
			news = append(news, set.origin)
		}
	}
	for _, g := range s.digests {
		n.hearOf(g.origin, g.seq, now)
	}
	n.hearFacts(s.facts, now)
	if len(news) > fewNews && now.Sub(n.started) < quietBeginning {
		return
	}
	for _, origin := range news {
		s := n.catalog.sets[origin]
		if s.seq <= n.relayed[origin] {
			continue
		}
		n.relayed[origin] = s.seq
		d := delta{origin: origin, to: s.seq, left: s.left, changed: s.wire(0).offers}
		b := encodeDelta(d)
		if len(b) > packetSize {
			b = encodeDelta(delta{origin: origin, from: s.seq, to: s.seq, left: s.left})
		}
		n.relay("set "+origin, b, nil)
	}
}

func (n *Node) learnt(origin string, left bool, now time.Time) {
	if l := n.lacking[origin]; l != nil && l.seq <= n.catalog.sets[origin].seq {
		delete(n.lacking, origin)
	}
	delay := batchInterval
	if left {
		delay = 0
	}
	n.stir(now, delay)
}

// hearOf notes that a set exists, to be fetched if it is newer than what is known.
func (n *Node) hearOf(origin string, seq uint64, now time.Time) {
	if origin == n.name || len(n.lacking) >= mostSets {
		return
	}
	if s := n.catalog.sets[origin]; s != nil && s.seq >= seq {
		return
	}
	if l := n.lacking[origin]; l != nil {
		l.seq = max(l.seq, seq)
		return
	}
	n.lacking[origin] = &lack{seq: seq, since: now, next: now.Add(rand.N(fetchInterval))}
	n.prod()
}

// hearFact takes over one fact and reports whether it is news.
func (n *Node) hearFact(w wireFact, now time.Time) bool {
	if w.secret && !n.Encrypted() {
		n.refusals.add(refusedPlain, "the fact "+w.kind+" of "+w.owner)
		return false
	}
	w.passed = false
	if !n.facts.put(w, now) {
		return false
	}
	n.stir(now, batchInterval)
	return true
}

// passFact tells everybody the last word that was heard, once.
func (n *Node) passFact(w wireFact) {
	if n.facts.pass(w) {
		n.relayFact(w)
	}
}

// hearFacts takes over the facts of a state and passes on what is news, with the same exception as for sets.
func (n *Node) hearFacts(facts []wireFact, now time.Time) {
	var news []wireFact
	for _, w := range facts {
		if n.hearFact(w, now) {
			news = append(news, w)
		}
	}
	if len(news) > fewNews && now.Sub(n.started) < quietBeginning {
		return
	}
	for _, w := range news {
		n.passFact(w)
	}
}

// fetch asks for what is lacking and returns when to look again. The newest set is first known to its origin alone, so a few
// ask it and the others ask at random: who has it doubles with every round, and nobody is asked by all. n.mu is held.
func (n *Node) fetch(now time.Time) time.Time {
	var next time.Time
	var living []string
	asked := make(map[string][]digest)
	for origin, l := range n.lacking {
		if now.Sub(l.since) > fetchGiveUp {
			delete(n.lacking, origin)
			continue
		}
		if !now.Before(l.next) {
			if living == nil {
				for name, m := range n.catalog.members {
					if m.Alive {
						living = append(living, name)
					}
				}
			}
			if len(living) > 0 {
				whom := living[rand.IntN(len(living))]
				if n.catalog.alive(origin) && (l.tries%8 == 7 || rand.IntN(len(living)) < askOrigin) {
					whom = origin
				}
				var have uint64
				if s := n.catalog.sets[origin]; s != nil {
					have = s.seq
				}
				asked[whom] = append(asked[whom], digest{origin, have})
			}
			l.tries++
			l.next = now.Add(fetchInterval/2 + rand.N(fetchInterval))
		}
		if next.IsZero() || l.next.Before(next) {
			next = l.next
		}
	}
	for whom, lacking := range asked {
		message := encodeWant(want{n.name, lacking})
		n.enqueue(send{whom, func() [][]byte { return [][]byte{message} }})
	}
	return next
}

// send is a message to one member, made when it is its turn.
type send struct {
	to   string
	make func() [][]byte
}

func (n *Node) enqueue(s send) {
	select {
	case n.sends <- s:
	default:
		n.dropped.Add(1)
	}
}

// answer sends the sets somebody asked for, as far as they are known here. n.mu is held.
func (n *Node) answer(w want) {
	if !n.catalog.alive(w.from) {
		return
	}
	n.enqueue(send{w.from, func() [][]byte {
		n.mu.Lock()
		defer n.mu.Unlock()
		now := time.Now()
		var messages [][]byte
		var sets []wireSet
		size := 0
		flush := func() {
			if len(sets) > 0 {
				messages = append(messages, encodeSets(sets))
			}
			sets, size = nil, 0
		}
		for _, g := range w.lacking {
			s := n.catalog.sets[g.origin]
			if g.origin == n.name {
				s = &n.catalog.own.set
			}
			if s == nil || s.seq <= g.seq {
				continue
			}
			wire := n.wire(s, now)
			sets = append(sets, wire)
			if size += len(appendSet(nil, wire)); size > answerSize {
				flush()
			}
		}
		flush()
		return messages
	}})
}

func (n *Node) wire(s *set, now time.Time) wireSet {
	if s.origin == n.name {
		return s.wire(0)
	}
	return s.wire(n.catalog.age(s, now))
}

// deliver sends what is in the queue until ctx ends.
func (n *Node) deliver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-n.sends:
			n.mu.Lock()
			list, m := n.list, n.catalog.members[s.to]
			var to memberlist.Node
			if m != nil {
				to = memberlist.Node{Name: m.Name, Addr: m.Addr.Addr().AsSlice(), Port: m.Addr.Port()}
			}
			n.mu.Unlock()
			if m == nil {
				continue
			}
			for _, message := range s.make() {
				if err := list.SendReliable(&to, message); err != nil {
					break // it, or somebody else, will be asked again
				}
			}
		}
	}
}

// tell is what a node is told in an exchange of states.
func (n *Node) tell(join bool, now time.Time) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	var s state
	size, most := 0, smallState
	if join {
		most = bigState
	}
	all := []*set{}
	if n.catalog.own.seq > 0 {
		all = append(all, &n.catalog.own.set)
	}
	for _, known := range n.catalog.sets {
		if n.catalog.age(known, now) <= n.catalog.lifetime(known.left) && !n.catalog.superseded(known) {
			all = append(all, known)
		}
	}
	for _, known := range all {
		w := n.wire(known, now)
		if size += len(appendSet(nil, w)); size > most {
			break
		}
		s.sets = append(s.sets, w)
	}
	if size > most {
		if !join {
			s.sets = nil
		}
		for _, known := range all[len(s.sets):] {
			s.digests = append(s.digests, digest{known.origin, known.seq})
		}
	}
	s.facts = n.facts.all(now, n.Encrypted())
	return encodeState(s)
}
