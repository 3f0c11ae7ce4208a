package edge

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mqedge/mqedge/certs"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/discovery/gossip"
)

func secretFact(period int64, owner string, stamp uint64) gossip.Fact {
	return gossip.Fact{Key: strconv.FormatInt(period, 10) + " " + owner, Value: make([]byte, 32), Owner: owner, Stamp: stamp}
}

func TestASecretIsMadeForThisPeriodAndAheadOfTheNext(t *testing.T) {
	now := certs.PeriodStart(1000)
	for _, c := range []struct {
		known []gossip.Fact
		at    time.Duration
		want  []int64
	}{
		{nil, 0, []int64{1000}},
		{nil, 6*time.Hour + 1, []int64{1000, 1001}},
		{[]gossip.Fact{secretFact(1000, "a", 1)}, 6 * time.Hour, nil},
		{[]gossip.Fact{secretFact(1000, "a", 1)}, 7 * time.Hour, []int64{1001}},
		{[]gossip.Fact{secretFact(1000, "a", 1), secretFact(1001, "b", 2)}, 12 * time.Hour, nil},
		{[]gossip.Fact{{Key: "1000 a", Value: []byte("short")}, {Key: "x", Value: make([]byte, 32)}, {Value: make([]byte, 32)}}, 0, []int64{1000}},
	} {
		if got := missingSecrets(c.known, now.Add(c.at)); !slices.Equal(got, c.want) {
			t.Errorf("%v into the period, knowing %v: %v, want %v", c.at, c.known, got, c.want)
		}
	}
}

func TestAllUseTheSecretThatWasMadeFirst(t *testing.T) {
	first, second := secretFact(7, "z~1", 1), secretFact(7, "a~1", 2)
	first.Value[0], second.Value[0] = 1, 2
	for _, facts := range [][]gossip.Fact{{first, second}, {second, first}} {
		if got := secretsOf(facts); len(got) != 2 || got[0].Value[0] != 1 {
			t.Errorf("%v", got)
		}
	}
}

func TestNoSecretIsMadeWhereGossipIsNotEncrypted(t *testing.T) {
	node, err := gossip.New(gossip.Options{Name: "a", Bind: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if makeSecret(node, certs.TicketPeriod(time.Now()), time.Now()) == nil {
		t.Error("a secret was shared in the clear")
	}
}

func TestSecretsThatAnybodyMayHaveSaidAreNotUsed(t *testing.T) {
	node, err := gossip.New(gossip.Options{Name: "a", Bind: "127.0.0.1:0"}) // without a key
	if err != nil {
		t.Fatal(err)
	}
	key := strconv.FormatInt(certs.TicketPeriod(time.Now()), 10) + " a"
	must(t, node.Share(factTickets, key, make([]byte, 32), time.Hour)) // as any process of this host can
	e := New(Options{LogOutput: t.Output()})
	c := &configs.Config{Gossip: &configs.Gossip{Share: []string{shareTickets}}}
	m := &member{config: c.Gossip, node: node, run: start(func(context.Context) {})}
	e.beginGossip(&generation{config: c, gossip: m}, &generation{})
	defer m.stop()
	before := certs.NewTickets(0).Keys()
	if got := certs.NewSharedTickets("mqtts", &e.secrets).Keys(); len(got.Keys) != len(before.Keys) {
		t.Errorf("there are %d keys, want %d", len(got.Keys), len(before.Keys))
	}
}

func FuzzSharedSecrets(f *testing.F) {
	f.Add("41234 edge~1", make([]byte, 32))
	f.Add("-1", []byte{})
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		facts := []gossip.Fact{{Key: key, Value: value}}
		if len(secretsOf(facts)) > 0 && len(value) != 32 {
			t.Errorf("a secret of %d bytes", len(value))
		}
		missingSecrets(facts, time.Unix(1e9, 0))
	})
}
