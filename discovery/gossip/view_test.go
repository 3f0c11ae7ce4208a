package gossip

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// desk is a catalog and one view of it, at a time of the test's choosing.
type desk struct {
	t    *testing.T
	c    *catalog
	v    *view
	now  time.Time
	seqs map[string]uint64
}

func newDesk(t *testing.T) *desk {
	c := newCatalog("self~1", nil, 10*time.Minute, newRefusals(slog.New(slog.DiscardHandler)))
	c.ownAddr = netip.MustParseAddrPort("10.9.0.1:7946")
	return &desk{t, c, newView("emqx"), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), make(map[string]uint64)}
}

func (d *desk) joins(name string, last byte) {
	d.c.joined(name, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 0, last}), 7946), d.now)
}

func (d *desk) says(name string, announcements ...Announcement) {
	d.t.Helper()
	d.seqs[name]++
	w := wireSet{origin: name, seq: d.seqs[name]}
	for _, a := range announcements {
		o, err := a.offer(netip.Addr{})
		if err != nil {
			d.t.Fatal(err)
		}
		w.offers = append(w.offers, o)
	}
	if !d.c.put(w, d.now) {
		d.t.Fatalf("%s was not believed", name)
	}
}

func (d *desk) sees(want ...string) {
	d.t.Helper()
	d.v.rebuild(d.c, d.now)
	var got []string
	for _, e := range d.v.current {
		text := e.Addr
		if e.State != Present {
			text += " " + e.State.String()
		}
		if e.Held {
			text += " held"
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		d.t.Fatalf("after %v: %q, want %q", d.now.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), got, want)
	}
}

func (d *desk) expire() {
	d.c.expire(d.now, func(s *set) bool { return len(s.offers) > 0 && !d.v.present })
}

func TestASuspectedEndpointGoesAfterTheLimitWhileOthersArePresent(t *testing.T) {
	d := newDesk(t)
	d.joins("a~1", 2)
	d.joins("b~1", 3)
	d.says("a~1", at("emqx", "10.0.0.1:1883")...)
	d.says("b~1", at("emqx", "10.0.0.2:1883")...)
	d.c.died("a~1", d.now)
	d.sees("10.0.0.1:1883 suspected", "10.0.0.2:1883")
	d.now = d.now.Add(9 * time.Minute)
	d.sees("10.0.0.1:1883 suspected", "10.0.0.2:1883")
	d.v.seen[netip.MustParseAddrPort("10.0.0.1:1883")].worked = d.now
	d.now = d.now.Add(9 * time.Minute)
	d.sees("10.0.0.1:1883 suspected", "10.0.0.2:1883")
	if want := d.now.Add(time.Minute); !d.v.due.Equal(want) {
		t.Errorf("looks again at %v, want %v", d.v.due, want)
	}
	d.now = d.now.Add(time.Minute)
	d.sees("10.0.0.2:1883")
	d.expire()
	if len(d.c.sets) != 1 {
		t.Errorf("%d sets are kept, want 1", len(d.c.sets))
	}
}

func TestSilenceNeverEmptiesAPool(t *testing.T) {
	d := newDesk(t)
	d.joins("a~1", 2)
	d.says("a~1", at("emqx", "10.0.0.1:1883")...)
	d.c.died("a~1", d.now)
	d.now = d.now.Add(30 * 24 * time.Hour)
	d.sees("10.0.0.1:1883 suspected")
	d.expire()
	d.sees("10.0.0.1:1883 suspected")
	if got := Usable(d.v.current); len(got) != 1 {
		t.Errorf("a pool would get %v", got)
	}
	d.joins("b~1", 3)
	d.says("b~1", at("emqx", "10.0.0.2:1883")...)
	d.sees("10.0.0.2:1883")
}

