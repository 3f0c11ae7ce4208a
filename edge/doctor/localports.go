package doctor

import (
	"fmt"
	"slices"
)

// server is a port that somebody on this host listens on, or is going to.
type server struct {
	port    int
	who     string // the key, or the process
	running bool   // found on the host
}

// servers are the ports of the configuration that are on this host, of labelled containers, and those of EMQX.
func servers(s subject) []server {
	var out []server
	for _, b := range s.needs.binds {
		out = append(out, server{b.port, b.key, false})
	}
	for _, e := range s.needs.local(s.host) {
		out = append(out, server{e.port, e.key, false})
	}
	for _, u := range s.needs.upstreams {
		active := u.config.Health.Active
		if active.Type != "none" && active.Port != 0 && slices.ContainsFunc(u.endpoints, func(e endpoint) bool { return e.here(s.host) }) {
			out = append(out, server{active.Port, "upstreams." + u.name + ".health.active.port", false})
		}
	}
	out = append(out, s.host.containerServers()...)
	for _, socket := range s.host.Sockets {
		p, known := s.host.process(socket.PID)
		if socket.Listen && known && p.isEMQX() {
			out = append(out, server{int(socket.Local.Port()), p.String(), true})
		}
	}
	return out
}

func ports(s subject) []Finding { return append(heldPorts(s), localPorts(s)...) }

// heldPorts looks for ports of endpoints on this host at which nobody listens and
// that a connection has: a server that starts now would fail.
func heldPorts(s subject) []Finding {
	var out []Finding
	named := make(map[int]bool)
	for _, e := range s.needs.local(s.host) {
		at := func(listen bool) int {
			return slices.IndexFunc(s.host.Sockets, func(x Socket) bool { return int(x.Local.Port()) == e.port && x.Listen == listen })
		}
		i := at(false)
		if i < 0 || at(true) >= 0 || named[e.port] {
			continue
		}
		named[e.port] = true
		holder := s.host.Sockets[i]
		p, known := s.host.process(holder.PID)
		out = append(out, Finding{
			Severity: Error, What: fmt.Sprintf("%s: nobody listens on port %d, and a connection has it", e.key, e.port),
			Why: fmt.Sprintf("It is one from %s, of %s: whoever is to listen there cannot until it ends. %s keeps the kernel from giving the port away again.",
				holder.Local, who(p, known), reservedKey),
			Commands: []string{fmt.Sprintf("ss -tanp 'sport = :%d'", e.port)},
		})
	}
	return out
}

// localPorts looks for ports of servers that the kernel may give to outgoing
// connections.
func localPorts(s subject) []Finding {
	now, better, ok := rangeOf(s)
	if !ok {
		return nil
	}
	reserved := parsePorts(s.host.Sysctls[reservedKey])
	var found []int
	var details []string
	for _, v := range servers(s) {
		if v.port == 0 || reserved.has(v.port) || !now.has(v.port) && !better.has(v.port) {
			continue
		}
		if v.running && slices.Contains(found, v.port) {
			continue // its key was named already
		}
		found = append(found, v.port)
		details = append(details, fmt.Sprintf("%-5d  %s", v.port, v.who))
	}
	if len(found) == 0 {
		return nil
	}
	const which = "The kernel gives ports of net.ipv4.ip_local_port_range, %s, to outgoing connections. A server that starts, or restarts, while one has its port cannot listen."
	f := Finding{
		Severity: Warning,
		What:     "outgoing connections may take ports that servers of this host listen on",
		Why:      fmt.Sprintf(which, now),
		Details:  details,
		Sysctls:  []Setting{{reservedKey, reserved.with(found...).String()}},
	}
	if !slices.ContainsFunc(found, now.has) {
		f.What = "with the wider range of source ports, " + f.What
		f.Why = fmt.Sprintf(which, better)
		f.Severity = Note
	}
	return []Finding{f}
}
