package docker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// where is what is known of the host.
type where struct {
	override netip.Addr // to announce for ports of the host
	own      netip.Addr // the address that others reach this host at; may not be known
}

// family is the address whose family counts.
func (w where) family() netip.Addr {
	if w.override.IsValid() {
		return w.override.Unmap()
	}
	return w.own.Unmap()
}

// port of the host as others reach it.
func (w where) port(n int) string {
	if w.override.IsValid() {
		return join(w.override, n)
	}
	return ":" + strconv.Itoa(n)
}

func join(ip netip.Addr, port int) string {
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)).String()
}

// place is where others find a server.
type place struct {
	addr string
	note string
}

const (
	noteLoopback = "it is there on loopback only: processes on other hosts refuse it"
	noteInside   = "port %d is not published: its own address can be reached where its network %s can"
)

// reach is where others find a server of the container.
func (k *known) reach(s server, network string, own where) (place, error) {
	d := k.details
	if _, joins := d.joins(); joins {
		if k.target == nil {
			return place{}, errors.New("the container whose network it uses is not there")
		}
		d.HostConfig, d.NetworkSettings = k.target.HostConfig, k.target.NetworkSettings
	}
	switch {
	case d.HostConfig.NetworkMode == "host":
		return reachOnHost(s, own), nil
	case d.HostConfig.NetworkMode == "none":
		return place{}, errors.New("it has no network")
	case s.ip.IsValid() && s.ip.IsLoopback():
		return place{}, fmt.Errorf("%s makes it listen on %s, which is inside the container: write 0.0.0.0:%d there", s.from, s.ip, s.port)
	case network == "":
		if found, published, err := d.published(s.port, own); published || err != nil {
			return found, err
		}
	}
	return d.inside(s.port, network, own)
}

// reachOnHost is for a container that has the host's network.
func reachOnHost(s server, own where) place {
	if !s.ip.IsValid() || s.ip.IsUnspecified() {
		return place{addr: own.port(s.port)}
	}
	p := place{addr: join(s.ip, s.port)}
	if s.ip.IsLoopback() {
		p.note = noteLoopback
	}
	return p
}

// published is the port of the host that leads to a port of the container: best one of all addresses of the host.
func (d details) published(port int, own where) (found place, published bool, err error) {
	type candidate struct {
		place
		rank, port int
	}
	var all []candidate
	family := own.family()
	var other bool // it is published for the other family
	for _, m := range d.NetworkSettings.Ports[fmt.Sprintf("%d/tcp", port)] {
		n, err := parsePort(m.HostPort)
		if err != nil {
			continue // not assigned yet
		}
		if m.HostIP == "" {
			all = append(all, candidate{place{addr: own.port(n)}, 0, n})
			continue
		}
		ip, err := netip.ParseAddr(m.HostIP)
		switch {
		case err != nil:
		case ip.IsUnspecified() && family.IsValid() && family.Is4() != ip.Is4():
			other = true
		case ip.IsUnspecified():
			all = append(all, candidate{place{addr: own.port(n)}, 0, n})
		case ip.IsLoopback():
			all = append(all, candidate{place{join(ip, n), noteLoopback}, 2, n})
		default:
			all = append(all, candidate{place{addr: join(ip.WithZone(""), n)}, 1, n})
		}
	}
	if len(all) == 0 {
		if other {
			return place{}, false, fmt.Errorf("port %d is not published for the family of %s, which others reach this host at: publish it for both, or set gossip.docker.host", port, family)
		}
		return place{}, false, nil
	}
	best := slices.MinFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.port, b.port), strings.Compare(a.addr, b.addr)) // any, but always the same
	})
	return best.place, true, nil
}

// inside is the container's own address on one of its networks.
func (d details) inside(port int, network string, own where) (place, error) {
	networks := slices.Sorted(maps.Keys(d.NetworkSettings.Networks))
	if network != "" {
		if !slices.Contains(networks, network) {
			return place{}, fmt.Errorf("it is not on the network %s: it is on %s", clean(network), cmp.Or(clean(strings.Join(networks, ", ")), "none"))
		}
		networks = []string{network}
	}
	for _, name := range networks {
		ip := d.NetworkSettings.Networks[name].address(own.family())
		if !ip.IsValid() {
			continue
		}
		p := place{addr: net.JoinHostPort(ip.String(), strconv.Itoa(port))}
		if network == "" {
			p.note = fmt.Sprintf(noteInside, port, clean(name))
		}
		return p, nil
	}
	return place{}, fmt.Errorf("it has no address: publish port %d, or give it the host's network", port)
}

// address is that of the family wanted, or else any.
func (a attachment) address(family netip.Addr) netip.Addr {
	four, _ := netip.ParseAddr(a.IPAddress)
	six, _ := netip.ParseAddr(a.GlobalIPv6Address)
	if family.IsValid() && family.Is6() && six.IsValid() || !four.IsValid() {
		return six
	}
	return four
}
