package demo

import (
	"testing"
	"time"
)

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func TestAMessageIsLostOnlyIfBothConnectionsLasted(t *testing.T) {
	m, receiver := message{sender: 1, id: 7}, 2
	for name, test := range map[string]struct {
		connected bool
		then      func(*ledger)
		want      tally
	}{
		"acknowledged and delivered": {true, func(l *ledger) { l.acknowledged(m); l.delivered(m, start) },
			tally{published: 1, acknowledged: 1, delivered: 1}},
		"delivered before it is acknowledged": {true, func(l *ledger) { l.delivered(m, start); l.acknowledged(m) },
			tally{published: 1, acknowledged: 1, delivered: 1}},
		"delivered twice": {true, func(l *ledger) { l.delivered(m, start); l.delivered(m, start); l.acknowledged(m) },
			tally{published: 1, acknowledged: 1, delivered: 1}},
		"acknowledged, never delivered": {true, func(l *ledger) { l.acknowledged(m) },
			tally{published: 1, acknowledged: 1, lost: 1}},
		"delivered, never acknowledged": {true, func(l *ledger) { l.delivered(m, start) },
			tally{published: 1, delivered: 1, lost: 1}},
		"the sender's connection ends": {true, func(l *ledger) { l.disconnected(m.sender) },
			tally{published: 1, cutOff: 1}},
		"the receiver's connection ends": {true, func(l *ledger) { l.acknowledged(m); l.disconnected(receiver) },
			tally{published: 1, acknowledged: 1, cutOff: 1}},
		"another's connection ends": {true, func(l *ledger) { l.acknowledged(m); l.disconnected(3) },
			tally{published: 1, acknowledged: 1, lost: 1}},
		"it arrives although a connection ends": {true, func(l *ledger) { l.disconnected(m.sender); l.delivered(m, start) },
			tally{published: 1, delivered: 1}},
		"the receiver was not connected": {false, func(l *ledger) { l.acknowledged(m) },
			tally{published: 1, acknowledged: 1, cutOff: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger()
			l.published(m, receiver, test.connected, start)
			test.then(l)
			if early := l.tally(start.Add(patience - 1)); early.lost > 0 || early.cutOff > 0 {
				t.Errorf("decided before its time: %+v", early)
			}
			if got := l.tally(start.Add(patience)); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
			if len(l.open) > 0 {
				t.Error("it is still remembered")
			}
		})
	}
}

func TestOnlyMessagesThatMustArrivePend(t *testing.T) {
	l := newLedger()
	l.published(message{1, 1}, 2, true, start)
	l.published(message{2, 1}, 3, true, start)
	l.published(message{3, 1}, 4, true, start)
	l.disconnected(2)
	if n := l.pending(); n != 1 {
		t.Errorf("%d pend, want 1", n)
	}
	l.acknowledged(message{3, 1})
	l.delivered(message{3, 1}, start)
	if n := l.pending(); n != 0 {
		t.Errorf("%d pend, want none", n)
	}
}

func TestAQuantileIsTheLeastThatTheShareDoesNotExceed(t *testing.T) {
	l := latencies{limit: 200}
	if got := l.quantile(0.99); got != 0 {
		t.Errorf("of nothing %v, want 0", got)
	}
	for i := 100; i > 0; i-- {
		l.add(time.Duration(i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.005: 1, 0.5: 50, 0.99: 99, 0.991: 100, 1: 100} {
		if got := l.quantile(q); got != want {
			t.Errorf("%v: %d, want %d", q, got, want)
		}
	}
}

func TestOldLatenciesAreForgotten(t *testing.T) {
	l := latencies{limit: 3}
	for _, d := range []time.Duration{100, 100, 1, 2, 3} {
		l.add(d)
	}
	if got := l.quantile(1); got != 3 {
		t.Errorf("the greatest is %d, want 3", got)
	}
}

func TestARateIsThatOfTheLastSeconds(t *testing.T) {
	var r rate
	if got := r.perSecond(start, 1000); got != 0 {
		t.Errorf("of one moment %v, want 0", got)
	}
	got := 0.0
	for i := 1; i <= 10; i++ {
		got = r.perSecond(start.Add(time.Duration(i)*time.Second), 1000+i*i)
	}
	if want := (100.0 - 49) / 3; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}
