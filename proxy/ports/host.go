package ports

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// defaultPorts is the size of Linux's range unless it was changed, 32768 to 60999.
const defaultPorts = 60999 - 32768 + 1

// Available returns how many ports the kernel of this host gives to the connections
// from one address to one endpoint. Where it does not say, that is Linux's
// default.
func Available() int {
	bounds, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return defaultPorts
	}
	reserved, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_reserved_ports")
	if err != nil {
		reserved = nil // older than Linux 2.6.35
	}
	return countPorts(string(bounds), string(reserved))
}

// countPorts counts the ports of a range, "32768	60999", that are not among the
// reserved, "8080,9100-9110".
func countPorts(bounds, reserved string) int {
	words := strings.Fields(bounds)
	if len(words) != 2 {
		return defaultPorts
	}
	low, err := port(words[0])
	high, err2 := port(words[1])
	if err != nil || err2 != nil || low > high {
		return defaultPorts
	}
	n := high - low + 1
	for part := range strings.SplitSeq(strings.TrimSpace(reserved), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := port(first)
		to, err2 := port(last)
		if err != nil || err2 != nil {
			continue // an empty list
		}
		n -= max(min(to, high)-max(from, low)+1, 0)
	}
	return max(n, 0)
}

func port(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err
}

// Check returns an error when connections cannot come from the address since
// this host does not have it.
func Check(a netip.Addr) error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if err != nil {
		return fmt.Errorf("%s: this host has no such address: see `ip address` (%w)", a, err)
	}
	return c.Close()
}
