package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/balancer/probe"
)

// endpoints tells what came of asking them.
func endpoints(s subject) []Finding {
	var out []Finding
	for _, u := range s.needs.upstreams {
		var failed, disagree, drain []string
		expects := false
		for _, e := range u.endpoints {
			err := s.host.Endpoints[e.key]
			if err == nil {
				continue
			}
			mismatch, disagrees := errors.AsType[*probe.ProxyMismatch](err)
			_, drains := errors.AsType[balancer.Draining](err)
			switch {
			case disagrees:
				disagree = append(disagree, e.address)
				expects = mismatch.Expects
			case drains:
				drain = append(drain, fmt.Sprintf("%s  %v", e.address, err))
			default:
				failed = append(failed, fmt.Sprintf("%s  %s", e.address, cause(err)))
			}
		}
		if failed != nil {
			f := Finding{
				Severity: Warning, What: fmt.Sprintf("upstream %s: %d of %s cannot be used", u.name, len(failed), plural(len(u.endpoints), "endpoint")),
				Why: "mqedge tries the others, and asks again.", Details: failed,
			}
			if len(failed) == len(u.endpoints) {
				f.Severity = Error
				f.What = fmt.Sprintf("upstream %s: none of its endpoints can be used", u.name)
				f.Why = "Every client would be refused."
			}
			out = append(out, f)
		}
		if disagree != nil {
			out = append(out, mismatched(u, disagree, expects))
		}
		if drain != nil {
			out = append(out, Finding{
				Severity: Note, What: fmt.Sprintf("upstream %s: %d of %s want no new clients", u.name, len(drain), plural(len(u.endpoints), "endpoint")), Details: drain,
			})
		}
	}
	return out
}

// mismatched is the finding that one side alone speaks PROXY protocol.
func mismatched(u upstream, addresses []string, expects bool) Finding {
	f := Finding{Severity: Error, Details: addresses}
	if expects {
		f.What = fmt.Sprintf("upstream %s: endpoints expect a PROXY header, but send_proxy is off", u.name)
		f.Why = fmt.Sprintf("No client would get a CONNACK. Write send_proxy: v2 under upstreams.%s.", u.name)
		return f
	}
	f.What = fmt.Sprintf("upstream %s: endpoints do not expect the PROXY header that send_proxy: %s sends", u.name, u.config.SendProxy)
	f.Why = "No client would get a CONNACK. Switch it on in EMQX for this listener, or write send_proxy: \"off\" and lose the addresses of the clients."
	f.Commands = []string{"docker run -e EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true …"}
	return f
}

// cause says in words what an operator can look for.
func cause(err error) string {
	noName, isName := errors.AsType[*net.DNSError](err)
	op, inOperation := errors.AsType[*net.OpError](err)
	switch {
	case isName:
		return "the name cannot be resolved: " + noName.Err
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused: nothing listens there"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to it"
	case errors.Is(err, context.DeadlineExceeded), inOperation && op.Timeout():
		return fmt.Sprintf("no answer within %v: it hangs, or a firewall drops the packets", longestAsk)
	case inOperation:
		return op.Err.Error()
	}
	return err.Error()
}
