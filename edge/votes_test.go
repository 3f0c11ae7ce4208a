package edge

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery/gossip"
)

// said makes a ballot of "-a" for what failed and "+b" for what works.
func said(votes ...string) ballot {
	b := ballot{}
	for _, v := range votes {
		b[voteOf(v[1:])] = v[0] == '-'
	}
	return b
}

func TestAnEndpointIsDoubtedWhenMostWhoKnowHaveSeenItFail(t *testing.T) {
	four := []string{"a", "b", "c", "d"}
	for name, c := range map[string]struct {
		addrs   []string
		ballots []ballot
		want    []string
	}{
		"nobody says anything":          {four, nil, nil},
		"one alone":                     {four, []ballot{said("-a")}, nil},
		"two":                           {four, []ballot{said("-a"), said("-a")}, []string{"a"}},
		"two of three":                  {four, []ballot{said("-a"), said("-a"), said("+a")}, []string{"a"}},
		"two of four":                   {four, []ballot{said("-a"), said("-a"), said("+a"), said("+a")}, nil},
		"others have no opinion":        {four, []ballot{said("-a"), said("-a"), said("+b"), said(), said("-c")}, []string{"a"}},
		"half of the pool":              {four, []ballot{said("-a", "-b"), said("-a", "-b")}, []string{"a", "b"}},
		"more than half of the pool":    {four, []ballot{said("-a", "-b"), said("-a", "-b"), said("-c"), said("-c")}, nil},
		"one that sees most fail":       {four, []ballot{said("-a", "-b", "-c"), said("-a")}, nil},
		"many that see all fail":        {four, []ballot{said("-a", "-b", "-c", "-d"), said("-a", "-b", "-c", "-d"), said("-a", "-b", "-c", "-d")}, nil},
		"the only endpoint":             {[]string{"a"}, []ballot{said("-a"), said("-a")}, nil},
		"one of two":                    {[]string{"a", "b"}, []ballot{said("-a"), said("-a")}, []string{"a"}},
		"an endpoint that is not known": {four, []ballot{said("-x"), said("-x")}, nil},
		"no endpoints":                  {nil, []ballot{said("-x"), said("-x")}, nil},
	} {
		if got := doubted(c.addrs, c.ballots); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestNoVotesOfHalfOrFewerTakeAnythingAndNoVotesTakeMoreThanHalf(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		addrs := make([]string, 1+random.IntN(8))
		for i := range addrs {
			addrs[i] = fmt.Sprint(i)
		}
		against, voters := random.IntN(6), 1+random.IntN(6)
		// Those against say down of whatever they like, all others have seen all endpoints work.
		var ballots []ballot
		for i := range against + voters {
			b := ballot{}
			for _, addr := range addrs {
				if i >= against {
					b[voteOf(addr)] = false
				} else if random.IntN(2) == 0 {
					b[voteOf(addr)] = true
				}
			}
			ballots = append(ballots, b)
		}
		random.Shuffle(len(ballots), func(i, j int) { ballots[i], ballots[j] = ballots[j], ballots[i] })
		got := doubted(addrs, ballots)
		if against <= voters && len(got) > 0 {
			t.Fatalf("%d edges against %d take %v out of %v", against, voters, got, addrs)
		}
		if 2*len(got) > len(addrs) {
			t.Fatalf("%v out of %v", got, addrs)
		}
		// An edge whose network fails changes nothing, whatever it says besides.
		all := ballot{}
		for _, addr := range addrs {
			all[voteOf(addr)] = true
		}
		if with := doubted(addrs, append(slices.Clone(ballots), all)); !slices.Equal(got, with) {
			t.Fatalf("%v became %v by one that sees all fail", got, with)
		}
	}
}

func TestAnEdgeTellsWhatFailsAndAnswersWhatOthersSay(t *testing.T) {
	opinions := []balancer.Opinion{{Addr: "a", Bad: true}, {Addr: "b", Good: true}, {Addr: "c", Good: true}, {Addr: "d"}}
	got := parseBallot(vote(opinions, []ballot{said("-b", "-d"), said("+c")}))
	if want := said("-a", "+b"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := vote(opinions[1:], nil); len(got) > 0 {
		t.Errorf("said %x though nothing is wrong", got)
	}
	for i := range opinions[:3] {
		opinions[i] = balancer.Opinion{Addr: opinions[i].Addr, Bad: true}
	}
	if got := vote(opinions, nil); len(got) > 0 {
		t.Errorf("an edge that sees three of four fail says %x", got)
	}
	many := make([]balancer.Opinion, 1000)
	for i := range many {
		many[i] = balancer.Opinion{Addr: fmt.Sprint(i), Bad: i < 400}
	}
	if got := vote(many, nil); len(got) != 512 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestOnlyLivingMembersVoteAndEachOnce(t *testing.T) {
	fact := func(key, owner string) gossip.Fact {
		return gossip.Fact{Key: key, Owner: owner, Value: binary.BigEndian.AppendUint64(nil, voteOf("a")|1)}
	}
	alive := map[string]bool{"x": true, "y": true, "self": true}
	got := ballotsOn("emqx", "self", []gossip.Fact{
		fact("emqx x", "x"), fact("emqx z", "x"), fact("emqx dead", "dead"), fact("emqx self", "self"), fact("hooks y", "y"), fact("emqx y", "y"),
	}, alive)
	if len(got) != 2 || !got[0][voteOf("a")] {
		t.Errorf("%v", got)
	}
}

func FuzzBallot(f *testing.F) {
	f.Add([]byte("12345678abcdefg"))
	f.Fuzz(func(t *testing.T, value []byte) {
		if b := parseBallot(value); len(b) > len(value)/8 {
			t.Errorf("%d votes in %d bytes", len(b), len(value))
		}
	})
}
