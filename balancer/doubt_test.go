package balancer_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mqedge/mqedge/balancer"
)

// visit is what a proxy does for one client: up to so many endpoints, of which the dead ones fail. It reports whether
// one served, which the client then stays with.
func visit(t testing.TB, p *balancer.Pool, dead map[string]bool, key balancer.Key, tries int, how balancer.Outcome) bool {
	t.Helper()
	info := balancer.PickInfo{Key: key}
	for range tries {
		l, err := p.Pick(info)
		if err != nil {
			return false
		}
		if !dead[l.Addr()] {
			l.Established(time.Millisecond)
			l.Answered(time.Millisecond)
			return true
		}
		if how == balancer.Refused {
			l.Established(time.Millisecond)
		}
		info.Avoid = append(info.Avoid, l.ID())
		l.Done(how)
	}
	return false
}

// killed is a pool of n endpoints that had 20 connections each, of which k have just died with theirs.
func killed(t testing.TB, policy balancer.Policy, n, k int) (*balancer.Pool, map[string]bool) {
	t.Helper()
	p := newPool(balancer.Options{Policy: policy, MaxFails: 3, FailTimeout: failTimeout}, numbered(n))
	dead := make(map[string]bool)
	for _, i := range rand.Perm(n)[:k] {
		dead[numbered(n)[i].Addr] = true
	}
	var leases []balancer.Lease
	for range 20 * n {
		l, err := p.Pick(balancer.PickInfo{Key: balancer.Key(rand.Uint64())})
		if err != nil {
			t.Fatal(err)
		}
		leases = append(leases, l)
	}
	for _, l := range leases {
		if dead[l.Addr()] {
			l.Done(balancer.Broken)
		}
	}
	return p, dead
}

// Nobody can know of an endpoint that it died before somebody tried it. So a client may be refused for every so many dead
// endpoints as it has tries after its first, but no client after those, neither before the ejections nor when their trials are due.
func TestOnlyThoseWhoFindOutAreRefusedWhenSeveralEndpointsDieTogether(t *testing.T) {
	const tries = 3
	for _, how := range []balancer.Outcome{balancer.ConnectFailed, balancer.Refused} {
		for _, size := range [][2]int{{4, 3}, {5, 4}, {15, 3}, {15, 12}, {15, 14}, {100, 60}} {
			t.Run(fmt.Sprintf("%v/%d of %d", how, size[1], size[0]), func(t *testing.T) {
				eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
					synctest.Test(t, func(t *testing.T) {
						p, dead := killed(t, policy, size[0], size[1])
						refused := 0
						for range 3000 { // one every 10 ms
							if !visit(t, p, dead, balancer.Key(rand.Uint64()), tries, how) {
								refused++
							}
							time.Sleep(10 * time.Millisecond)
						}
						if most := size[1] / (tries - 1); refused > most {
							t.Errorf("%d of 3000 clients were refused, want at most %d", refused, most)
						}
					})
				})
			})
		}
	}
}

// retries are where n connections go that have failed at A, while C is busy.
func retries(t *testing.T, p *balancer.Pool, n int) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for range 10 {
		busy := takeAt(t, p, "C")
		defer busy.Done(balancer.Broken)
	}
	failed := takeAt(t, p, "A")
	for range n {
		l := pick(t, p, failed.ID())
		counts[l.Addr()]++
		l.Done(balancer.Broken)
	}
	failed.Done(balancer.Broken)
	return counts
}

func TestADoubtedEndpointGetsNoRetriesForASecondOrUntilItWorks(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		failAt(t, p, "B", 1, nil)
		if counts := retries(t, p, 60); counts["B"] != 0 {
			t.Errorf("%d retries after a failure", counts["B"])
		}
		if counts, leases := fill(t, p, 300); counts["B"] == 0 {
			t.Error("no first attempts")
		} else {
			for _, l := range leases {
				l.Done(balancer.Broken)
			}
		}
		time.Sleep(time.Second)
		if counts := retries(t, p, 200); counts["B"] == 0 {
			t.Error("no retries after a second")
		}
		failAt(t, p, "B", 1, nil)
		trial := takeAt(t, p, "B")
		trial.Established(time.Millisecond)
		if counts := retries(t, p, 200); counts["B"] == 0 {
			t.Error("no retries after it worked")
		}
	})
}

