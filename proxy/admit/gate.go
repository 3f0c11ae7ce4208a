package admit

import (
	"container/list"
	"net/netip"
	"time"
)

// MaxPerSecond is the greatest rate: a token must not cost less than the grain
// of time allows to tell.
const MaxPerSecond = 1_000_000

// Limit says how many come in. The zero value lets everybody in at once.
type Limit struct {
	PerSecond int           // 0 = no limit; at most MaxPerSecond
	Burst     int           // as many at once after a pause; 0 = one second's worth. It is never less than 10 ms' worth
	Queue     int           // as many may wait; 0 = nobody does
	Wait      time.Duration // no longer than this; 0 = as long as it takes
}

// burst is never so small that tokens would be lost to a user who calls
// [Gate.Admit] a hundred times a second.
func (l Limit) burst() int {
	if l.Burst == 0 {
		return l.PerSecond
	}
	return max(l.Burst, (l.PerSecond+99)/100)
}

// Outcome is what became of an [Entry].
type Outcome uint8

const (
	Waiting   Outcome = iota
	Admitted          // its turn came
	Refused           // the queue was full, or it has waited for too long
	Cancelled         // by [Gate.Cancel]
)

// Entry is a newcomer that did not get in at once. It changes from Waiting to
// another outcome once.
type Entry[T any] struct {
	Value T

	outcome   Outcome
	entered   time.Time
	network   *network[T]
	inArrival *list.Element // of gate.arrivals
	inNetwork *list.Element // of network.entries
}

// Outcome may be read whenever the gate may be used.
func (e *Entry[T]) Outcome() Outcome { return e.outcome }

// Gate lets newcomers in under a [Limit]. The zero value has none. All that it
// does takes the same time however many wait. It is not safe for use by several
// goroutines at once.
type Gate[T any] struct {
	limit  Limit
	bucket bucket

	arrivals list.List // of all *Entry that wait, the oldest first
	networks map[netip.Prefix]*network[T]
	turns    list.List    // of the same networks, in the order of their next turn
	bySize   []*list.List // the same again, by how many of them wait
	most     int          // the last of bySize that is not empty
}

// network is where newcomers come from, while some of them wait.
type network[T any] struct {
	prefix  netip.Prefix
	entries list.List // *Entry, the oldest first
	inTurns *list.Element
	inSize  *list.Element // of bySize[entries.Len()]
}

// networkOf takes for one what is usually in one hand: a site's IPv4 addresses,
// and what a provider gives a customer in IPv6 (RFC 6177).
func networkOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 24
	if a.Is6() {
		bits = 56
	}
	p, _ := a.Prefix(bits) // of the zero Addr: the zero Prefix
	return p
}

// Configure puts l in force, also for those that wait: they stay, even if the
// queue is shorter now, under the new rate and the new Wait. [Gate.Admit] is due
// afterwards. Tokens that were used do not come back by it.
func (g *Gate[T]) Configure(l Limit, now time.Time) {
	old := g.limit
	g.limit = l
	if l.PerSecond == 0 || l.PerSecond == old.PerSecond && l.burst() == old.burst() {
		return
	}
	tokens := l.burst()
	if old.PerSecond > 0 {
		tokens = g.bucket.tokens(now)
	}
	g.bucket = newBucket(l.PerSecond, l.burst(), tokens, now)
}

// Len returns how many wait.
func (g *Gate[T]) Len() int { return g.arrivals.Len() }

// Pass lets somebody in at once, if the rate allows it and nobody waits, or if
// there is no limit.
func (g *Gate[T]) Pass(now time.Time) bool {
	return g.limit.PerSecond == 0 || g.Len() == 0 && g.take(now)
}

func (g *Gate[T]) take(now time.Time) bool {
	return g.limit.PerSecond == 0 || g.bucket.take(now)
}

