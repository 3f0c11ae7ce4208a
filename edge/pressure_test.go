package edge

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsShortFromNinetyPercentUntilEightyFive(t *testing.T) {
	for _, test := range []struct {
		before      bool
		used, limit uint64
		want        bool
	}{
		{false, 0, 1000, false}, {false, 899, 1000, false}, {false, 900, 1000, true}, {false, 5000, 1000, true},
		{true, 900, 1000, true}, {true, 851, 1000, true}, {true, 850, 1000, false}, {true, 0, 1000, false},
		{false, 35, 40, false}, {false, 36, 40, true}, {true, 34, 40, false}, // less than a hundred bytes are counted too
		{false, 1<<60 - 1, 1 << 60, true}, {false, 1 << 59, 1 << 60, false},
	} {
		if got := short(test.before, test.used, test.limit); got != test.want {
			t.Errorf("%d of %d, before %v: %v", test.used, test.limit, test.before, got)
		}
	}
}

// machine is what a pressure looks at and acts upon. Its time is a bubble's.
type machine struct {
	*pressure
	budgets []budget
	garbage uint64        // of the first budget, what free gives back
	takes   time.Duration // free
	frees   int
	held    bool
	holds   int
	log     bytes.Buffer
}

func newMachine() *machine {
	m := &machine{}
	m.pressure = &pressure{
		read: func() []budget { return m.budgets },
		free: func() {
			m.frees++
			time.Sleep(m.takes)
			b := append([]budget(nil), m.budgets...)
			b[0].used -= m.garbage
			b[0].slack = 0
			m.budgets, m.garbage = b, 0
		},
		hold:        func(on bool) { m.held = on; m.holds++ },
		connections: func() int { return 48210 },
		log:         slog.New(slog.NewTextHandler(&m.log, nil)),
		latest:      new(atomic.Pointer[memory]),
	}
	m.latest.Store(&memory{})
	return m
}

func (m *machine) use(used, slack uint64) {
	m.budgets = []budget{{of: "GOMEMLIMIT", limit: 1000, used: used, slack: slack}}
}

func TestAcceptingStopsAndGoesOnWithALineInTheLogForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		for _, step := range []struct {
			used uint64
			held bool
			soon bool
		}{{500, false, false}, {751, false, true}, {899, false, true}, {900, true, false}, {950, true, false}, {860, true, false}, {850, false, true}, {899, false, true}, {100, false, false}} {
			m.use(step.used, 0)
			if again := m.look(); m.held != step.held || (again == lookSoon) != step.soon {
				t.Errorf("%d used: held %v, again in %v", step.used, m.held, again)
			}
			if (m.latest.Load().reason() != "") != step.held {
				t.Errorf("%d used: %q", step.used, m.latest.Load().reason())
			}
			time.Sleep(time.Second)
		}
		log := m.log.String()
		for _, words := range []string{"level=WARN", "connections=48210", "of=GOMEMLIMIT", "remedy=", "level=INFO", "after=3s"} {
			if !strings.Contains(log, words) {
				t.Errorf("no %s in the log:\n%s", words, log)
			}
		}
		if n := strings.Count(log, "\n"); n != 2 || m.holds != 2 {
			t.Errorf("%d lines, %d times held or not:\n%s", n, m.holds, log)
		}
	})
}

func TestGarbageIsCollectedBeforeItIsTakenForPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.use(950, 0)
		m.garbage = 300
		if m.look(); m.held || m.frees != 1 {
			t.Fatalf("held %v after %d collections", m.held, m.frees)
		}
		// It comes back at once: what is known to be garbage does not count, and nothing is collected again so soon.
		m.use(950, 300)
		for range 4 {
			if m.look(); m.held || m.frees != 1 {
				t.Errorf("held %v after %d collections", m.held, m.frees)
			}
			time.Sleep(time.Second)
		}
		m.use(950, 40)
		if m.look(); !m.held {
			t.Error("it is not held, though little is garbage")
		}
	})
}

func TestCollectionsAreBoundedWhileMemoryStaysShort(t *testing.T) {
	for takes, want := range map[time.Duration]int{0: 12, 2 * time.Second: 2} { // in a minute
		synctest.Test(t, func(t *testing.T) {
			m := newMachine()
			m.takes = takes
			m.use(990, 0)
			for began := time.Now(); time.Since(began) < time.Minute; {
				time.Sleep(m.look())
			}
			if !m.held || m.frees != want {
				t.Errorf("held %v; %d collections of %v in a minute, want %d", m.held, m.frees, takes, want)
			}
		})
	}
}

func TestWhenClientsLeaveWhileItHoldsTheirGarbageIsCollected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.use(990, 0)
		m.look()
		m.garbage = 500 // and no collection has told so
		for began := time.Now(); m.held; time.Sleep(m.look()) {
			if time.Since(began) > freeEvery+lookEvery {
				t.Fatal("it is still held")
			}
		}
	})
}

func TestTheFullestBudgetCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.budgets = []budget{{of: "GOMEMLIMIT", limit: 1000, used: 500}, {of: "memory.max", limit: 2000, used: 1900}, {of: "other", limit: 9000, used: 8000}}
		m.look()
		if got := m.latest.Load(); !m.held || got.of != "memory.max" || got.limit != 2000 || !strings.Contains(got.reason(), "memory.max") {
			t.Errorf("held %v: %+v", m.held, got)
		}
		m.budgets = nil // the limit was lifted
		m.look()
		if got := m.latest.Load(); m.held || got.limit != 0 || got.reason() != "" {
			t.Errorf("held %v: %+v", m.held, got)
		}
	})
}

func TestWatchingEndsWhenItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine()
		m.use(990, 0)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); m.run(ctx) }()
		time.Sleep(10 * time.Second)
		cancel()
		<-ended
		if !m.held {
			t.Error("it never looked")
		}
	})
}
