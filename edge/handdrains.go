package edge

import "time"

// handedDrains are what is drained by hand, for the process that takes the place of this one: on this edge alone, and on all, since
// that one hears of those only once it is the member of gossip.
type handedDrains struct {
	List   []handedDrain  `json:"list,omitempty"`
	Exempt []handedExempt `json:"exempt,omitempty"`
}

type handedDrain struct {
	Upstream string        `json:"upstream"`
	Address  string        `json:"address"`
	Reason   string        `json:"reason"`
	Over     time.Duration `json:"over,omitempty"`
	Paced    bool          `json:"paced,omitempty"`
	Keep     bool          `json:"keep,omitempty"`
	Word     uint64        `json:"word"`
	Stays    bool          `json:"stays,omitempty"`
}

// handedExempt is an endpoint that is drained on all and enabled on this edge.
type handedExempt struct {
	Upstream string `json:"upstream"`
	Address  string `json:"address"`
	Word     uint64 `json:"word"`
}

// handed are those for the next process. The caller holds the lock of moves.
func (d *drains) handed() (h handedDrains) {
	for p, w := range d.wanted() {
		_, own := d.local[p]
		h.List = append(h.List, handedDrain{p.upstream, p.addr, w.reason, w.over, w.paced, w.keep, w.word, w.stays || !own})
	}
	for p, word := range d.exempt {
		h.Exempt = append(h.Exempt, handedExempt{p.upstream, p.addr, word})
	}
	return h
}

// restore takes over those of the process before. It is for drains that nobody uses yet.
func (d *drains) restore(h handedDrains) {
	for _, w := range h.List {
		d.local[place{w.Upstream, w.Address}] = handDrain{w.Reason, w.Over, w.Paced, w.Keep, w.Word, w.Stays}
		if !w.Stays {
			d.words = max(d.words, w.Word)
		}
	}
	for _, x := range h.Exempt {
		d.exempt[place{x.Upstream, x.Address}] = x.Word
	}
}
