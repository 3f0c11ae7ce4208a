package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Node is this process as a member of the cluster. All methods may be called at once from any goroutine, and, unless they say
// otherwise, before Run too.
type Node struct {
	o        Options
	name     string
	started  time.Time
	bind     netip.AddrPort
	log      *slog.Logger
	refusals *refusals
	ring     *memberlist.Keyring // nil: not encrypted

	broadcasts   *memberlist.TransmitLimitedQueue
	living       atomic.Int64 // other members
	sends        chan send
	dropped      atomic.Uint64 // of sends
	wake         chan struct{}
	met          chan struct{} // closed by the first call
	watchers     watchers
	factWatchers watchers

	listening sync.Mutex // held by Listen
	transport *transport // set by Listen

	mu        sync.Mutex // guards what follows; never held while memberlist is called, which calls back with locks of its own
	list      *memberlist.Memberlist
	leaving   sync.WaitGroup // calls of Leave that use list
	catalog   *catalog
	facts     *facts
	views     map[string]*view
	lacking   map[string]*lack
	relayed   map[string]uint64 // by origin, the newest number that was passed on
	wanted    []Announcement    // to be announced; nil when nothing is
	published time.Time         // when this node last announced something
	due       time.Time         // when views are to be made anew; zero is never
	tended    time.Time         // when time was last seen to pass
	unsaved   bool
	silent    silences
	left      bool
	ended     bool
}

// ErrNotRunning means that there is no Run that has begun and not ended.
var ErrNotRunning = errors.New("gossip is not running")

// New reads the key file but opens nothing else. Errors name the key of the configuration to change.
func New(o Options) (*Node, error) {
	o = o.withDefaults()
	n := &Node{
		o:        o,
		started:  time.Now(),
		log:      o.Log,
		refusals: newRefusals(o.Log),
		sends:    make(chan send, sendQueue),
		wake:     make(chan struct{}, 1),
		met:      make(chan struct{}),
		views:    make(map[string]*view),
		lacking:  make(map[string]*lack),
		relayed:  make(map[string]uint64),
	}
	var err error
	if n.bind, err = parseBind(o.Bind); err != nil {
		return nil, err
	}
	if o.Advertise != "" {
		if _, _, err := splitAdvertise(o.Advertise); err != nil {
			return nil, err
		}
	}
	for _, join := range o.Join {
		if host, port, err := net.SplitHostPort(join); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("gossip.join %q: want host:port", join)
		}
	}
	if len(o.Label) > memberlist.LabelMaxSize {
		return nil, fmt.Errorf("gossip.label: %d bytes: at most %d", len(o.Label), memberlist.LabelMaxSize)
	}
	if n.name, err = uniqueName(o.Name, n.started); err != nil {
		return nil, err
	}
	if o.KeyFile != "" {
		keys, err := loadKeys(o.KeyFile)
		if err != nil {
			return nil, err
		}
		if n.ring, err = memberlist.NewKeyring(keys, keys[0]); err != nil {
			return nil, fmt.Errorf("gossip.key_file %s: %w", o.KeyFile, err)
		}
	} else if !n.bind.Addr().IsLoopback() {
		return nil, fmt.Errorf("gossip.key_file: needed because gossip.bind %s can be reached from other hosts; make a file with `mqedge keygen` and copy it to every host", o.Bind)
	}
	n.catalog = newCatalog(n.name, o.Allow, o.SuspectLimit, n.refusals)
	n.facts = newFacts(n.name, n.refusals)
	n.broadcasts = &memberlist.TransmitLimitedQueue{
		NumNodes:       func() int { return int(n.living.Load()) + 1 },
		RetransmitMult: memberlist.DefaultLANConfig().RetransmitMult,
	}
	return n, nil
}

// uniqueName adds the time to the name of the host, and a little more for processes that start together.
func uniqueName(host string, now time.Time) (string, error) {
	if host == "" {
		var err error
		if host, err = os.Hostname(); err != nil {
			return "", fmt.Errorf("gossip.name: cannot tell the host name: %w; set it", err)
		}
	}
	if !isName(host) || len(host) > 64 || strings.ContainsAny(host, nameSeparator+"/") {
		return "", fmt.Errorf("gossip.name %q: want up to 64 printable characters without %q and '/'", host, nameSeparator)
	}
	boot := strconv.FormatInt(now.UnixNano(), 36)
	return host + nameSeparator + boot, nil
}

