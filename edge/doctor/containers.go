package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/mqedge/mqedge/discovery/docker"
)

const longestLook = 10 * time.Second

// Engine is what a container engine said.
type Engine struct {
	Err        error // why it said nothing
	Containers []docker.Container
}

// look asks the Engine that gossip.docker names, if it does.
func (h *Host) look(ctx context.Context, o Options) {
	if o.Config == nil || o.Config.Gossip == nil || o.Config.Gossip.Docker == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, longestLook)
	defer cancel()
	h.Engine = &Engine{}
	h.Engine.Containers, h.Engine.Err = docker.Look(ctx, docker.Options{Socket: o.Config.Gossip.Docker.Socket})
}

// containers looks at those that are to be announced.
func containers(s subject) []Finding {
	if err := s.host.Engine.Err; err != nil {
		return []Finding{{
			Severity: Error, What: "no container is announced, since the Docker Engine cannot be asked",
			Why: fmt.Sprintf("gossip.docker.socket: %v.", err),
		}}
	}
	f := Finding{Severity: Warning, What: "containers have labels, and cannot be announced", Why: "A label can only be changed by making the container anew."}
	meaningless := Finding{Severity: Note, What: "containers have labels that mean nothing"}
	for _, c := range s.host.Engine.Containers {
		if c.Wrong {
			f.Details = append(f.Details, c.Name+": "+c.Reason)
		}
		for _, w := range c.Warnings {
			meaningless.Details = append(meaningless.Details, c.Name+": "+w)
		}
	}
	var out []Finding
	for _, f := range []Finding{f, meaningless} {
		if len(f.Details) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// containerServers are the ports that containers with the host's network listen on. Those that Docker publishes it takes itself, often any.
func (h *Host) containerServers() []server {
	if h.Engine == nil {
		return nil
	}
	var out []server
	for _, c := range h.Engine.Containers {
		if !c.OnHost {
			continue
		}
		for _, o := range c.Offers {
			host, port, err := net.SplitHostPort(o.Addr)
			if err != nil {
				continue
			}
			if addr, err := netip.ParseAddr(cmp.Or(host, "127.0.0.1")); err == nil && h.has(addr) {
				n, _ := strconv.Atoi(port)
				out = append(out, server{n, "container " + c.Name, true})
			}
		}
	}
	return out
}
