package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/mqedge/mqedge/proxy/ports"
	"github.com/mqedge/mqedge/proxy/relay"
)

const (
	remedyPorts    = "widen net.ipv4.ip_local_port_range, or give the upstream more source_addresses or endpoints"
	remedyNoSource = "no source port is left for this endpoint: set the upstream's source_addresses, or widen net.ipv4.ip_local_port_range; " +
		"to an IPv6 address it may be that this host has none itself"
	remedyAddress = "this host no longer has an address of source_addresses: see `ip address`"
	remedyFamily  = "give the upstream such an address in source_addresses"
)

// dial connects to addr, from one of the upstream's source addresses if it has any.
func (c *conn) dial(addr string, deadline time.Time) (*relay.Conn, error) {
	r := &c.early.settings.Route
	o := relay.DialOptions{Deadline: deadline, TCP: r.TCP}
	if r.Sources == nil {
		upstream, err := c.early.stream.Dial(addr, o)
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return nil, fmt.Errorf("%w (%s)", err, remedyNoSource)
		}
		return upstream, err
	}
	addresses, err := c.early.stream.Lookup(addr, deadline)
	if err != nil {
		return nil, err
	}
	var failed error
	for i, to := range addresses {
		now := time.Now()
		o.Deadline = now.Add(deadline.Sub(now) / time.Duration(len(addresses)-i)) // one that is silent leaves the others time
		upstream, err := c.dialFrom(r.Sources, to, o)
		if err == nil {
			return upstream, nil
		}
		failed = moreTelling(failed, err)
	}
	return nil, failed
}

// moreTelling is the later of two errors, but that an address of the other family
// is passed over was to be expected.
func moreTelling(before, err error) error {
	if before != nil && errors.Is(err, ports.ErrFamily) {
		return before
	}
	return err
}

// dialFrom connects to an address from one source after the other, as long as
// they have no port left. The one that had is held in [extra].
func (c *conn) dialFrom(sources *ports.Set, to netip.AddrPort, o relay.DialOptions) (*relay.Conn, error) {
	for {
		use, err := sources.Take(to, time.Now())
		if err != nil {
			return nil, fmt.Errorf("%w (%s)", err, sourceRemedy(err))
		}
		o.Source = use.Source()
		upstream, err := c.early.stream.Dial(to.String(), o)
		switch {
		case err == nil:
			c.more().source = use
			return upstream, nil
		case errors.Is(err, syscall.EADDRNOTAVAIL) && o.Source.IsValid():
			use.Failed(err, time.Now()) // and not taken again before the others
		default:
			use.Release()
			return nil, err
		}
	}
}

// releaseSource gives the port back, if one is held.
func (c *conn) releaseSource() {
	if c.extra != nil {
		c.extra.source.Release()
	}
}

func sourceRemedy(err error) string {
	call, fromKernel := errors.AsType[*os.SyscallError](err)
	switch {
	case errors.Is(err, ports.ErrFamily):
		return remedyFamily
	case fromKernel && call.Syscall == "bind":
		return remedyAddress
	}
	return remedyPorts
}