// Nodes tell each other what the dead announced. Each believes it no longer than the one that told it, or it would never end.
func TestASetOfTheDeadIsNotPassedAroundForEver(t *testing.T) {
	a, b := newDesk(t), newDesk(t)
	for _, d := range []*desk{a, b} {
		d.joins("other~1", 9)
		d.says("other~1", at("emqx", "10.0.0.9:1883")...)
		d.joins("dead~1", 2)
	}
	a.says("dead~1", at("emqx", "10.0.0.1:1883")...)
	a.c.died("dead~1", a.now)
	b.c.died("dead~1", b.now)
	for minute := range 40 {
		for _, pair := range [][2]*desk{{a, b}, {b, a}} {
			if minute < 5 {
				continue // b hears of it late
			}
			from, to := pair[0], pair[1]
			from.v.rebuild(from.c, from.now)
			from.expire()
			if s := from.c.sets["dead~1"]; s != nil {
				if age := from.c.age(s, from.now); age <= from.c.lifetime(false) {
					to.c.put(s.wire(age), to.now)
				}
			}
		}
		if s := b.c.sets["dead~1"]; minute == 5 && (s == nil || b.c.age(s, b.now) != 5*time.Minute) {
			t.Fatalf("b believes %+v", s)
		}
		a.now, b.now = a.now.Add(time.Minute), b.now.Add(time.Minute)
	}
	if a.c.sets["dead~1"] != nil || b.c.sets["dead~1"] != nil {
		t.Error("a ghost is still there after 40 minutes")
	}
}

func TestAFarewellIsRememberedLongerThanWhatItEnds(t *testing.T) {
	d := newDesk(t)
	d.joins("a~1", 2)
	d.says("a~1", at("emqx", "10.0.0.1:1883")...)
	d.sees("10.0.0.1:1883")
	old := d.c.sets["a~1"].wire(0)
	d.c.put(wireSet{origin: "a~1", seq: 2, left: true}, d.now)
	d.c.died("a~1", d.now)
	d.sees("10.0.0.1:1883 left")
	d.now = d.now.Add(leftShown)
	d.sees()
	d.now = d.now.Add(15 * time.Minute)
	d.expire()
	d.c.put(old, d.now) // from one who was away
	d.sees()
	d.now = d.now.Add(time.Hour)
	d.expire()
	if len(d.c.sets) != 0 {
		t.Error("the farewell is kept for ever")
	}
	if !d.c.members["a~1"].Left {
		t.Error("it seems to have fallen silent")
	}
	old.age = 20 * time.Minute
	if d.c.put(old, d.now) {
		t.Error("the old set came back")
	}
}

func TestAFlappingEndpointIsHeldBack(t *testing.T) {
	d := newDesk(t)
	d.joins("a~1", 2)
	d.joins("b~1", 3)
	d.says("b~1", at("emqx", "10.0.0.2:1883")...)
	for range flapsForgiven {
		d.says("a~1", at("emqx", "10.0.0.1:1883")...)
		d.sees("10.0.0.1:1883", "10.0.0.2:1883")
		d.now = d.now.Add(time.Second)
		d.says("a~1")
		d.sees("10.0.0.1:1883 left", "10.0.0.2:1883")
		d.now = d.now.Add(time.Second)
	}
	d.says("a~1", at("emqx", "10.0.0.1:1883")...)
	d.sees("10.0.0.1:1883 held", "10.0.0.2:1883")
	if got := Usable(d.v.current); len(got) != 1 || got[0].Addr != "10.0.0.2:1883" {
		t.Errorf("a pool would get %v", got)
	}
	d.now = d.now.Add(shortestHold - 1)
	d.sees("10.0.0.1:1883 held", "10.0.0.2:1883")
	d.now = d.v.due
	d.sees("10.0.0.1:1883", "10.0.0.2:1883")

	d.says("a~1")
	d.sees("10.0.0.1:1883 left", "10.0.0.2:1883")
	d.says("a~1", at("emqx", "10.0.0.1:1883")...)
	d.sees("10.0.0.1:1883 held", "10.0.0.2:1883")
	d.now = d.now.Add(2*shortestHold - 1)
	d.sees("10.0.0.1:1883 held", "10.0.0.2:1883")

	d.says("b~1") // it is better than nothing
	d.sees("10.0.0.1:1883 held", "10.0.0.2:1883 left")
	if got := Usable(d.v.current); len(got) != 1 || got[0].Addr != "10.0.0.1:1883" {
		t.Errorf("a pool would get %v", got)
	}
	d.now = d.now.Add(time.Hour)
	d.says("a~1")
	d.sees("10.0.0.1:1883 left")
	d.says("a~1", at("emqx", "10.0.0.1:1883")...)
	d.sees("10.0.0.1:1883")
}

