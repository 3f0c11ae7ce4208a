package gossip

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
)

// Options is what a node is made of. Only Bind has to be set.
type Options struct {
	Name      string // of this host, for people; empty means the host name. The time of start is added to it.
	Bind      string // IP:port for both TCP and UDP; port 0 takes a free one
	Advertise string // host or host:port that others use; empty means Bind, or the address that routes to the others use

	Join    []string // host:port of some members; names are resolved again at every attempt
	KeyFile string   // base64 keys, one a line: the first encrypts, all decrypt. Needed unless all is on loopback.
	Label   string   // keeps clusters apart that share a network; up to 255 bytes
	Allow   []netip.Prefix

	StateFile    string        // where what is known survives a restart; empty means nowhere
	SuspectLimit time.Duration // for how long a suspected endpoint may stay beside present ones; 0 means 10 minutes

	Predecessor Predecessor // of another process; zero means none

	Log *slog.Logger // nil means none

	// For tests.
	tune    func(*memberlist.Config)
	rejoin  time.Duration
	open    func(bind netip.AddrPort) (sockets, error)
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)
}

const (
	defaultSuspectLimit = 10 * time.Minute
	rejoinInterval      = 30 * time.Second

	// batchInterval is how long changes are gathered before they are published, here and to others.
	batchInterval = 200 * time.Millisecond
)

func (o Options) withDefaults() Options {
	if o.SuspectLimit <= 0 {
		o.SuspectLimit = defaultSuspectLimit
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.rejoin <= 0 {
		o.rejoin = rejoinInterval
	}
	if o.open == nil {
		o.open = openSockets
		if o.Predecessor.Streams != nil {
			o.open = o.Predecessor.inherit
		}
	}
	if o.resolve == nil {
		o.resolve = resolveHost
	}
	return o
}
