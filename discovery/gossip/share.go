package gossip

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotEncrypted means that a secret would have been readable on the network.
var ErrNotEncrypted = errors.New("gossip is not encrypted: set gossip.key_file to a file made with `mqedge keygen`")

// Share tells all nodes a fact. It replaces what anybody said before on this kind and key, and ends after ttl unless it is shared
// again. Kind is 1 to 128 printable characters, key up to 256 bytes, value up to 512, ttl up to 30 days.
func (n *Node) Share(kind, key string, value []byte, ttl time.Duration) error {
	return n.share(wireFact{kind: kind, key: key, value: value, ttl: ttl})
}

// ShareSecret is Share for what must not be read on the network. The error is [ErrNotEncrypted] when it could be.
func (n *Node) ShareSecret(kind, key string, value []byte, ttl time.Duration) error {
	if !n.Encrypted() {
		return fmt.Errorf("share %s: %w", kind, ErrNotEncrypted)
	}
	return n.share(wireFact{kind: kind, key: key, value: value, ttl: ttl, secret: true})
}

// onItsWay is for how long an end is remembered of a fact that is not known here: it may be on its way.
const onItsWay = time.Hour

// Unshare ends a fact, whoever shared it. It may be one that has not arrived here yet.
func (n *Node) Unshare(kind, key string) error {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	before, known := n.facts.kinds[kind][key]
	if before.deleted {
		return nil
	}
	ttl := onItsWay
	if known { // its end has to be remembered for as long as somebody may still have the fact itself
		ttl = min(n.facts.remaining(kind, key, now)+time.Minute, longestTTL)
	}
	return n.write(wireFact{kind: kind, key: key, ttl: ttl, deleted: true, secret: before.secret}, now)
}

// Prolong makes a fact last for ttl from now, if that is much longer than it would, without being a new word on its key. Every
// node that holds a fact to be true may do so; the others hear of it in time.
func (n *Node) Prolong(kind, key string, ttl time.Duration) {
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if w, known := n.facts.kinds[kind][key]; known && !w.deleted && n.facts.lasts(kind, key, now.Add(min(ttl, longestTTL))) {
		n.unsaved = true
	}
}

// Adopt takes over the facts that another node of this process knew, as they are. It is for a node that does not run yet and takes the
// place of the other.
func (n *Node) Adopt(other *Node) {
	now := time.Now()
	other.mu.Lock()
	known := other.facts.all(now, n.Encrypted())
	other.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range known {
		n.facts.put(w, now)
	}
	n.stir(now, 0)
}

func (n *Node) share(w wireFact) error {
	switch {
	case !isName(w.kind) || !isText(w.key, longestValue):
		return fmt.Errorf("share %q %q: want printable text, the kind up to %d and the key up to %d bytes", w.kind, w.key, longestName, longestValue)
	case len(w.value) > biggestFact:
		return fmt.Errorf("share %s %s: %d bytes: at most %d", w.kind, w.key, len(w.value), biggestFact)
	case w.ttl < time.Millisecond || w.ttl > longestTTL:
		return fmt.Errorf("share %s %s: for %v: want up to %v", w.kind, w.key, w.ttl, longestTTL)
	}
	w.value = append([]byte(nil), w.value...)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.write(w, time.Now())
}

// write makes w the last word and tells it. n.mu is held.
func (n *Node) write(w wireFact, now time.Time) error {
	w, ok := n.facts.write(w, now)
	if !ok {
		return fmt.Errorf("share %s %s: there are %d facts, %d of them of this kind, which is as many as are kept", w.kind, w.key, n.facts.count, len(n.facts.kinds[w.kind]))
	}
	n.relayFact(w)
	n.stir(now, batchInterval)
	return nil
}

// Shared is what holds of a kind now, ordered by key.
func (n *Node) Shared(kind string) []Fact {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.facts.list(kind, time.Now())
}

// LastWord is the stamp of the last word on a key, be it a fact or its end; 0 when there is none.
func (n *Node) LastWord(kind, key string) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.facts.kinds[kind][key].stamp
}

// WatchShared calls update with what holds of a kind, first at once and then after every new word, until ctx ends. Calls do not
// overlap.
func (n *Node) WatchShared(ctx context.Context, kind string, update func([]Fact)) {
	changed, stop := n.factWatchers.add(kind)
	defer stop()
	for {
		update(n.Shared(kind))
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Met is closed once this node has exchanged what it knows with another for the first time, or has tried to with all it was
// told to join.
func (n *Node) Met() <-chan struct{} { return n.met }
