package convert

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Bind is an address that the other program listens on.
type Bind struct {
	Address string // host:port
	At      Place
	Only6   bool   // [::] that takes no IPv4
	Else    string // what else can be done when another has the address; "": nothing
}

// Claim returns the addresses of binds that no listener has yet. [::] is IPv4 and IPv6 in mqedge.
func (d *Draft) Claim(binds []Bind) []string {
	type claimed struct {
		Bind
		host, port string
	}
	both := map[string]bool{}
	var claims []claimed
	for _, b := range binds {
		host, port, _ := net.SplitHostPort(b.Address)
		claims = append(claims, claimed{b, host, port})
		both[b.Address] = true
	}
	// What takes in others goes first, so that only these are left out.
	slices.SortStableFunc(claims, func(a, b claimed) int { return cmp.Compare(breadth(b.host), breadth(a.host)) })
	var mine []string
	for _, b := range claims {
		if b.host == "0.0.0.0" && both["[::]:"+b.port] {
			continue // the other is both
		}
		taken, at := d.conflict(b.Address)
		switch {
		case taken == nil:
			d.taken[b.Address] = b.At
			mine = append(mine, b.Address)
			if b.host == "::" && b.Only6 && !both["0.0.0.0:"+b.port] {
				d.Note(b.At, "%s takes IPv4 as well in mqedge: write the host's own IPv6 address if that must not be", b.Address)
			}
		case slices.Contains(mine, at):
			if at != b.Address {
				d.Note(b.At, "%s is part of %s in mqedge, which is written for both", b.Address, at)
			}
		default:
			d.Note(b.At, "%s is taken by %s of %v, mqedge has one listener for an address: left out%s", b.Address, at, taken, b.Else)
		}
	}
	return mine
}

// breadth is greater for a host that takes in others.
func breadth(host string) int {
	switch host {
	case "::":
		return 2
	case "0.0.0.0":
		return 1
	}
	return 0
}

// conflict returns who listens where bind would be refused, and the address that is in its way.
func (d *Draft) conflict(bind string) (*Place, string) {
	var found string
	for at := range d.taken {
		if (covers(at, bind) || covers(bind, at)) && (found == "" || at < found) {
			found = at
		}
	}
	if found == "" {
		return nil, ""
	}
	place := d.taken[found]
	return &place, found
}

// covers says whether a listener on a leaves no room for one on b.
func covers(a, b string) bool {
	aHost, aPort, _ := net.SplitHostPort(a)
	bHost, bPort, _ := net.SplitHostPort(b)
	switch {
	case aPort != bPort:
		return false
	case aHost == "::":
		return true
	case aHost == "0.0.0.0":
		return !strings.Contains(bHost, ":")
	}
	return SameHost(aHost) == SameHost(bHost)
}

// SameHost is one spelling of a host.
func SameHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	if host = strings.ToLower(host); host == "localhost" {
		return "127.0.0.1"
	}
	return host
}

// SameAddress is one spelling of host:port.
func SameAddress(a string) string {
	host, port, _ := net.SplitHostPort(a)
	return net.JoinHostPort(SameHost(host), port)
}

// mostPorts bounds a range of ports, each of which is an address in the result.
const mostPorts = 256

// PortRange reads a port, or two with a - between, and returns the addresses of a host with them: none if that is not
// what text is, or there are more than 256.
func PortRange(host, text string) []string {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, ok1 := Number(first)
	to, ok2 := Number(last)
	if !ok1 || !ok2 || from < 1 || to > 65535 || from > to || to-from >= mostPorts {
		return nil
	}
	var all []string
	for port := from; port <= to; port++ {
		all = append(all, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return all
}

// Ports returns the ports of addresses, as numbers.
func Ports(addresses []string) []int {
	var ports []int
	for _, a := range addresses {
		_, text, _ := net.SplitHostPort(a)
		port, _ := strconv.Atoi(text)
		ports = append(ports, port)
	}
	return ports
}
