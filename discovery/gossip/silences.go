package gossip

import (
	"log/slog"
	"net/netip"
	"time"
)

const (
	silenceGathered = time.Second      // how long those who fall silent together are gathered for one line
	silenceQuiet    = 10 * time.Second // how long after a line there is no other
	silencesNamed   = 10               // how many of them a line names
)

// silences logs who died: a rack that loses its power is a line or two, not fifty.
type silences struct {
	count int
	names []string
	addr  netip.AddrPort // of the first
	due   time.Time
	quiet time.Time // until then nothing is logged
}

func (s *silences) add(name string, addr netip.AddrPort, now time.Time) {
	if s.count == 0 {
		s.addr, s.due = addr, later(now.Add(silenceGathered), s.quiet)
	}
	s.count++
	if len(s.names) < silencesNamed {
		s.names = append(s.names, name)
	}
}

// report logs them once that is due, and returns when it is; zero is never.
func (s *silences) report(log *slog.Logger, now time.Time) time.Time {
	if s.count == 0 || now.Before(s.due) {
		return s.due
	}
	if s.count == 1 {
		log.Warn("gossip member is silent, its endpoints are suspected", "name", s.names[0], "address", s.addr)
	} else {
		log.Warn("gossip members are silent, their endpoints are suspected", "count", s.count, "names", s.names)
	}
	*s = silences{quiet: now.Add(silenceQuiet)}
	return time.Time{}
}
