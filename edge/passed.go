package edge

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
)

// role is what a socket is for that this process was given.
type role string

const (
	toListeners role = "listener"
	toAdmin     role = "admin"
	toStreams   role = "gossip tcp"
	toPackets   role = "gossip udp"
	toAny       role = "systemd" // a listener or the admin address: whichever it fits
)

// ownerAdmin is how the socket for the admin address is named in a socket unit. A listener of that name comes first.
const ownerAdmin = "admin"

// passed is a socket that this process was given by the one before it, which counts for the first configuration alone, or by
// systemd, which holds it for as long as the process lives.
type passed struct {
	role role
	key  string // what it was known by before; the name that systemd gave it
	addr string // where it listens; empty: it is no listening TCP socket
	file *os.File
}

// newPassed looks at what a socket is.
func newPassed(r role, key string, file *os.File) *passed {
	p := &passed{role: r, key: key, file: file}
	l, err := net.FileListener(file)
	if err != nil {
		return p
	}
	defer l.Close()
	if tcp, ok := l.(*net.TCPListener); ok {
		p.addr = tcp.Addr().String()
	}
	return p
}

// listen returns a listener of its own on the socket.
func (p *passed) listen() (*net.TCPListener, error) {
	l, err := net.FileListener(p.file)
	if err != nil {
		return nil, fmt.Errorf("the socket %s that was passed for %s: %w", p.addr, p.key, err)
	}
	return l.(*net.TCPListener), nil
}

// passedTo finds the socket that was passed for an address, or nil: the one with this key before, or of systemd the one that
// has the address, or else the name of its owner, if possible with the port.
func (e *Edge) passedTo(r role, owner, key, addr string, taken []*passed) *passed {
	find := func(fits func(*passed) bool) *passed {
		i := slices.IndexFunc(e.passed, func(p *passed) bool { return p.addr != "" && !slices.Contains(taken, p) && fits(p) })
		if i < 0 {
			return nil
		}
		return e.passed[i]
	}
	for _, fits := range []func(*passed) bool{
		func(p *passed) bool { return p.role == r && (p.key == key || p.addr == addr) },
		func(p *passed) bool { return p.role == toAny && sameAddress(p.addr, addr) },
		func(p *passed) bool { return p.role == toAny && p.key == owner && samePort(p.addr, addr) },
		func(p *passed) bool { return p.role == toAny && p.key == owner },
	} {
		if p := find(fits); p != nil {
			return p
		}
	}
	return nil
}

// file returns the one that was passed for a part of gossip, or nil.
func (e *Edge) passedFile(r role, key string) *os.File {
	for _, p := range e.passed {
		if p.role == r && p.key == key {
			return p.file
		}
	}
	return nil
}

func sameAddress(a, b string) bool {
	x, err := netip.ParseAddrPort(a)
	y, err2 := netip.ParseAddrPort(b)
	return a == b || err == nil && err2 == nil && x == y
}

func samePort(a, b string) bool {
	_, x, err := net.SplitHostPort(a)
	_, y, err2 := net.SplitHostPort(b)
	return err == nil && err2 == nil && x == y
}

// inUse are the passed sockets that the generation has.
func (g *generation) inUse() []*passed {
	var out []*passed
	for _, s := range g.sockets {
		if s.from != nil {
			out = append(out, s.from)
		}
	}
	if g.admin != nil && g.admin.from != nil {
		out = append(out, g.admin.from)
	}
	return out
}

// settlePassed closes what the process before passed: the first configuration has what it needs of it. Of systemd's sockets it
// says which nobody uses, since their clients wait for an answer that never comes.
func (e *Edge) settlePassed(g *generation) {
	used := g.inUse()
	e.passed = slices.DeleteFunc(e.passed, func(p *passed) bool {
		if p.role == toAny {
			return false
		}
		if !slices.Contains(used, p) && p.role == toListeners {
			e.log.Info("the address of the process before is not listened on any more", "address", p.addr)
		}
		p.file.Close()
		return true
	})
	for _, p := range e.passed {
		switch {
		case slices.Contains(used, p):
		case p.addr == "":
			e.log.Warn("a socket that systemd passed is of no use: only TCP sockets are, of ListenStream=ADDRESS:PORT", "name", p.key)
		default:
			e.log.Warn("a socket that systemd passed is not used, and its clients wait in vain: name it after a listener in the socket unit (FileDescriptorName=), give a listener its address, or take it out of the unit",
				"name", p.key, "address", p.addr)
		}
	}
}