func TestWhatAnnouncersSayIsMergedTheSameEverywhere(t *testing.T) {
	say := map[string]Announcement{
		"a~1": {Service: "emqx", Addr: "10.0.0.1:1883", Weight: 1, Health: Down},
		"b~1": {Service: "emqx", Addr: "10.0.0.1:1883", Weight: 2},
		"c~1": {Service: "emqx", Addr: "10.0.0.1:1883", Weight: 3},
		"d~1": {Service: "emqx", Addr: "10.0.0.1:1883", Weight: 4, Health: Draining},
	}
	for range 20 { // maps are in another order each time
		d := newDesk(t)
		last := byte(2)
		for name, a := range say {
			d.joins(name, last)
			d.says(name, a)
			last++
		}
		check := func(weight uint32, health Health, state State) {
			t.Helper()
			d.v.rebuild(d.c, d.now)
			if e := d.v.current[0]; len(d.v.current) != 1 || e.Weight != weight || e.Health != health || e.State != state {
				t.Fatalf("%+v, want weight %d, %v, %v", d.v.current, weight, health, state)
			}
		}
		check(4, Draining, Present)
		if got := Usable(d.v.current); got != nil {
			t.Fatalf("a pool would get %v", got)
		}
		d.c.died("d~1", d.now)
		check(2, Up, Present)
		d.c.died("b~1", d.now)
		check(3, Up, Present)
		d.c.died("c~1", d.now)
		check(1, Down, Present)
		if got := Usable(d.v.current); len(got) != 1 {
			t.Fatalf("what is down is better than nothing: %v", got)
		}
		d.c.died("a~1", d.now)
		check(4, Draining, Suspected)
	}
}

func TestAddressesThatNoEndpointCanHaveAreRefusedUnlessAllowed(t *testing.T) {
	for _, c := range []struct {
		addr  string
		allow []string
		same  bool
		want  string
	}{
		{addr: "10.0.0.1:1883"},
		{addr: "8.8.8.8:1883"},
		{addr: "[2001:db8::1]:1883"},
		{addr: "10.0.0.1:0", want: refusedAddress},
		{addr: "169.254.169.254:80", want: refusedAddress},
		{addr: "[::ffff:169.254.169.254]:80", want: refusedAddress},
		{addr: "169.254.169.254:80", allow: []string{"0.0.0.0/0"}, want: refusedAddress},
		{addr: "169.254.169.254:80", allow: []string{"169.254.0.0/16"}},
		{addr: "[fe80::1]:80", want: refusedAddress},
		{addr: "[fd00:ec2::254]:80", want: refusedAddress},
		{addr: "0.0.0.0:1883", allow: []string{"0.0.0.0/8"}, want: refusedAddress},
		{addr: "[::]:1883", want: refusedAddress},
		{addr: "224.0.0.1:1883", allow: []string{"224.0.0.0/4"}, want: refusedAddress},
		{addr: "255.255.255.255:1883", want: refusedAddress},
		{addr: "127.0.0.1:1883", want: refusedLoopback},
		{addr: "127.0.0.1:1883", same: true},
		{addr: "127.0.0.1:1883", allow: []string{"127.0.0.0/8"}},
		{addr: "127.0.0.1:1883", allow: []string{"0.0.0.0/0"}, want: refusedLoopback},
		{addr: "[::1]:1883", want: refusedLoopback},
		{addr: "[::ffff:127.0.0.1]:1883", want: refusedLoopback},
		{addr: "10.0.0.1:1883", allow: []string{"10.0.0.0/8"}},
		{addr: "11.0.0.1:1883", allow: []string{"10.0.0.0/8"}, want: refusedAddress},
	} {
		addr := netip.MustParseAddrPort(c.addr)
		if got := allowList(prefixes(c.allow...)).endpoint(addr, c.same); got != c.want {
			t.Errorf("%s, allow %v, same host %v: %q, want %q", c.addr, c.allow, c.same, got, c.want)
		}
	}
}

func TestRefusedAddressesAreCountedOnceAndNotShown(t *testing.T) {
	d := newDesk(t)
	d.joins("a~1", 2)
	d.says("a~1", at("emqx", "10.0.0.1:1883", "169.254.169.254:80", "127.0.0.1:1883")...)
	for range 3 {
		d.sees("10.0.0.1:1883")
	}
	if got := d.c.refusals.snapshot(); got[refusedAddress] != 1 || got[refusedLoopback] != 1 {
		t.Errorf("refused %v", got)
	}
}

