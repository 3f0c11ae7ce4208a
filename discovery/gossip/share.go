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

// Unshare ends a fact, whoever shared it. It does nothing when there is none.
func (n *Node) Unshare(kind, key string) {
	now := time.Now()
	n.mu.Lock()
	before, known := n.facts.kinds[kind][key]
	ttl := n.facts.remaining(kind, key, now)
	n.mu.Unlock()
	if !known || before.deleted {
		return
	}
	// It has to be remembered for as long as somebody may still have the fact itself.
	n.share(wireFact{kind: kind, key: key, ttl: min(ttl+time.Minute, longestTTL), deleted: true, secret: before.secret})
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
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	w, ok := n.facts.write(w, now)
	if !ok {
		return fmt.Errorf("share %s %s: there are %d facts, which is as many as are kept", w.kind, w.key, n.facts.count)
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

// WatchShared calls update with what holds of a kind, first at once and then after every change, until ctx ends. Calls do not
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
