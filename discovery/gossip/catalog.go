package gossip

import (
	"net/netip"
	"strings"
	"time"
)

const (
	mostMembers = 4096
	mostOffers  = 65536 // of all nodes together

	// forgetMember is for how long a dead member is called again.
	forgetMember = 7 * 24 * time.Hour
)

// Member is a node of the cluster.
type Member struct {
	Name  string // unique: it has the time of start in it
	Addr  netip.AddrPort
	Alive bool
	Left  bool      // it said farewell, or another process has taken its place; else one that is not alive fell silent
	Since time.Time // when it was first seen alive, or found dead
}

// Host is the name without what makes it unique.
func (m Member) Host() string {
	host, _, _ := cutName(m.Name)
	return host
}

// catalog is who there is and what they announce. It is not safe for concurrent use: Node.mu guards it.
type catalog struct {
	own      ownSet
	ownAddr  netip.AddrPort
	allow    allowList
	limit    time.Duration // Options.SuspectLimit
	refusals *refusals

	members map[string]*Member // without this node
	living  int
	at      map[netip.AddrPort]string // the newest member that was seen alive at an address

	sets   map[string]*set // of others
	offers int             // in sets

	dirty map[string]bool // services whose endpoints may have changed
}

func newCatalog(name string, allow allowList, limit time.Duration, r *refusals) *catalog {
	return &catalog{
		own:      ownSet{set: set{origin: name}},
		allow:    allow,
		limit:    limit,
		refusals: r,
		members:  make(map[string]*Member),
		at:       make(map[netip.AddrPort]string),
		sets:     make(map[string]*set),
		dirty:    make(map[string]bool),
	}
}

// joined notes that a member is alive.
func (c *catalog) joined(name string, addr netip.AddrPort, now time.Time) {
	m := c.members[name]
	other := c.at[addr]
	// Somebody may tell of one that is long over. One that is new here began when it says, even if that is earlier: clocks are set.
	over := m != nil && !m.Alive && other != name && bootOf(other) > bootOf(name)
	if m == nil {
		if len(c.members) >= 2*mostMembers {
			c.forgetDead()
		}
		m = &Member{Name: name}
		c.members[name] = m
	}
	if !m.Alive {
		s := c.sets[name]
		m.Alive, m.Left, m.Since = true, over || s != nil && s.left, now
		c.living++
	}
	m.Addr = addr
	if before := c.members[other]; other != name && before != nil && !before.Alive {
		before.Left = true // whatever becomes of this one
	}
	if other == "" || !c.alive(other) && !over || bootOf(name) > bootOf(other) {
		c.at[addr] = name
		c.touch(c.sets[other])
	}
	c.touch(c.sets[name])
}

// died notes that memberlist gave a member up, or that it left: it does not tell these apart, but a set does.
func (c *catalog) died(name string, now time.Time) {
	m := c.members[name]
	if m == nil || !m.Alive {
		return
	}
	m.Alive, m.Since = false, now
	m.Left = m.Left || c.succeeded(m)
	c.living--
	if s := c.sets[name]; s != nil {
		s.heard = now
		c.touch(s)
	}
}

// succeeded reports whether another process is now where a member was.
func (c *catalog) succeeded(m *Member) bool {
	other := c.at[m.Addr]
	return m.Addr == c.ownAddr || other != m.Name && c.alive(other)
}

func (c *catalog) alive(name string) bool {
	m := c.members[name]
	return m != nil && m.Alive
}

// superseded reports whether another process is now where the node of a set was, or was there and has said farewell: an address
// has one process, so the set is of the past, however its node ended.
func (c *catalog) superseded(s *set) bool {
	m := c.members[s.origin]
	if m == nil {
		return false
	}
	if m.Addr == c.ownAddr {
		return c.own.seq > 0
	}
	other := c.at[m.Addr]
	now := c.sets[other]
	return now != nil && other != s.origin && (c.alive(other) || now.left)
}

// age is for how long nobody has answered for a set, as far as this node knows.
func (c *catalog) age(s *set, now time.Time) time.Duration {
	if c.alive(s.origin) {
		return 0
	}
	return max(now.Sub(s.heard), 0)
}

// lifetime is how old a set may get before it is not told to others any more. The farewell of a node is kept for longer
// than the set that it ends, or that could come back.
func (c *catalog) lifetime(left bool) time.Duration {
	if left {
		return 3 * c.limit
	}
	return c.limit
}

