package demo

import (
	"slices"
	"testing"
	"time"
)

func TestTheStoryFitsIntoItsTime(t *testing.T) {
	for _, d := range []time.Duration{shortest, 10 * time.Second, time.Minute, time.Hour} {
		p := planFor(d)
		if !(0 < p.reload && p.reload+time.Second < p.kill && p.kill < p.revive && p.revive+time.Second/2 < p.add && p.add+time.Second/2 < p.withdraw && p.withdraw+p.drainOver < p.killHooks &&
			p.killHooks+time.Second < p.reviveHooks && p.reviveHooks+time.Second < p.end) {
			t.Errorf("%v: scenes overlap: %+v", d, p)
		}
		if p.kill+p.failTimeout > p.revive {
			t.Errorf("%v: the broker comes back before the edge would try it: %+v", d, p)
		}
		if p.reviveHooks-p.killHooks > longestOutage {
			t.Errorf("%v: the hook server is away for so long that the edge would come back to it too late: %+v", d, p)
		}
		if all := p.end + p.drainOver; all > d || all < d-d/10 {
			t.Errorf("%v: it takes %v", d, all)
		}
	}
	if planFor(time.Second) != planFor(shortest) {
		t.Error("less than the shortest is not as the shortest")
	}
	if p := planFor(0); p.end != round || p.drainOver > time.Second {
		t.Errorf("without an end: %+v", p)
	}
}

func TestADrainThatEndsNearlyAllAtOnceIsNotBitByBit(t *testing.T) {
	var times []time.Duration
	for i := range 48 {
		times = append(times, time.Duration(i)*time.Second/48)
	}
	if n := inQuarters(append(times, 2*time.Second), time.Second); n != [4]int{12, 12, 12, 13} {
		t.Errorf("quarters %v", n)
	}
	for n, want := range map[[4]int]bool{
		{12, 12, 12, 12}: true, {12, 7, 0, 29}: true, {4, 4, 0, 40}: true, {1, 1, 1, 45}: false, {0, 0, 0, 48}: false, {48, 0, 0, 0}: false,
	} {
		if bitByBit(n) != want {
			t.Errorf("bitByBit(%v) = %t", n, !want)
		}
	}
}

func TestWhoReturnedHasANewConnection(t *testing.T) {
	before := []state{{id: "a", connections: 1, connected: true}, {id: "b", connections: 1, connected: true}, {id: "c", connections: 2, connected: true}}
	now := []state{
		{id: "a", connections: 2, connected: true, since: start.Add(time.Second)},
		{id: "b", connections: 2, connected: false, since: start.Add(2 * time.Second)}, // and lost it again
		{id: "c", connections: 2, connected: true},
	}
	who := map[string]bool{"a": true, "b": true}
	if n, last := returned(before, now, who, start); n != 1 || last != time.Second {
		t.Errorf("%d returned, the last after %v; want 1 after 1s", n, last)
	}
	if n := undisturbed(before, now, nil); n != 1 {
		t.Errorf("%d undisturbed, want 1", n)
	}
	if n := undisturbed(before, now, map[string]bool{"c": true}); n != 0 {
		t.Errorf("%d undisturbed besides c, want none", n)
	}
}

func TestPartingsAreCountedFromTheFirst(t *testing.T) {
	before := []state{{id: "a", since: start}, {id: "b", since: start}, {id: "c", since: start}, {id: "d", since: start}}
	now := []state{
		{id: "a", until: start.Add(5 * time.Second)}, {id: "b", until: start.Add(3 * time.Second)},
		{id: "c", until: start.Add(-time.Second)}, // before all this
		{id: "d", until: start.Add(4 * time.Second)},
	}
	got := partings(before, now, map[string]bool{"a": true, "b": true, "c": true})
	if !slices.Equal(got, []time.Duration{2 * time.Second, 0}) {
		t.Errorf("%v", got)
	}
}

func TestTheErrorNamesWhatDidNotComeTrue(t *testing.T) {
	p := &promises{}
	for i, each := range p.all() {
		each.text = string(rune('a' + i))
		each.record(true, "fine")
	}
	if err := p.err(true); err != nil {
		t.Error(err)
	}
	p.kill.record(false, "15 of 16")
	p.kill.record(true, "16 of 16") // a later round does not mend it
	p.drain = promise{text: "o"}
	if err := p.err(false); err == nil || err.Error() != "what did not come true: e (15 of 16)" {
		t.Error(err)
	}
	if err := p.err(true); err == nil || err.Error() != "what did not come true: e (15 of 16); o (did not come to it)" {
		t.Error(err)
	}
}