// Enter queues e, a new entry, for which Pass was false. Without a place for it
// either e is refused or another entry, which is returned: the last to come of
// the network that has the most waiting.
func (g *Gate[T]) Enter(e *Entry[T], from netip.Addr, now time.Time) (displaced *Entry[T]) {
	prefix := networkOf(from)
	n := g.networks[prefix]
	if g.Len() >= g.limit.Queue {
		if n.size()+1 >= g.most {
			e.outcome = Refused
			return nil
		}
		crowd := g.bySize[g.most].Front().Value.(*network[T])
		displaced = crowd.entries.Back().Value.(*Entry[T])
		g.settle(displaced, Refused)
	}
	if n == nil {
		n = &network[T]{prefix: prefix}
		if g.networks == nil {
			g.networks = make(map[netip.Prefix]*network[T])
		}
		g.networks[prefix] = n
		n.inTurns = g.turns.PushBack(n)
	}
	e.entered, e.network = now, n
	e.inArrival = g.arrivals.PushBack(e)
	g.resize(n, func() { e.inNetwork = n.entries.PushBack(e) })
	return displaced
}

// Admit lets in whoever's turn has come, then refuses those that have waited for
// too long, and appends both to settled.
func (g *Gate[T]) Admit(now time.Time, settled []*Entry[T]) []*Entry[T] {
	for g.Len() > 0 && g.take(now) {
		n := g.turns.Front().Value.(*network[T])
		g.turns.MoveToBack(n.inTurns)
		e := n.entries.Front().Value.(*Entry[T])
		g.settle(e, Admitted)
		settled = append(settled, e)
	}
	for g.limit.Wait > 0 && g.Len() > 0 {
		e := g.oldest()
		if now.Before(e.entered.Add(g.limit.Wait)) {
			break
		}
		g.settle(e, Refused)
		settled = append(settled, e)
	}
	return settled
}

// Next is when Admit has something to do, at the earliest; ok is false when
// nobody waits.
func (g *Gate[T]) Next() (at time.Time, ok bool) {
	if g.Len() == 0 {
		return time.Time{}, false
	}
	if g.limit.PerSecond == 0 {
		return time.Time{}, true
	}
	at = g.bucket.next()
	if g.limit.Wait > 0 {
		if due := g.oldest().entered.Add(g.limit.Wait); due.Before(at) {
			at = due
		}
	}
	return at, true
}

// Cancel takes e out of the queue if it is there.
func (g *Gate[T]) Cancel(e *Entry[T]) {
	if e.outcome == Waiting && e.network != nil {
		g.settle(e, Cancelled)
	}
}

func (g *Gate[T]) oldest() *Entry[T] { return g.arrivals.Front().Value.(*Entry[T]) }

// settle takes e, which waits, out of the queue.
func (g *Gate[T]) settle(e *Entry[T], o Outcome) {
	n := e.network
	g.arrivals.Remove(e.inArrival)
	g.resize(n, func() { n.entries.Remove(e.inNetwork) })
	if n.size() == 0 {
		g.turns.Remove(n.inTurns)
		delete(g.networks, n.prefix)
	}
	e.outcome, e.network, e.inArrival, e.inNetwork = o, nil, nil, nil
}

// resize files n by its new size, which change makes one more or less.
func (g *Gate[T]) resize(n *network[T], change func()) {
	if n.inSize != nil {
		g.bySize[n.size()].Remove(n.inSize)
	}
	change()
	size := n.size()
	for len(g.bySize) <= size {
		g.bySize = append(g.bySize, list.New())
	}
	n.inSize = nil
	if size > 0 {
		n.inSize = g.bySize[size].PushBack(n)
	}
	g.most = max(g.most, size)
	if g.most > 0 && g.bySize[g.most].Len() == 0 {
		g.most-- // a size changes by one, so the next is the one
	}
}

// size is how many wait; nil has none.
func (n *network[T]) size() int {
	if n == nil {
		return 0
	}
	return n.entries.Len()
}
