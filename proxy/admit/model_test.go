package admit

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// crowd drives a gate at random and checks after every step what must always be true.
type crowd struct {
	t       *testing.T
	rand    *rand.Rand
	gate    Gate[int]
	limit   Limit
	now     time.Time
	entries []*Entry[int] // all that ever entered
	nets    []int         // of each
	told    []int         // outcomes that were told of each
	waiting []int         // by network
	passed  []time.Time   // when everybody was let in, under the limit in force
}

const nets = 6

func TestARandomCrowdIsTreatedByTheRules(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := &crowd{t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: began, waiting: make([]int, nets)}
			c.configure()
			for range 600 {
				c.step()
				c.check()
				if t.Failed() {
					t.FailNow()
				}
			}
			c.end()
		})
	}
}

func (c *crowd) configure() {
	c.limit = Limit{PerSecond: 1 + c.rand.IntN(2000), Burst: c.rand.IntN(50), Queue: c.rand.IntN(40)}
	if c.rand.IntN(3) > 0 {
		c.limit.Wait = time.Duration(1 + c.rand.IntN(int(100*time.Millisecond)))
	}
	c.gate.Configure(c.limit, c.now)
	c.passed = nil
}

func (c *crowd) step() {
	switch c.rand.IntN(10) {
	default:
		c.come()
	case 0, 1:
		c.now = c.now.Add(time.Duration(c.rand.IntN(int(20 * time.Millisecond))))
	case 2:
		if next, ok := c.gate.Next(); ok && next.After(c.now) { // exactly then
			c.now = next
		}
		c.admit()
		if next, ok := c.gate.Next(); ok && !next.After(c.now) {
			c.t.Errorf("Admit left something to do: %v", next.Sub(c.now))
		}
	case 3:
		if len(c.entries) > 0 {
			i := c.rand.IntN(len(c.entries))
			before := c.entries[i].Outcome()
			if c.gate.Cancel(c.entries[i]); before == Waiting {
				c.tell(i, Cancelled)
			}
		}
	case 4:
		if c.rand.IntN(20) == 0 {
			c.configure()
			c.admit() // as its contract says
		}
	}
}

func (c *crowd) come() {
	i, net := len(c.entries), c.rand.IntN(c.rand.IntN(nets)+1) // the first network most of all
	if c.gate.Pass(c.now) {
		c.passed = append(c.passed, c.now)
		return
	}
	e := &Entry[int]{Value: i}
	c.entries, c.nets, c.told = append(c.entries, e), append(c.nets, net), append(c.told, 0)
	c.waiting[net]++
	most, full := 0, c.gate.Len() >= c.limit.Queue
	for _, n := range c.waiting {
		most = max(most, n)
	}
	displaced := c.gate.Enter(e, netip.AddrFrom4([4]byte{10, 0, byte(net), byte(i)}), c.now)
	switch {
	case !full && (displaced != nil || e.Outcome() != Waiting):
		c.t.Error("somebody was refused while there was room")
	case full && (displaced == nil) == (e.Outcome() == Waiting):
		c.t.Error("one of all must be refused when there is no room")
	case e.Outcome() == Refused:
		if c.waiting[net] < most {
			c.t.Errorf("the newcomer was refused though its network has %d of %v", c.waiting[net], c.waiting)
		}
		c.tell(i, Refused)
	case displaced != nil:
		if n := c.nets[displaced.Value]; c.waiting[n] != most || n == net {
			c.t.Errorf("network %d lost one for %d with %v", n, net, c.waiting)
		}
		c.tell(displaced.Value, Refused)
	}
}

func (c *crowd) admit() {
	for _, e := range c.gate.Admit(c.now, nil) {
		if e.Outcome() == Admitted {
			c.passed = append(c.passed, c.now)
		} else if c.limit.Wait == 0 || c.now.Before(e.entered.Add(c.limit.Wait)) {
			c.t.Error("refused before its time")
		}
		c.tell(e.Value, e.Outcome())
	}
}

// tell notes what became of an entry.
func (c *crowd) tell(i int, o Outcome) {
	if c.told[i]++; c.told[i] > 1 || c.entries[i].Outcome() != o {
		c.t.Errorf("entry %d was told of %d times, now %d", i, c.told[i], o)
	}
	c.waiting[c.nets[i]]--
}

func (c *crowd) check() {
	wait, most := 0, 0
	for _, n := range c.waiting {
		wait, most = wait+n, max(most, n)
	}
	if c.gate.Len() != wait || c.gate.most != most {
		c.t.Errorf("%d wait, %d of one network; the gate has %d and %d", wait, most, c.gate.Len(), c.gate.most)
	}
	// In no window more than the burst and what the rate brings: the last one ends now.
	for i, from := range c.passed {
		allowed := c.limit.burst() + int(float64(c.limit.PerSecond)*c.now.Sub(from).Seconds()+1e-6)
		if n := len(c.passed) - i; n > allowed {
			c.t.Errorf("%d in %v with %+v, %d are allowed", n, c.now.Sub(from), c.limit, allowed)
			return
		}
	}
}

// end lets everybody in and looks whether anybody was forgotten.
func (c *crowd) end() {
	c.limit = Limit{}
	c.gate.Configure(c.limit, c.now)
	c.admit()
	for i, n := range c.told {
		if n != 1 {
			c.t.Errorf("entry %d was told of %d times", i, n)
		}
	}
	if c.gate.Len() != 0 || len(c.gate.networks) != 0 || c.gate.turns.Len() != 0 || c.gate.most != 0 {
		c.t.Errorf("left behind: %+v", c.gate)
	}
}
