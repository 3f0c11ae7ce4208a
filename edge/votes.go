package edge

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery/gossip"
)

const (
	factVote = "vote"

	mostVotes = 64 // of one edge on one upstream: as many as fit into a fact
	fewestBad = 2  // edges; what one alone sees may be its own network
)

// ballot is what one edge has seen of endpoints, by voteOf: true is bad.
type ballot map[uint64]bool

// voteOf stands for an endpoint in a ballot. The lowest bit is for the verdict.
func voteOf(addr string) uint64 { return xxhash.Sum64String(addr) &^ 1 }

// doubted are the endpoints that more than half of the edges with an opinion on them, and at least two, have seen fail. An edge that
// sees more than half of all endpoints fail is no witness: its network is what fails. And when more than half of all endpoints
// would be doubted, none is.
func doubted(addrs []string, ballots []ballot) []string {
	ballots = slices.DeleteFunc(slices.Clone(ballots), func(b ballot) bool {
		return tooMany(b.bad(addrs), len(addrs))
	})
	var out []string
	for _, addr := range addrs {
		good, bad := 0, 0
		for _, b := range ballots {
			switch verdict, given := b[voteOf(addr)]; {
			case given && verdict:
				bad++
			case given:
				good++
			}
		}
		if bad >= fewestBad && bad > good {
			out = append(out, addr)
		}
	}
	if tooMany(len(out), len(addrs)) {
		return nil
	}
	return out
}

func tooMany(some, all int) bool { return 2*some > all }

func (b ballot) bad(addrs []string) (count int) {
	for _, addr := range addrs {
		if b[voteOf(addr)] {
			count++
		}
	}
	return count
}

// vote is what to tell others: what was seen to fail, and of what others have seen fail, what was seen to work. It is empty when
// there is nothing to tell, and for an edge that had better doubt itself.
func vote(opinions []balancer.Opinion, others []ballot) []byte {
	var b []byte
	bad := 0
	for _, o := range opinions {
		id := voteOf(o.Addr)
		switch {
		case o.Bad:
			bad++
			id |= 1
		case !o.Good || !slices.ContainsFunc(others, func(b ballot) bool { return b[id] }):
			continue
		}
		if len(b) < 8*mostVotes {
			b = binary.BigEndian.AppendUint64(b, id)
		}
	}
	if tooMany(bad, len(opinions)) {
		return nil
	}
	return b
}

func parseBallot(value []byte) ballot {
	b := make(ballot, len(value)/8)
	for ; len(value) >= 8; value = value[8:] {
		id := binary.BigEndian.Uint64(value)
		b[id&^1] = id&1 == 1
	}
	return b
}

func voteKey(upstream, member string) string { return upstream + " " + member }

// ballotsOn are those of other members that are alive. Each has one on an upstream, whatever it says under other keys.
func ballotsOn(upstream, self string, facts []gossip.Fact, alive map[string]bool) []ballot {
	var ballots []ballot
	for _, f := range facts {
		if f.Key == voteKey(upstream, f.Owner) && f.Owner != self && alive[f.Owner] {
			ballots = append(ballots, parseBallot(f.Value))
		}
	}
	return ballots
}
