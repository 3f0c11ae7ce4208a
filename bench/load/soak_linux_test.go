package load_test

import (
	"bufio"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/mqtt"
)

func TestASoakEndsConnectionsBothWaysReplacesThemAndLosesNothing(t *testing.T) {
	s := listen(t)
	r, err := load.Soak(t.Context(), load.SoakOptions{
		Options: load.Options{Addr: s.Addrs()[0], Conns: 20}, For: 400 * time.Millisecond, Churn: 100, Every: 5 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lost != 0 || r.Wrong != 0 || len(r.Failed) != 0 || r.Messages < 20 || r.Reset < 2 || r.Closed < 22 {
		t.Errorf("%+v, want messages, connections of both endings, and nothing lost", r)
	}
	if r.Opened != r.Closed+r.Reset {
		t.Errorf("%d connections opened, %d ended", r.Opened, r.Closed+r.Reset)
	}
	if seen := s.Stats(); seen.Connections != r.Opened || seen.Publishes < r.Messages {
		t.Errorf("the sink saw %+v", seen)
	}
}

func TestASoakNoticesAnAnswerThatIsWrongOrMissing(t *testing.T) {
	for name, c := range map[string]struct {
		answer      func(publish []byte) []byte
		lost, wrong int64
	}{
		"changed": {answer: func(p []byte) []byte { p[len(p)-1] ^= 1; return p }, wrong: 1},
		"missing": {answer: func([]byte) []byte { return nil }, lost: 1},
	} {
		r, err := load.Soak(t.Context(), load.SoakOptions{
			Options: load.Options{Addr: liar(t, c.answer), Conns: 1}, For: 800 * time.Millisecond, Every: time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Lost != c.lost || r.Wrong != c.wrong || r.Messages != 0 || len(r.Failed) != 1 {
			t.Errorf("%s: %+v, want %d lost and %d wrong", name, r, c.lost, c.wrong)
		}
	}
}

// liar answers the first PUBLISH of each connection in its own way and ends it; nothing is to end it instead.
func liar(t *testing.T, answer func([]byte) []byte) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			packets := mqtt.NewReader(bufio.NewReader(c))
			if _, err := packets.Expect(mqtt.Connect); err == nil {
				_, _ = c.Write(mqtt.AppendConnack(nil))
			}
			if p, err := packets.Expect(mqtt.Publish); err == nil {
				_, _ = c.Write(answer(p.Raw))
			}
			_ = c.Close()
		}
	})
	return l.Addr().String()
}
