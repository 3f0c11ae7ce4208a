package gossip

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestAWordThatIsProlongedIsNoNewWord(t *testing.T) {
	refusals := newRefusals(slog.New(slog.DiscardHandler))
	a, b, c := newFacts("a", refusals), newFacts("b", refusals), newFacts("c", refusals)
	drain, _ := a.write(wireFact{kind: "drain", key: "x", value: []byte("1"), ttl: 10 * time.Hour}, noon)
	for _, f := range []*facts{b, c} {
		f.put(drain, noon)
		clear(f.dirty)
	}
	enabled, _ := c.write(wireFact{kind: "drain", key: "x", ttl: 11 * time.Hour, deleted: true}, noon.Add(time.Second))

	// b does not know of the end yet and prolongs the drain.
	later := noon.Add(5 * time.Hour)
	if !b.lasts("drain", "x", later.Add(10*time.Hour)) || b.lasts("drain", "x", later.Add(10*time.Hour+time.Minute)) {
		t.Error("prolonged by nothing, or not at all")
	}
	told := b.all(later, true)[0]
	if !a.put(told, later) || a.remaining("drain", "x", later) != 10*time.Hour {
		t.Errorf("a did not take over that it lasts longer: %v", a.remaining("drain", "x", later))
	}
	if a.put(told, later.Add(time.Minute)) {
		t.Error("the way of a message was added to the time of a word")
	}
	if len(b.dirty) > 0 {
		t.Errorf("told watchers of %v", b.dirty)
	}
	if c.put(told, later) || len(c.list("drain", later)) > 0 {
		t.Error("a word that was prolonged came back after its end")
	}
	if !b.put(enabled, later) || len(b.list("drain", later)) > 0 {
		t.Error("the end of a word did not end it where it was prolonged")
	}
}

func TestTheStateFileKeepsFactsButNoSecretsAndNothingThatIsShort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	n := start(t, Options{Name: "edge", StateFile: file, KeyFile: keyFile(t, key('k'))})
	must(t, n.Share("drain", "emqx 10.0.0.1:1883", []byte("{}"), 20*24*time.Hour))
	must(t, n.Share("drain", "emqx 10.0.0.2:1883", nil, time.Hour))
	must(t, n.Unshare("drain", "emqx 10.0.0.2:1883"))
	must(t, n.Share("vote", "x", []byte("down"), 10*time.Second))
	must(t, n.ShareSecret("tickets", "1", []byte("hush"), time.Hour))
	before := n.Shared("drain")
	n.kill()
	data, err := os.ReadFile(file)
	must(t, err)
	if text := string(data); strings.Contains(text, "tickets") || strings.Contains(text, "vote") {
		t.Errorf("the state file: %s", text)
	}

	again := start(t, Options{Name: "edge", StateFile: file, KeyFile: keyFile(t, key('k'))})
	<-again.Met()
	after := again.Shared("drain")
	if len(after) != 1 || after[0].Key != before[0].Key || after[0].Owner != before[0].Owner || after[0].Stamp != before[0].Stamp ||
		after[0].Expires.Sub(before[0].Expires).Abs() > time.Second {
		t.Errorf("%+v, want %+v", after, before)
	}
	again.mu.Lock()
	defer again.mu.Unlock()
	if w := again.facts.kinds["drain"]["emqx 10.0.0.2:1883"]; !w.deleted {
		t.Errorf("that it was enabled is forgotten: %+v", w)
	}
}

func TestFactsInTheStateFileAreCheckedAsIfSomebodyHadSaidThem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	good := savedFact{Kind: "drain", Key: "k", Owner: "a~1", Stamp: 1, Until: time.Now().Add(time.Hour)}
	bad := make([]savedFact, 6)
	for i := range bad {
		bad[i] = good
		bad[i].Key = fmt.Sprint(i)
	}
	bad[0].Kind, bad[1].Key, bad[2].Value, bad[3].Owner = "", "a\nb", make([]byte, biggestFact+1), "\x00"
	bad[4].Until, bad[5].Stamp = time.Now().Add(longestTTL+time.Hour), reading(time.Now().Add(48*time.Hour))
	data, err := json.Marshal(savedState{Format: format, Facts: append(bad, good)})
	must(t, err)
	must(t, os.WriteFile(file, data, 0o600))
	n := start(t, Options{StateFile: file})
	<-n.Met()
	if got := n.Shared("drain"); len(got) != 1 || got[0].Key != "k" {
		t.Errorf("restored %+v", got)
	}
}

