package certs

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

const (
	defaultRotation = 12 * time.Hour
	oldKeys         = 2 // still good to read tickets with
)

// Tickets is the ring of keys that session tickets of one listener are encrypted with. Keep one for each listener and
// give it to each store the listener ever has, and sessions resume across stores, unless the new store asks something
// else of client certificates.
//
// The newest key writes tickets, it and the two before it read them: with the default rotation of 12 hours a ticket is
// good for at least 24 hours, and no key is kept for more than 36. The keys are in memory only.
type Tickets struct {
	every time.Duration

	mu         sync.Mutex
	keys       [][32]byte // newest first
	rotated    time.Time
	generation uint64 // changes with the keys
}

// NewTickets returns a ring that turns once in every; zero is 12 hours. Stores turn it while they run.
func NewTickets(every time.Duration) *Tickets {
	if every <= 0 {
		every = defaultRotation
	}
	return &Tickets{every: every, keys: [][32]byte{newKey()}, rotated: time.Now(), generation: 1}
}

// TicketKeys are what a ring holds, for the process that takes the place of this one. They are secret.
type TicketKeys struct {
	Keys    [][]byte  `json:"keys"`
	Rotated time.Time `json:"rotated"`
}

// Keys returns what the ring holds now.
func (t *Tickets) Keys() TicketKeys {
	keys, _ := t.at(time.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	out := TicketKeys{Rotated: t.rotated.Round(0)}
	for _, key := range keys {
		out.Keys = append(out.Keys, key[:])
	}
	return out
}

// Restore makes the ring hold what another held; keys that are no such are left out. It is for a ring that is not in use yet.
func (t *Tickets) Restore(k TicketKeys) {
	var keys [][32]byte
	for _, key := range k.Keys {
		if len(key) == 32 && len(keys) <= oldKeys {
			keys = append(keys, [32]byte(key))
		}
	}
	if len(keys) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys, t.generation = keys, t.generation+1
	if now := time.Now(); k.Rotated.Before(now) {
		t.rotated = now.Add(-now.Sub(k.Rotated))
	}
}

// at returns the keys for this time, turning the ring as often as is due, and their generation.
func (t *Tickets) at(now time.Time) ([][32]byte, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if due := now.Sub(t.rotated) / t.every; due > 0 {
		t.rotated = t.rotated.Add(due * t.every)
		t.generation++
		fresh := make([][32]byte, min(due, 1+oldKeys)) // after a long sleep nothing of the old ring is left
		for i := range fresh {
			fresh[i] = newKey()
		}
		t.keys = slices.Concat(fresh, t.keys)
		t.keys = t.keys[:min(len(t.keys), 1+oldKeys)]
	}
	return t.keys, t.generation
}

func newKey() (key [32]byte) {
	rand.Read(key[:]) // never fails: see crypto/rand
	return key
}

// bindKeys makes keys that only configurations with the same rule share.
func bindKeys(keys [][32]byte, rule []byte) [][32]byte {
	bound := make([][32]byte, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key[:])
		mac.Write(rule)
		mac.Sum(bound[i][:0])
	}
	return bound
}
