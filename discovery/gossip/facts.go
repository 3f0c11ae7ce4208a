package gossip

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	mostFacts     = 16384
	mostOfKind    = 4096    // so that no kind leaves the others without room
	mostFactBytes = 4 << 20 // of all keys and values
	longestTTL    = 30 * 24 * time.Hour

	// prolonged is by how much a word has to last longer for that to count: what a message is on its way would else add to its
	// time with every exchange.
	prolonged = time.Hour

	// clockSlack is how far ahead another's clock may be. A stamp from the far future could not be overwritten.
	clockSlack = 24 * time.Hour
)

// Fact is a small thing that nodes tell each other.
type Fact struct {
	Kind, Key string
	Value     []byte // do not change it
	Owner     string // the node that wrote it
	Expires   time.Time
	Stamp     uint64 // of the words on a key, a later one has a greater stamp
}

// Host is the name of the owner without what makes it unique.
func (f Fact) Host() string {
	host, _, _ := cutName(f.Owner)
	return host
}

// facts keeps the last word on every key. Words are ordered by hybrid logical clocks: by the writers' clocks, and at any
// rate a word comes after all that its writer knew of. It is not safe for concurrent use.
type facts struct {
	owner    string
	refusals *refusals
	clock    uint64 // milliseconds since the epoch << 16 | a counter
	kinds    map[string]map[string]wireFact
	ends     map[string]map[string]time.Time
	count    int
	bytes    int
	dirty    map[string]bool // kinds that changed
}

func newFacts(owner string, r *refusals) *facts {
	return &facts{
		owner:    owner,
		refusals: r,
		kinds:    make(map[string]map[string]wireFact),
		ends:     make(map[string]map[string]time.Time),
		dirty:    make(map[string]bool),
	}
}

func reading(now time.Time) uint64 { return uint64(max(now.UnixMilli(), 0)) << 16 }

// write makes a fact of this node the last word on its key.
func (f *facts) write(w wireFact, now time.Time) (wireFact, bool) {
	f.clock = max(f.clock+1, reading(now))
	w.owner, w.stamp = f.owner, f.clock
	return w, f.put(w, now)
}

// put takes a fact over if it is the last word, and reports whether it is news.
func (f *facts) put(w wireFact, now time.Time) bool {
	if w.stamp > reading(now.Add(clockSlack)) {
		f.refusals.add(refusedClock, "the fact "+w.kind+" "+w.key+" of "+w.owner)
		return false
	}
	f.clock = max(f.clock, w.stamp)
	if w.ttl <= 0 || w.ttl > longestTTL {
		return false
	}
	before, known := f.kinds[w.kind][w.key]
	if known && w.stamp == before.stamp && w.owner == before.owner {
		return f.lasts(w.kind, w.key, now.Add(w.ttl))
	}
	if known && !w.after(before) {
		return false
	}
	size := len(w.key) + len(w.value)
	if known {
		size -= len(before.key) + len(before.value)
	}
	full := !known && (f.count >= mostFacts || len(f.kinds[w.kind]) >= mostOfKind)
	if full || f.bytes+size > mostFactBytes {
		f.refusals.add(refusedTooMany, "the fact "+w.kind+" "+w.key+" of "+w.owner)
		return false
	}
	if f.kinds[w.kind] == nil {
		f.kinds[w.kind] = make(map[string]wireFact)
		f.ends[w.kind] = make(map[string]time.Time)
	}
	if !known {
		f.count++
	}
	f.bytes += size
	f.kinds[w.kind][w.key] = w
	f.ends[w.kind][w.key] = now.Add(w.ttl)
	f.dirty[w.kind] = true
	return true
}

// lasts makes a word end later, if that is much later, and reports whether it was.
func (f *facts) lasts(kind, key string, end time.Time) bool {
	if end.Sub(f.ends[kind][key]) < prolonged {
		return false
	}
	f.ends[kind][key] = end
	return true
}

func (w wireFact) after(other wireFact) bool {
	return cmp.Or(cmp.Compare(w.stamp, other.stamp), strings.Compare(w.owner, other.owner)) > 0
}

// pass reports whether w, which was heard, is to be passed on: when it is the last word and was not passed on yet.
func (f *facts) pass(w wireFact) bool {
	known := f.kinds[w.kind][w.key]
	if known.passed || known.stamp != w.stamp || known.owner != w.owner {
		return false
	}
	known.passed = true
	f.kinds[w.kind][w.key] = known
	return true
}

// expire forgets what has ended.
func (f *facts) expire(now time.Time) {
	for kind, ends := range f.ends {
		for key, end := range ends {
			if now.Before(end) {
				continue
			}
			w := f.kinds[kind][key]
			f.count--
			f.bytes -= len(w.key) + len(w.value)
			delete(f.kinds[kind], key)
			delete(ends, key)
			if !w.deleted {
				f.dirty[kind] = true
			}
		}
		if len(ends) == 0 {
			delete(f.ends, kind)
			delete(f.kinds, kind)
		}
	}
}

// list is what holds of a kind now, by key.
func (f *facts) list(kind string, now time.Time) []Fact {
	var list []Fact
	for key, w := range f.kinds[kind] {
		if end := f.ends[kind][key]; !w.deleted && now.Before(end) {
			list = append(list, Fact{Kind: kind, Key: key, Value: w.value, Owner: w.owner, Expires: end, Stamp: w.stamp})
		}
	}
	slices.SortFunc(list, func(a, b Fact) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// counts is how many facts there are of each kind, without those that were ended.
func (f *facts) counts() map[string]int {
	counts := make(map[string]int, len(f.kinds))
	for kind, facts := range f.kinds {
		for _, w := range facts {
			if !w.deleted {
				counts[kind]++
			}
		}
	}
	return counts
}

// remaining is the rest of a fact's time.
func (f *facts) remaining(kind, key string, now time.Time) time.Duration {
	return max(f.ends[kind][key].Sub(now), 0)
}

// all is what to tell another node. Secrets only when nobody can listen.
func (f *facts) all(now time.Time, encrypted bool) []wireFact {
	all := make([]wireFact, 0, f.count)
	for kind, facts := range f.kinds {
		for key, w := range facts {
			w.ttl = f.remaining(kind, key, now)
			if w.ttl > time.Millisecond && (encrypted || !w.secret) {
				all = append(all, w)
			}
		}
	}
	return all
}
