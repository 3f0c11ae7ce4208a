package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// addresses looks whether each address can be listened on, and whether this host
// has those that connections are to come from.
func addresses(s subject) []Finding {
	var out []Finding
	for _, b := range s.needs.binds {
		if f, found := refused(b, s.host); found {
			out = append(out, f)
		}
		ipv6Off, _ := s.host.number("net.ipv6.conf.all.disable_ipv6")
		if ipv6Off == 1 && b.host == netip.IPv6Unspecified() && b.address[0] == '[' {
			out = append(out, Finding{
				Severity: Warning, What: fmt.Sprintf("%s: %s has IPv4 only, as IPv6 is disabled", b.key, b.address),
				Why:     fmt.Sprintf("Write 0.0.0.0:%d if that is meant.", b.port),
				Sysctls: []Setting{{"net.ipv6.conf.all.disable_ipv6", "0"}},
			})
		}
	}
	for _, u := range s.needs.upstreams {
		for i, text := range u.config.SourceAddresses {
			a, err := netip.ParseAddr(text)
			if err == nil && !s.host.has(a) {
				out = append(out, Finding{
					Severity: Error, What: fmt.Sprintf("upstreams.%s.source_addresses[%d]: this host has no address %s", u.name, i, a),
					Why: "mqedge does not start with it.", Commands: []string{fmt.Sprintf("ip address add %s/%d dev eth0", a, a.BitLen())},
				})
			}
		}
	}
	return out
}

// refused says why the kernel would not let mqedge listen.
func refused(b bind, h *Host) (Finding, bool) {
	err := h.Binds[b.address]
	f := Finding{Severity: Error, What: fmt.Sprintf("%s: cannot listen on %s", b.key, b.address)}
	switch {
	case err == nil:
		return privileged(b, h)
	case errors.Is(err, syscall.EADDRINUSE):
		return taken(b, h), true
	case errors.Is(err, syscall.EACCES):
		f.What += ", a port that needs a privilege"
		f.Why = "Ports below net.ipv4.ip_unprivileged_port_start are for root and who has CAP_NET_BIND_SERVICE. Give mqedge that, or lower the border."
		f.Commands = append(dropIn("ports", "AmbientCapabilities=CAP_NET_BIND_SERVICE"), fmt.Sprintf("sysctl -w net.ipv4.ip_unprivileged_port_start=%d", b.port))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		f.What += ", which is no address of this host"
		f.Why = "See which it has, or add it."
		f.Commands = []string{"ip address"}
	case errors.Is(err, syscall.EAFNOSUPPORT):
		f.What += ", as this host has no IPv6"
		f.Why = fmt.Sprintf("Write 0.0.0.0:%d, or start the kernel without ipv6.disable.", b.port)
	default:
		f.Why = fmt.Sprintf("The kernel says: %v.", err)
	}
	return f, true
}

// privileged tells root of a port that mqedge needs a privilege for when it is not root.
func privileged(b bind, h *Host) (Finding, bool) {
	border, ok := h.number("net.ipv4.ip_unprivileged_port_start")
	if !ok || b.port == 0 || b.port >= border || !h.Root {
		return Finding{}, false
	}
	return Finding{
		Severity: Note, What: fmt.Sprintf("%s: port %d is for root and who has CAP_NET_BIND_SERVICE", b.key, b.port),
		Why: "You are root, and mqedge may not be.", Commands: dropIn("ports", "AmbientCapabilities=CAP_NET_BIND_SERVICE"),
	}, true
}

// taken says who has a port. A running mqedge is no mistake.
func taken(b bind, h *Host) Finding {
	f := Finding{
		Severity: Error, What: fmt.Sprintf("%s: port %d is taken", b.key, b.port),
		Commands: []string{fmt.Sprintf("ss -tanp 'sport = :%d'", b.port)},
	}
	holder, found := Socket{}, false
	for _, s := range h.Sockets {
		if b.covers(s) && (!found || s.Listen && !holder.Listen) {
			holder, found = s, true
		}
	}
	p, known := h.process(holder.PID)
	switch {
	case !found:
		f.Why = "Another process has it; see which, and stop it or choose another port."
	case known && p.Name == mqedgeName:
		return Finding{Severity: Note, What: fmt.Sprintf("%s: mqedge runs already (pid %d) and has port %d", b.key, p.PID, b.port)}
	case !holder.Listen:
		f.Why = fmt.Sprintf("A connection from %s has it, of %s. It will be free when that ends; %s keeps others from taking it.", holder.Local, who(p, known), reservedKey)
	default:
		f.Why = fmt.Sprintf("%s is where %s listens. Stop that, or choose another port.", holder.Local, who(p, known))
	}
	return f
}

func who(p Process, known bool) string {
	if !known {
		return "a process of another user (ask as root)"
	}
	return p.String()
}
