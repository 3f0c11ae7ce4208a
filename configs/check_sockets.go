package configs

import (
	"fmt"
	"net/netip"
	"time"
)

// leastProbe is the grain of the kernel's keepalive. Less of the other time would end connections for one late packet.
const leastProbe = time.Second

// tcp checks by what the kernel is to find that a peer is gone.
func (c *checker) tcp(t TCP, path string) {
	keepalive, timeout := path+".keepalive", path+".user_timeout"
	for at, value := range map[string]time.Duration{keepalive: t.KeepAlive, timeout: t.UserTimeout} {
		if value > 0 && value < leastProbe {
			c.errorf(at, "%s is too small: the least is %s, and 0s turns it off", formatDuration(value), formatDuration(leastProbe))
		}
	}
	if t.KeepAlive == 0 || t.UserTimeout == 0 || c.failed(keepalive) || c.failed(timeout) {
		return
	}
	if t.UserTimeout <= t.KeepAlive {
		at := timeout
		if _, written := c.at[timeout]; !written {
			at = keepalive
		}
		c.warnf(at, "user_timeout, %s, is not longer than keepalive, %s, so that the kernel gives up at the first probe that is lost: write %s or more for user_timeout, or 0s",
			formatDuration(t.UserTimeout), formatDuration(t.KeepAlive), formatDuration(2*t.KeepAlive))
	}
}

// sources checks the addresses that connections are to come from.
func (c *checker) sources(u *Upstream, path string) {
	first := map[string]int{}
	is4 := map[bool]bool{}
	for i, text := range u.SourceAddresses {
		at := fmt.Sprintf("%s.source_addresses[%d]", path, i)
		addr, err := netip.ParseAddr(text)
		if err != nil || c.failed(at) {
			return
		}
		if number, seen := first[text]; seen {
			c.errorf(at, "%s is address %d already: remove one", text, number)
			continue
		}
		first[text], is4[addr.Is4()] = i+1, true
	}
	if len(is4) != 1 {
		return
	}
	for i, e := range u.Endpoints {
		address, err := splitAddress(e.Address)
		if err == nil && address.ip.IsValid() && !is4[address.ip.Is4()] {
			c.warnf(fmt.Sprintf("%s.endpoints[%d].address", path, i),
				"cannot be reached, as source_addresses has no %s address: add one", family(address.ip))
		}
	}
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// checkSource returns an address as others of its kind are compared with it.
func checkSource(text string) (string, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		if ap, err := netip.ParseAddrPort(text); err == nil {
			return "", fmt.Errorf("%s has a port, which the kernel chooses: write %s", shown(text), ap.Addr().Unmap())
		}
		if p, err := netip.ParsePrefix(text); err == nil {
			return "", fmt.Errorf("%s is a range: write each address of this host, such as %s", shown(text), p.Addr().Unmap())
		}
		return "", fmt.Errorf("%s is not an IP address: write one of this host, such as 10.0.0.2", shown(text))
	}
	addr = addr.Unmap()
	switch {
	case addr.IsUnspecified():
		return "", fmt.Errorf("%s stands for every address: write those of this host one by one", text)
	case addr.IsMulticast():
		return "", fmt.Errorf("%s is a multicast address, which no connection can come from: write one of this host", text)
	case addr.Zone() != "" || addr.Is6() && addr.IsLinkLocalUnicast():
		return "", fmt.Errorf("%s is a link-local address: write one that holds beyond one link", text)
	}
	return addr.String(), nil
}
