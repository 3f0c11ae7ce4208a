package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// parseBind wants an IP address: a name could mean several.
func parseBind(bind string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddrPort(bind)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("gossip.bind %q: want IP:port, like 0.0.0.0:7946", bind)
	}
	if addr.Addr().IsMulticast() || addr.Addr().Zone() != "" {
		return netip.AddrPort{}, fmt.Errorf("gossip.bind %q: want an address of this host, or 0.0.0.0", bind)
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), nil
}

// bindError says what to do about a port that cannot be had.
func bindError(bind netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("gossip.bind %s: the port is taken, for TCP or UDP; ss -lntup 'sport = :%d' shows by whom; choose another port or end that process", bind, bind.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("gossip.bind %s: this host does not have the address; use one of it, or 0.0.0.0 together with gossip.advertise", bind)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("gossip.bind %s: not permitted; choose a port above 1023", bind)
	}
	return fmt.Errorf("gossip.bind %s: %w", bind, err)
}

// splitAdvertise takes host or host:port apart; port 0 means that of bind.
func splitAdvertise(advertise string) (host string, port uint16, err error) {
	if ip, err := netip.ParseAddr(advertise); err == nil {
		return ip.String(), 0, nil
	}
	host, text, err := net.SplitHostPort(advertise)
	if err != nil {
		host, text = advertise, "0"
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil || host == "" {
		return "", 0, fmt.Errorf("gossip.advertise %q: want host or host:port", advertise)
	}
	return host, uint16(number), nil
}

// advertised is the address that others will use, once the sockets are bound to bound.
func (o Options) advertised(ctx context.Context, bound netip.AddrPort) (netip.AddrPort, error) {
	ip, port := bound.Addr(), bound.Port()
	switch {
	case o.Advertise != "":
		host, number, err := splitAdvertise(o.Advertise)
		if err != nil {
			return netip.AddrPort{}, err
		}
		ips, err := o.resolve(ctx, host)
		if err != nil || len(ips) == 0 {
			return netip.AddrPort{}, fmt.Errorf("gossip.advertise %q: cannot resolve the name: %v; use the IP address that others reach this host at", o.Advertise, err)
		}
		ip = preferred(ips, ip.Is4())
		if number != 0 {
			port = number
		}
	case ip.IsUnspecified():
		var err error
		if ip, err = o.route(ctx, ip.Is4()); err != nil {
			return netip.AddrPort{}, fmt.Errorf("gossip.advertise: cannot tell at which address others reach this host: %w; set it", err)
		}
	}
	if allowList(o.Allow).member(ip) != "" {
		return netip.AddrPort{}, fmt.Errorf("gossip.advertise: others cannot or may not use %s (gossip.allow: %s); set it to the IP address that others reach this host at", ip, allowList(o.Allow))
	}
	return netip.AddrPortFrom(ip, port), nil
}

// preferred is the first address of the family that bind has, or else the first.
func preferred(ips []netip.Addr, only4 bool) netip.Addr {
	for _, ip := range ips {
		if ip.Unmap().Is4() == only4 {
			return ip.Unmap()
		}
	}
	return ips[0].Unmap()
}

// route is this host's address on the way to the first of Join that has one, else to the outside. Nothing is sent.
func (o Options) route(ctx context.Context, only4 bool) (netip.Addr, error) {
	targets := []string{"192.0.2.1:9", "[2001:db8::1]:9"} // set apart for documentation: the default route
	for _, join := range o.Join {
		host, port, err := net.SplitHostPort(join)
		if err != nil {
			continue
		}
		if ips, err := o.resolve(ctx, host); err == nil && len(ips) > 0 {
			targets = append([]string{net.JoinHostPort(preferred(ips, only4).String(), port)}, targets...)
			break
		}
	}
	network := "udp"
	if only4 {
		network = "udp4"
	}
	var last error
	for _, target := range targets {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, target)
		if err != nil {
			last = err
			continue
		}
		addr, err := netip.ParseAddrPort(conn.LocalAddr().String())
		conn.Close()
		if err == nil {
			return addr.Addr().Unmap(), nil
		}
		last = err
	}
	return netip.Addr{}, last
}

func resolveHost(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
