package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAFactReachesAllAndTheLastWriterWins(t *testing.T) {
	a := start(t, Options{Name: "a", KeyFile: keyFile(t, key('k'))})
	b := start(t, Options{Name: "b", KeyFile: keyFile(t, key('k')), Join: join(a)})
	told := make(chan string, 100)
	ctx := t.Context()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.WatchShared(ctx, "drain", func(facts []Fact) {
			text := ""
			for _, f := range facts {
				text += fmt.Sprintf("%s=%s by %s;", f.Key, f.Value, f.Owner)
			}
			told <- text
		})
	}()
	expect := func(want string) {
		t.Helper()
		deadline := time.After(20 * time.Second)
		for {
			select {
			case got := <-told:
				if got == want {
					return
				}
			case <-deadline:
				t.Fatalf("never told %q", want)
			}
		}
	}
	expect("")
	members(t, 2, a, b)
	must(t, a.Share("drain", "emqx 10.0.0.1:1883", []byte("by hand"), time.Hour))
	expect("emqx 10.0.0.1:1883=by hand by " + a.name + ";")
	must(t, b.Share("drain", "emqx 10.0.0.1:1883", []byte("no"), time.Hour))
	expect("emqx 10.0.0.1:1883=no by " + b.name + ";")
	eventually(t, func() string {
		if got := a.Shared("drain"); len(got) != 1 || string(got[0].Value) != "no" {
			return fmt.Sprintf("a has %v", got)
		}
		return ""
	})
	must(t, a.Unshare("drain", "emqx 10.0.0.1:1883"))
	expect("")

	must(t, a.Share("vote", "x", nil, 300*time.Millisecond))
	must(t, a.ShareSecret("ticket", "1", []byte("secret"), time.Hour))
	eventually(t, func() string {
		if got := b.Shared("ticket"); len(got) != 1 || string(got[0].Value) != "secret" {
			return fmt.Sprintf("b has %v", got)
		}
		return ""
	})
	eventually(t, func() string {
		if got := b.Shared("vote"); len(got) > 0 {
			return fmt.Sprintf("b still has %v", got)
		}
		return ""
	})
	late := start(t, Options{Name: "late", KeyFile: keyFile(t, key('k')), Join: join(b)})
	eventually(t, func() string {
		if late.Stats().Members < 3 || len(late.Shared("ticket")) != 1 {
			return fmt.Sprintf("late: %+v, %v", late.Stats(), late.Shared("ticket"))
		}
		return ""
	})
	if got := late.Shared("drain"); len(got) > 0 {
		t.Errorf("late has %v", got)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestASecretIsNotSharedInTheClear(t *testing.T) {
	n := start(t, Options{})
	if err := n.ShareSecret("ticket", "1", []byte("x"), time.Hour); !errors.Is(err, ErrNotEncrypted) || !strings.Contains(err.Error(), "mqedge keygen") {
		t.Error(err)
	}
	n.mu.Lock()
	n.hearFact(wireFact{kind: "ticket", key: "1", owner: "b~1", stamp: 1, ttl: time.Hour, secret: true}, time.Now())
	n.mu.Unlock()
	if len(n.Shared("ticket")) > 0 || n.Stats().Refused[refusedPlain] != 1 {
		t.Errorf("%v, refused %v", n.Shared("ticket"), n.Stats().Refused)
	}
}

func TestFactsAreBounded(t *testing.T) {
	n, err := New(Options{Bind: "127.0.0.1:0"})
	must(t, err)
	for what, f := range map[string]func() error{
		"kind":  func() error { return n.Share("", "k", nil, time.Hour) },
		"key":   func() error { return n.Share("k", strings.Repeat("k", 257), nil, time.Hour) },
		"lines": func() error { return n.Share("k", "a\nb", nil, time.Hour) },
		"value": func() error { return n.Share("k", "k", make([]byte, 513), time.Hour) },
		"ttl":   func() error { return n.Share("k", "k", nil, 0) },
		"years": func() error { return n.Share("k", "k", nil, 24*365*time.Hour) },
	} {
		if f() == nil {
			t.Errorf("%s: no error", what)
		}
	}
	kinds := mostFacts / mostOfKind
	for kind := range kinds {
		for i := range mostOfKind {
			must(t, n.Share(fmt.Sprint("kind ", kind), fmt.Sprint(i), nil, time.Hour))
		}
		if err := n.Share(fmt.Sprint("kind ", kind), "one more", nil, time.Hour); err == nil {
			t.Error("no bound on one kind")
		}
	}
	if err := n.Share("another kind", "one more", nil, time.Hour); err == nil {
		t.Error("no bound")
	}
	must(t, n.Share("kind 0", "7", []byte("again"), time.Hour))
	if got := n.Stats(); got.Facts["kind 0"] != mostOfKind || n.facts.count != mostFacts || got.Refused[refusedTooMany] != uint64(kinds)+1 {
		t.Errorf("%+v", got)
	}
}

func TestClocksDoNotDecideWhoHasTheLastWordAlone(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	refusals := newRefusals(slog.New(slog.DiscardHandler))
	ahead, behind := newFacts("ahead", refusals), newFacts("behind", refusals)
	w, _ := ahead.write(wireFact{kind: "k", key: "k", value: []byte("first"), ttl: time.Hour}, now.Add(10*time.Minute))
	behind.put(w, now)
	answer, _ := behind.write(wireFact{kind: "k", key: "k", value: []byte("second"), ttl: time.Hour}, now.Add(time.Second))
	if !ahead.put(answer, now.Add(10*time.Minute)) || string(ahead.list("k", now)[0].Value) != "second" {
		t.Error("an answer came before what it answers")
	}
	if ahead.put(w, now) {
		t.Error("an old word came back")
	}
	w.stamp = reading(now.Add(48 * time.Hour))
	if behind.put(w, now) || refusals.snapshot()[refusedClock] != 1 {
		t.Error("a stamp from the day after tomorrow was taken")
	}
	behind.expire(now.Add(2 * time.Hour))
	if behind.count != 0 || behind.bytes != 0 || len(behind.kinds) != 0 {
		t.Errorf("left after the end: %+v", behind)
	}
}