func TestADeltaBringsEveryReceiverItCanToTheSameSet(t *testing.T) {
	own := ownSet{set: set{origin: "a~1"}}
	sets := [][]int{{1}, {1, 2}, {1, 2, 3}, {2, 3}, {3}, {}, {4, 5}, {5}}
	offers := func(ids []int) map[place]offer {
		m := make(map[place]offer)
		for _, id := range ids {
			o, err := Announcement{Service: "emqx", Addr: fmt.Sprintf("10.0.0.%d:1883", id)}.offer(netip.Addr{})
			if err != nil {
				t.Fatal(err)
			}
			m[o.place()] = o
		}
		return m
	}
	var states []wireSet
	for _, ids := range sets {
		if !own.become(offers(ids), false) {
			t.Fatal("nothing changed")
		}
		states = append(states, own.wire(0))
		message, err := decode(own.delta())
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range append([]wireSet{{}}, states...) {
			d := newDesk(t)
			if from.seq > 0 {
				d.c.put(from, d.now)
			}
			news, fetch := d.c.patch(message.(delta), d.now)
			if got := d.c.sets["a~1"].wire(0); fetch || news != (from.seq < own.seq) || !equalSets(got, own.wire(0)) {
				t.Fatalf("from %d to %d: %+v, want %+v", from.seq, own.seq, got, own.wire(0))
			}
		}
	}
}

func equalSets(a, b wireSet) bool {
	return a.origin == b.origin && a.seq == b.seq && a.left == b.left && slices.EqualFunc(a.offers, b.offers, offer.equal)
}

func TestADeltaFitsIntoAPacketOrOnlySaysThatThereIsMore(t *testing.T) {
	own := ownSet{set: set{origin: "a~1"}}
	for size := range 200 {
		offers := make(map[place]offer)
		for _, a := range many(size) {
			o, _ := a.offer(netip.Addr{})
			offers[o.place()] = o
		}
		own.become(offers, false)
		b := own.delta()
		if len(b) > packetSize {
			t.Fatalf("%d offers make %d bytes", size, len(b))
		}
		m, err := decode(b)
		if d := m.(delta); err != nil || d.to != own.seq || d.from >= d.to {
			t.Fatalf("%d offers: from %d to %d, %v", size, d.from, d.to, err)
		}
	}
	own.become(nil, false)
	if m, _ := decode(own.delta()); m.(delta).from != own.seq {
		t.Errorf("199 removals in one packet: %+v", m)
	}
}

func TestADeltaFromNothingLeavesNothingOfWhatWasKnown(t *testing.T) {
	d := newDesk(t)
	d.joins("a~1", 2)
	d.says("a~1", at("emqx", "10.0.0.1:1883", "10.0.0.2:1883")...)
	d.sees("10.0.0.1:1883", "10.0.0.2:1883")
	o, err := at("emqx", "10.0.0.3:1883")[0].offer(netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	d.c.patch(delta{origin: "a~1", to: 9, changed: []offer{o}}, d.now) // as one is passed on that came from beyond a partition
	if got := d.c.sets["a~1"].offers; len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// An edge that takes another's place knows the agent as it was, hears of the one that is there now and of its farewell, and then from
// somebody that the first one lives.
func TestANodeThatIsOverDoesNotComeBackWhenItsSuccessorHasLeft(t *testing.T) {
	d := newDesk(t)
	d.joins("a~1", 2)
	d.says("a~1", at("emqx", "10.0.0.1:1883")...)
	d.c.died("a~1", d.now)
	d.joins("a~2", 2)
	d.says("a~2", at("emqx", "10.0.0.1:1883")...)
	d.sees("10.0.0.1:1883")
	d.c.put(wireSet{origin: "a~2", seq: 9, left: true}, d.now)
	d.c.died("a~2", d.now)
	d.joins("a~1", 2)
	d.sees("10.0.0.1:1883 left")
	d.c.died("a~1", d.now)
	d.sees("10.0.0.1:1883 left")
	if !d.c.members["a~1"].Left {
		t.Error("it is shown as silent")
	}
	d.joins("a~0", 2) // its clock was set back
	d.says("a~0", at("emqx", "10.0.0.1:1883")...)
	d.sees("10.0.0.1:1883")
}
