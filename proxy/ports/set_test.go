package ports

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

var (
	a, b, six = netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("fd00::2")
	one, two  = netip.MustParseAddrPort("10.0.0.11:1883"), netip.MustParseAddrPort("10.0.0.12:1883")
	six1      = netip.MustParseAddrPort("[fd00::11]:1883")
	start     = time.Unix(1000, 0)
)

func newSet(ports int, sources ...netip.Addr) *Set {
	s := New()
	s.Configure(sources, ports)
	return s
}

func take(t testing.TB, s *Set, to netip.AddrPort) Use {
	t.Helper()
	u, err := s.Take(to, start)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// used is what a source has to an endpoint; -1 when the pair is not known.
func used(s *Set, source netip.Addr, to netip.AddrPort) int {
	for _, p := range s.Pairs() {
		if p.Source == source && p.Endpoint == to {
			return p.Used
		}
	}
	return -1
}

func TestEachEndpointIsSpreadOverAllSourcesByItself(t *testing.T) {
	s := newSet(100, a, b)
	for range 10 {
		take(t, s, one)
	}
	for range 4 {
		take(t, s, two)
	}
	if u := take(t, s, two); u.Source() != a {
		t.Errorf("of two that are equal %v was taken, want the first", u.Source())
	}
	want := []Pair{{a, one, 5}, {b, one, 5}, {a, two, 3}, {b, two, 2}}
	if got := s.Pairs(); !slices.Equal(got, want) {
		t.Errorf("pairs %v, want %v", got, want)
	}
}

func TestWhatIsGivenBackIsTakenFirst(t *testing.T) {
	s := newSet(100, a, b)
	uses := []Use{take(t, s, one), take(t, s, one), take(t, s, one), take(t, s, one)}
	for i := range uses {
		if uses[i].Source() == b {
			uses[i].Release()
		}
	}
	for range 2 {
		if u := take(t, s, one); u.Source() != b {
			t.Errorf("%v was taken though %v has fewer", u.Source(), b)
		}
	}
}

func TestAUseGoesBackOnce(t *testing.T) {
	s := newSet(100, a)
	first, _ := take(t, s, one), take(t, s, one)
	first.Release()
	first.Release()
	var none Use
	none.Release()
	if n := used(s, a, one); n != 1 {
		t.Errorf("%d in use, want 1", n)
	}
}

func TestFullSourcesAreRefusedBeforeTheKernelIsAsked(t *testing.T) {
	s := newSet(2, a, b)
	uses := []Use{take(t, s, one), take(t, s, one), take(t, s, one), take(t, s, one)}
	if _, err := s.Take(one, start); err != ErrNone {
		t.Errorf("a fifth of four ports: %v", err)
	}
	take(t, s, two) // has ports of its own
	uses[2].Release()
	take(t, s, one)
}

func TestAPairThatTheKernelHadNoPortForIsSparedForASecond(t *testing.T) {
	noPort := errors.New("cannot assign requested address")
	s := newSet(100, a, b)
	u := take(t, s, one)
	u.Failed(noPort, start)
	u.Release()
	if n := used(s, a, one); n != 0 {
		t.Errorf("%d in use after it failed", n)
	}
	for range 3 {
		if u := take(t, s, one); u.Source() != b {
			t.Errorf("%v was taken", u.Source())
		}
	}
	if u := take(t, s, two); u.Source() != a {
		t.Error("another endpoint does without it too")
	}
	u = take(t, s, one)
	u.Failed(noPort, start)
	if _, err := s.Take(one, start.Add(failedPause-1)); !errors.Is(err, ErrNone) || !errors.Is(err, noPort) {
		t.Errorf("with no source left: %v", err)
	}
	if u, err := s.Take(one, start.Add(failedPause)); err != nil || u.Source() != a {
		t.Errorf("a second later: %v", err)
	}
}

func TestASourceServesEndpointsOfItsFamilyOnly(t *testing.T) {
	s := newSet(100, six, a)
	for range 2 {
		if u := take(t, s, one); u.Source() != a {
			t.Errorf("%v from %v", one, u.Source())
		}
		if u := take(t, s, six1); u.Source() != six {
			t.Errorf("%v from %v", six1, u.Source())
		}
	}
	if got := s.Pairs(); len(got) != 2 {
		t.Errorf("pairs that cannot be are listed: %v", got)
	}
	s.Configure([]netip.Addr{a}, 100)
	if _, err := s.Take(six1, start); err != ErrFamily {
		t.Errorf("without a source of its family: %v", err)
	}
}

func TestWithoutSourcesTheKernelChooses(t *testing.T) {
	s := newSet(100, a)
	s.Configure(nil, 100)
	u, err := s.Take(one, start)
	if err != nil || u.Source().IsValid() {
		t.Errorf("%v, %v", u.Source(), err)
	}
	u.Release()
	u.Failed(ErrNone, start)
}

func TestCountsSurviveOtherSourcesAndLimits(t *testing.T) {
	s := newSet(100, a, b)
	fromA, fromB := take(t, s, one), take(t, s, one)
	s.Configure([]netip.Addr{b, six}, 100)
	if u := take(t, s, one); u.Source() != b {
		t.Errorf("%v is no source any more", u.Source())
	}
	if na, nb := used(s, a, one), used(s, b, one); na != 1 || nb != 2 {
		t.Errorf("%d and %d in use, want 1 and 2", na, nb)
	}
	s.Configure([]netip.Addr{a, b}, 2)
	if u := take(t, s, one); u.Source() != a {
		t.Error("the source that came back has lost its count")
	}
	s.Configure(nil, 2)
	fromA.Release()
	fromB.Release()
	if na, nb := used(s, a, one), used(s, b, one); na != 1 || nb != 1 || s.Ports() != 0 {
		t.Errorf("%d and %d in use of sources that are gone, want 1 and 1", na, nb)
	}
}

func TestEndpointsThatNobodyUsesAreForgotten(t *testing.T) {
	s := newSet(100, a)
	held, brief := take(t, s, one), take(t, s, two)
	brief.Release()
	if n := len(s.Pairs()); n != 2 {
		t.Errorf("%d pairs just after they were used", n)
	}
	if got := s.Pairs(); len(got) != 1 || got[0].Endpoint != one {
		t.Errorf("pairs %v, want that of %v alone", got, one)
	}
	held.Release()
	for i := range 10_000 {
		u := take(t, s, netip.AddrPortFrom(one.Addr(), uint16(i)))
		u.Release()
	}
	if n := len(s.endpoints); n > 3 {
		t.Errorf("%d endpoints are remembered", n)
	}
}

func TestSeveralMayTakeAndGiveBackAtOnce(t *testing.T) {
	const each, ports = 2000, 7
	s := newSet(ports, a, b)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range each {
				u, err := s.Take(one, start)
				if err != nil {
					t.Error(err) // 8 at once are fewer than the 14 there are
					return
				}
				if i%100 == 0 {
					s.Pairs()
				}
				u.Release()
			}
		})
	}
	all.Wait()
	for _, p := range s.Pairs() {
		if p.Used != 0 {
			t.Errorf("after the end: %v", p)
		}
	}
}

func TestTakingAPortAllocatesNothing(t *testing.T) {
	s := newSet(100, a, b, six)
	take(t, s, one)
	if n := testing.AllocsPerRun(100, func() {
		u, _ := s.Take(one, start)
		u.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTakeAndRelease(b *testing.B) {
	var sources []netip.Addr
	for i := range 8 {
		sources = append(sources, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	s := newSet(30_000, sources...)
	now := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			u, _ := s.Take(one, now)
			u.Release()
		}
	})
}
