//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/bench/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuickIsSmallerThanFullAndRoundsCanBeGivenForBoth(t *testing.T) {
	full, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	quick, err := parse([]string{"--quick"})
	if err != nil {
		t.Fatal(err)
	}
	if full.idleConns != 4000 || quick.idleConns != 2000 || quick.rounds >= full.rounds || quick.window >= full.window {
		t.Errorf("full %+v, quick %+v", full, quick)
	}
	if s, err := parse([]string{"--quick", "--peers", "haproxy-grpc"}); err != nil || !s.tuned || quick.tuned {
		t.Errorf("tuned variants with quick: %v, named: %v (%v)", quick.tuned, s.tuned, err)
	}
	if s, err := parse([]string{"--quick", "--rounds", "7"}); err != nil || s.rounds != 7 {
		t.Errorf("%d rounds (%v), want 7", s.rounds, err)
	}
}

func TestScenariosAreChosenByNameAndAnUnknownOneIsAnErrorThatListsThem(t *testing.T) {
	s, err := parse([]string{"--only", "idle-tls,msg-tls-4k"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"idle-tls": true, "msg-tls-4k": true, "idle-plain": false} {
		if wanted(s.only, name) != want {
			t.Errorf("%s wanted: %v", name, !want)
		}
	}
	if _, err := parse([]string{"--only", "idle"}); err == nil || !strings.Contains(err.Error(), "idle-plain") {
		t.Errorf("error %v, want the names there are", err)
	}
	if _, err := parse([]string{"idle-tls"}); err == nil {
		t.Error("a stray argument passed")
	}
}

func TestMemoryIsMeasuredInFewerRoundsButNeverMoreThanAskedFor(t *testing.T) {
	for asked, want := range map[int]int{1: 1, 2: 2, 5: 2} {
		if got := (scenario{memory: true}).rounds(settings{rounds: asked, memoryRounds: 2}); got != want {
			t.Errorf("%d rounds for %d asked, want %d", got, asked, want)
		}
	}
	if got := (scenario{}).rounds(settings{rounds: 5}); got != 5 {
		t.Errorf("%d rounds, want 5", got)
	}
}

func TestASinkChildGivesItsAddressesThenItsFigures(t *testing.T) {
	var out bytes.Buffer
	s, err := sink.Listen("127.0.0.1:0", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := serve(s.Addrs(), s.Stats, strings.NewReader(`"stats"`), &out); err != nil {
		t.Fatal(err)
	}
	replies := json.NewDecoder(&out)
	var addrs []string
	var seen sink.Stats
	if err := replies.Decode(&addrs); err != nil || len(addrs) != 2 || !strings.HasPrefix(addrs[1], "127.0.0.2:") {
		t.Errorf("addresses %v, %v", addrs, err)
	}
	if err := replies.Decode(&seen); err != nil || seen != (sink.Stats{}) {
		t.Errorf("figures %+v, %v", seen, err)
	}
}