// put takes over a whole set if it is newer than what is known, and reports whether it was.
func (c *catalog) put(w wireSet, now time.Time) bool {
	if w.origin == c.own.origin {
		return false
	}
	s := c.sets[w.origin]
	if s != nil && w.seq <= s.seq {
		if w.seq == s.seq && !c.alive(s.origin) {
			s.heard = later(s.heard, now.Add(-w.age)) // the sender may know better how long it is silent
		}
		return false
	}
	if w.age > c.lifetime(w.left) || !c.room(s, w.origin, len(w.offers)) {
		return false
	}
	offers := make(map[place]offer, len(w.offers))
	for _, o := range w.offers {
		offers[o.place()] = o
	}
	c.replace(s, &set{origin: w.origin, seq: w.seq, left: w.left, heard: now.Add(-w.age), offers: offers})
	return true
}

// room refuses what would be too much to keep. s is what is known of the origin, or nil.
func (c *catalog) room(s *set, origin string, offers int) bool {
	before := 0
	if s != nil {
		before = len(s.offers)
	}
	if s == nil && len(c.sets) >= mostSets || c.offers-before+offers > mostOffers {
		c.refusals.add(refusedTooMany, "endpoints announced by "+origin)
		return false
	}
	return true
}

// patch applies a delta and reports whether it was news, and whether the set has to be fetched because the delta cannot be
// applied to what is known.
func (c *catalog) patch(d delta, now time.Time) (news, fetch bool) {
	if d.origin == c.own.origin {
		return false, false
	}
	s := c.sets[d.origin]
	var known uint64
	if s != nil {
		known = s.seq
	}
	if d.to <= known {
		return false, false
	}
	if known < d.from {
		return true, true
	}
	offers := make(map[place]offer)
	if s != nil && !d.left && d.from > 0 { // from the beginning it is the whole set, and may not say what was removed
		for p, o := range s.offers {
			offers[p] = o
		}
	}
	for _, p := range d.removed {
		delete(offers, p)
	}
	if !d.left {
		for _, o := range d.changed {
			offers[o.place()] = o
		}
	}
	if len(offers) > mostAnnouncements || !c.room(s, d.origin, len(offers)) {
		c.refusals.add(refusedTooMany, "endpoints announced by "+d.origin)
		return false, false
	}
	c.replace(s, &set{origin: d.origin, seq: d.to, left: d.left, heard: now, offers: offers})
	return true, false
}

func (c *catalog) replace(old, s *set) {
	if old != nil {
		c.offers -= len(old.offers)
		c.touch(old)
	}
	c.offers += len(s.offers)
	c.sets[s.origin] = s
	c.touch(s)
	if m := c.members[s.origin]; m != nil && s.left {
		m.Left = true // for longer than the farewell is remembered
	}
	if old == nil { // it may take the place of what was announced from its address before
		if m := c.members[s.origin]; m != nil {
			for _, other := range c.members {
				if other != m && other.Addr == m.Addr {
					c.touch(c.sets[other.Name])
				}
			}
		}
	}
}

func (c *catalog) drop(s *set) {
	c.offers -= len(s.offers)
	delete(c.sets, s.origin)
	c.touch(s)
}

func (c *catalog) touch(s *set) {
	if s == nil {
		return
	}
	for p := range s.offers {
		c.dirty[p.service] = true
	}
}

// expire forgets what has been silent for too long, except sets that needed says are still in use.
func (c *catalog) expire(now time.Time, needed func(*set) bool) {
	for _, s := range c.sets {
		if c.alive(s.origin) {
			continue
		}
		if c.superseded(s) || c.age(s, now) > c.lifetime(s.left) && !needed(s) {
			c.drop(s)
		}
	}
	for name, m := range c.members {
		if !m.Alive && now.Sub(m.Since) > forgetMember {
			c.forget(name)
		}
	}
}

func (c *catalog) forget(name string) {
	if m := c.members[name]; m != nil && c.at[m.Addr] == name {
		delete(c.at, m.Addr)
	}
	delete(c.members, name)
}

// forgetDead makes room: so many members come from many restarts.
func (c *catalog) forgetDead() {
	for name, m := range c.members {
		if !m.Alive {
			c.forget(name)
		}
	}
}

// A name is the host's, this separator, and the time of start: a process that starts again is another member, which
// others accept at once at whatever address.
const nameSeparator = "~"

func cutName(name string) (host, boot string, ok bool) {
	i := strings.LastIndex(name, nameSeparator)
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

func bootOf(name string) string {
	_, boot, _ := cutName(name)
	return boot
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
