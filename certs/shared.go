package certs

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// mostShared is how many secrets of one period count: one, unless several processes made one at the same time, or apart.
const mostShared = 4

// SharedSecret is what the ticket keys of a period are derived from. Everybody who has it agrees on them.
type SharedSecret struct {
	Period int64 // since the Unix epoch: see TicketPeriod
	Value  [32]byte
}

// SharedSecrets are those that this process shares with others now. The zero value is ready to use.
//
// A secret is of one period, and nothing can be derived from it for another: when all have forgotten it, what was written with it
// is unreadable.
type SharedSecrets struct {
	current atomic.Pointer[[]SharedSecret]
}

// TicketPeriod is the number of the period at a time.
func TicketPeriod(at time.Time) int64 { return at.Unix() / int64(defaultRotation/time.Second) }

// PeriodStart is when a period begins.
func PeriodStart(period int64) time.Time {
	return time.Unix(period*int64(defaultRotation/time.Second), 0)
}

// Set replaces them. Of several of one period the first writes tickets, and the first four read; so everybody should have them
// in the same order. Tickets take them over while their stores run, within a second.
func (s *SharedSecrets) Set(secrets []SharedSecret) {
	if before := s.current.Load(); before != nil && slices.Equal(*before, secrets) {
		return
	}
	secrets = slices.Clone(secrets)
	s.current.Store(&secrets)
}

// keysOfShared are those of a listener in a period: of this one, of the two before, and of the next, because another's clock may be
// ahead. Writes says whether the first may write.
func keysOfShared(secrets []SharedSecret, listener string, period int64) (keys [][32]byte, writes bool) {
	for _, p := range []int64{period, period - 1, period - oldKeys, period + 1} {
		count := 0
		for _, s := range secrets {
			if s.Period != p || count == mostShared {
				continue
			}
			count++
			keys = append(keys, deriveFor(s.Value[:], strconv.FormatInt(p, 10)+" of "+listener))
		}
		if p == period {
			writes = count > 0
		}
	}
	return keys, writes
}