func TestAConnectionPickedBeforeTheFailureMayEndADoubtOnlyByWorkingNow(t *testing.T) {
	for name, tc := range map[string]struct {
		failure balancer.Outcome
		then    func(*balancer.Lease)
		ends    bool
	}{
		"connected after a failed connect": {balancer.ConnectFailed, func(l *balancer.Lease) { l.Established(time.Millisecond) }, true},
		"connected after a refusal":        {balancer.Refused, func(l *balancer.Lease) { l.Established(time.Millisecond) }, false},
		"answered after a refusal":         {balancer.Refused, func(l *balancer.Lease) { l.Answered(time.Millisecond) }, true},
		"an old connection ended":          {balancer.ConnectFailed, func(l *balancer.Lease) { l.Done(balancer.Served) }, false},
		"an old connection broke":          {balancer.ConnectFailed, func(l *balancer.Lease) { l.Done(balancer.Broken) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *balancer.Pool) {
				earlier := takeAt(t, p, "B")
				failing := takeAt(t, p, "B")
				failing.Done(tc.failure)
				tc.then(&earlier)
				if counts := retries(t, p, 300); (counts["B"] > 0) != tc.ends {
					t.Errorf("%d of 300 retries, want the doubt ended: %v", counts["B"], tc.ends)
				}
			})
		})
	}
}

func TestWithEveryEndpointInDoubtAllAreAsBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		for _, addr := range []string{"A", "B", "C"} {
			failAt(t, p, addr, 1, nil)
		}
		counts, _ := fill(t, p, 900)
		mustBeEven(t, counts, []string{"A", "B", "C"}, 300, 0.3)
		first, second := pick(t, p), balancer.Lease{}
		second = pick(t, p, first.ID())
		third := pick(t, p, first.ID(), second.ID())
		if third.Addr() == first.Addr() || third.Addr() == second.Addr() {
			t.Error("an endpoint was tried twice")
		}
	})
}

func TestABackupIsNoRefugeFromADoubtButForThoseWhoFailed(t *testing.T) {
	inBubble(t, func(t *testing.T, p *balancer.Pool) {
		set := endpoints(1, 1, 1)
		set[2].Backup = true
		p.Update(set)
		failAt(t, p, "A", 1, nil)
		failAt(t, p, "B", 1, nil)
		if counts, _ := fill(t, p, 100); counts["C"] != 0 {
			t.Errorf("the backup got %d new connections for a doubt", counts["C"])
		}
		first := pick(t, p)
		if next := pick(t, p, first.ID()); next.Addr() != "C" {
			t.Errorf("who failed at %s went on to %s, want the backup", first.Addr(), next.Addr())
		}
	})
}

func TestWithoutPassiveHealthNothingIsDoubted(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		p := newPool(balancer.Options{Policy: policy}, endpoints(1, 1, 1))
		failAt(t, p, "B", 10, nil)
		if counts, _ := fill(t, p, 900); counts["B"] < 200 {
			t.Errorf("%d of 900 connections", counts["B"])
		}
	})
}

func TestADoubtMovesNoKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		homes := func(p *balancer.Pool) string {
			var all strings.Builder
			for key := range balancer.Key(300) {
				l, err := p.Pick(balancer.PickInfo{Key: key + 1})
				if err != nil {
					t.Fatal(err)
				}
				all.WriteString(l.Addr())
				l.Done(balancer.Broken)
			}
			return all.String()
		}
		p := newPool(balancer.Options{Policy: balancer.Hash, MaxFails: 3, FailTimeout: failTimeout}, endpoints(1, 2, 1, 1))
		before := homes(p)
		failAt(t, p, "B", 1, nil)
		if homes(p) != before {
			t.Error("while B is in doubt, keys go elsewhere")
		}
	})
}

// One endpoint drops 1 connect in 100: too few for an ejection, and its share of the connections is to stay what it was.
func TestAnEndpointThatFailsNowAndThenKeepsItsShare(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balancer.Policy) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(balancer.Options{Policy: policy, MaxFails: 1000, FailTimeout: failTimeout}, endpoints(1, 1, 1, 2))
			var pending []balancer.Lease // what is being connected to
			counts := make(map[string]int)
			const clients, weights = 20_000, 5
			for range clients { // one every ms, each taking 20 ms
				l, err := p.Pick(balancer.PickInfo{Key: balancer.Key(rand.Uint64())})
				if err != nil {
					t.Fatal(err)
				}
				pending = append(pending, l)
				if len(pending) > 20 {
					l, pending = pending[0], pending[1:]
					if l.Addr() == "B" && rand.IntN(100) == 0 {
						l.Done(balancer.ConnectFailed)
					} else {
						l.Established(20 * time.Millisecond)
						counts[l.Addr()]++
					}
				}
				time.Sleep(time.Millisecond)
			}
			if got := counts["B"]; got < clients/weights*8/10 {
				t.Errorf("%v: B has %d, want about %d", counts, got, clients/weights)
			}
		})
	})
}