func TestANodeThatTakesThePlaceOfAnotherKnowsItsFactsAndTellsThem(t *testing.T) {
	keys := keyFile(t, key('k'))
	old := start(t, Options{Name: "edge", KeyFile: keys})
	must(t, old.Share("drain", "x", []byte("1"), time.Hour))
	must(t, old.ShareSecret("tickets", "1", []byte("hush"), time.Hour))
	old.kill()
	other := start(t, Options{Name: "other", KeyFile: keys})
	plain, err := New(Options{Bind: "127.0.0.1:0"})
	must(t, err)
	plain.Adopt(old.Node)
	if len(plain.Shared("drain")) != 1 || len(plain.Shared("tickets")) != 0 {
		t.Errorf("a node without keys took %v and %v", plain.Shared("drain"), plain.Shared("tickets"))
	}
	n, err := New(Options{Name: "edge", Bind: "127.0.0.1:0", KeyFile: keys, Join: join(other), tune: fast})
	must(t, err)
	n.Adopt(old.Node)
	if got := n.Shared("drain"); len(got) != 1 || got[0].Owner != old.name || got[0].Host() != "edge" {
		t.Fatalf("adopted %+v", got)
	}
	run(t, n)
	eventually(t, func() string {
		if len(other.Shared("drain")) != 1 || len(other.Shared("tickets")) != 1 {
			return "the others do not know what was adopted"
		}
		return ""
	})
}

func TestWhatWasSaidBeyondAPartitionReachesAllOnceItIsMended(t *testing.T) {
	network := &cut{}
	var nodes []*running
	for i := range 4 {
		nodes = append(nodes, start(t, Options{Name: fmt.Sprint("n", i), open: network.open}))
	}
	meet(t, nodes...)
	members(t, 4, nodes...)
	network.apart(nodes[:2], nodes[2:])
	members(t, 2, nodes...)
	must(t, nodes[0].Share("drain", "x", []byte("left"), time.Hour))
	must(t, nodes[3].Share("drain", "x", []byte("right"), time.Hour))
	must(t, nodes[3].Share("drain", "y", []byte("right"), time.Hour))
	network.apart()
	for _, n := range nodes {
		eventually(t, func() string {
			got := n.Shared("drain")
			if len(got) != 2 || string(got[0].Value) != "right" {
				return fmt.Sprintf("%s knows %v", n.name, got)
			}
			return ""
		})
	}
}

func TestManyMembersThatDieTogetherAreALineOrTwo(t *testing.T) {
	out := &testLog{t: t}
	log := slog.New(slog.NewTextHandler(out, nil))
	var s silences
	now := noon
	at := netip.MustParseAddrPort("10.0.0.1:7946")
	tick := func(to time.Time) {
		for now.Before(to) {
			if due := s.report(log, now); !due.IsZero() && due.Sub(now) > silenceQuiet {
				t.Fatalf("due in %v", due.Sub(now))
			}
			now = now.Add(100 * time.Millisecond)
		}
	}
	s.add("alone~1", at, now)
	tick(noon.Add(time.Minute))
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "name=alone~1 address=10.0.0.1:7946") {
		t.Fatalf("of one: %s", got)
	}
	for i := range 50 { // within five seconds
		s.add(fmt.Sprintf("n%d~1", i), at, now)
		tick(now.Add(100 * time.Millisecond))
	}
	tick(now.Add(time.Minute))
	got := strings.TrimPrefix(out.String(), strings.SplitAfter(out.String(), "\n")[0])
	if lines := strings.Count(got, "\n"); lines != 2 {
		t.Errorf("%d lines for fifty:\n%s", lines, got)
	}
	if !strings.Contains(got, "count=") || strings.Contains(got, "n49~1") {
		t.Errorf("%s", got)
	}
}
