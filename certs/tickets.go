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
//
// With [SharedSecrets] keys that are derived from those come first, for all processes that have them and for listeners of the
// same name; the ring writes while there is no secret for the time, and goes on to read what it wrote.
type Tickets struct {
	every    time.Duration
	listener string
	shared   *SharedSecrets // nil: none

	mu         sync.Mutex
	keys       [][32]byte // newest first
	rotated    time.Time
	generation uint64 // changes with all that follows

	secrets *[]SharedSecret // of shared, that all was made with
	period  int64           // likewise
	all     [][32]byte      // the one that writes first
}

// NewTickets returns a ring that turns once in every; zero is 12 hours. Stores turn it while they run.
func NewTickets(every time.Duration) *Tickets {
	if every <= 0 {
		every = defaultRotation
	}
	return &Tickets{every: every, keys: [][32]byte{newKey()}, rotated: time.Now()}
}

// NewSharedTickets is NewTickets for a listener whose sessions are to resume in other processes, too.
func NewSharedTickets(listener string, shared *SharedSecrets) *Tickets {
	t := NewTickets(0)
	t.listener, t.shared = listener, shared
	return t
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
	t.keys, t.generation = keys, 0
	if now := time.Now(); k.Rotated.Before(now) {
		t.rotated = now.Add(-now.Sub(k.Rotated))
	}
}

// at returns the keys for this time, turning the ring as often as is due, and their generation.
func (t *Tickets) at(now time.Time) ([][32]byte, uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turned := false
	if due := now.Sub(t.rotated) / t.every; due > 0 {
		t.rotated = t.rotated.Add(due * t.every)
		turned = true
		fresh := make([][32]byte, min(due, 1+oldKeys)) // after a long sleep nothing of the old ring is left
		for i := range fresh {
			fresh[i] = newKey()
		}
		t.keys = slices.Concat(fresh, t.keys)
		t.keys = t.keys[:min(len(t.keys), 1+oldKeys)]
	}
	secrets, period := (*[]SharedSecret)(nil), int64(0)
	if t.shared != nil {
		secrets, period = t.shared.current.Load(), TicketPeriod(now)
	}
	if turned || t.generation == 0 || secrets != t.secrets || period != t.period {
		t.generation++
		t.secrets, t.period, t.all = secrets, period, t.merged(secrets, period)
	}
	return t.all, t.generation
}

// merged is the keys of the ring and those that are shared, the one that writes first.
func (t *Tickets) merged(secrets *[]SharedSecret, period int64) [][32]byte {
	if secrets == nil {
		return t.keys
	}
	shared, writes := keysOfShared(*secrets, t.listener, period)
	if writes {
		return slices.Concat(shared, t.keys)
	}
	return slices.Concat(t.keys, shared)
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