// Name is what others know this process by. No other process ever has the same.
func (n *Node) Name() string { return n.name }

// Encrypted reports whether others cannot read what is said without a key.
func (n *Node) Encrypted() bool { return n.ring != nil }

// Listen opens the sockets, unless they are open. Run does it too; it is apart so that a port that is taken can be found out
// before anything else is changed. Who calls it but not Run calls Close.
func (n *Node) Listen(ctx context.Context) error {
	n.listening.Lock()
	defer n.listening.Unlock()
	if n.transport != nil {
		return nil
	}
	s, err := n.o.open(n.bind)
	if err != nil {
		return bindError(n.bind, err)
	}
	bound := n.bind
	if local, err := netip.ParseAddrPort(s.streams.Addr().String()); err == nil {
		bound = netip.AddrPortFrom(n.bind.Addr(), local.Port())
	}
	advertise, err := n.o.advertised(ctx, bound)
	if err == nil && n.ring == nil && !advertise.Addr().IsLoopback() {
		err = fmt.Errorf("gossip.key_file: needed because gossip.advertise is %s; make a file with `mqedge keygen` and copy it to every host", advertise)
	}
	if err != nil {
		s.close()
		return err
	}
	n.transport = newTransport(s, advertise, n.o.Allow, n.refusals)
	n.mu.Lock()
	n.catalog.ownAddr = advertise
	n.mu.Unlock()
	return nil
}

// Close closes the sockets of a node that is not going to run.
func (n *Node) Close() {
	n.listening.Lock()
	defer n.listening.Unlock()
	if n.transport != nil {
		n.transport.Shutdown()
	}
}

// Addr is the address that others use. It is not valid before Listen.
func (n *Node) Addr() netip.AddrPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.catalog.ownAddr
}

// Announce replaces what this node announces. It takes effect at once, or when Run begins; rapid calls are gathered. The
// error says which announcement is unusable, and then nothing has changed.
func (n *Node) Announce(announcements []Announcement) error {
	if len(announcements) > mostAnnouncements {
		return fmt.Errorf("gossip.announce: %d endpoints: at most %d for one host", len(announcements), mostAnnouncements)
	}
	for i, a := range announcements {
		if err := n.Accepts(a); err != nil {
			return fmt.Errorf("gossip.announce[%d]: %w", i, err)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wanted = append([]Announcement{}, announcements...)
	n.stir(time.Now(), batchInterval)
	return nil
}

// Accepts returns what makes an announcement unusable, if anything.
func (n *Node) Accepts(a Announcement) error {
	if err := a.check(); err != nil {
		return err
	}
	o, err := a.offer(netip.IPv6LinkLocalAllNodes())
	if err != nil {
		return err
	}
	if !o.addr.Addr().IsMulticast() && allowList(n.o.Allow).endpoint(o.addr, true) != "" {
		return fmt.Errorf("address %q: others would refuse it (gossip.allow: %s)", a.Addr, allowList(n.o.Allow))
	}
	return nil
}

// Reload reads the key file again. Keys that are not in it any more stop to count at once; on error nothing has changed. See
// docs/gossip.md for how to change keys on many hosts.
func (n *Node) Reload() error {
	if n.ring == nil {
		return nil
	}
	keys, err := loadKeys(n.o.KeyFile)
	if err != nil {
		return err
	}
	n.listening.Lock() // one at a time
	defer n.listening.Unlock()
	return useKeys(n.ring, keys)
}

// stir makes turn look at what changed, within delay. n.mu is held.
func (n *Node) stir(now time.Time, delay time.Duration) {
	if at := now.Add(delay); n.due.IsZero() || at.Before(n.due) {
		n.due = at
	}
	n.unsaved = true
	n.prod()
}

func (n *Node) prod() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}
