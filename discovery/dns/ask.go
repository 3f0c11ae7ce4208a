package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/mqedge/mqedge/balancer"
)

var errEmpty = errors.New("the answer has no usable address")

// ask returns the endpoints of one answer, in order. With SRV there may be endpoints and an error, when some of the
// targets could not be resolved: targets remembers what they last resolved to.
func (s *Source) ask(ctx context.Context, targets map[string][]string) (endpoints []balancer.Endpoint, err error) {
	if s.o.Type == A {
		ips, err := s.lookup(ctx, s.o.Name)
		if err != nil {
			return nil, err
		}
		for _, ip := range ips {
			endpoints = append(endpoints, endpoint(ip, s.o.Port, 1, false))
		}
	} else if endpoints, err = s.askService(ctx, targets); len(endpoints) == 0 {
		return nil, cmp.Or(err, errEmpty)
	}
	slices.SortFunc(endpoints, order)
	endpoints = slices.CompactFunc(endpoints, func(a, b balancer.Endpoint) bool { return a.Addr == b.Addr })
	if len(endpoints) > mostEndpoints {
		endpoints = endpoints[:mostEndpoints]
		err = fmt.Errorf("more than %d endpoints; the first are used", mostEndpoints)
	}
	return endpoints, err
}

func (s *Source) askService(ctx context.Context, targets map[string][]string) (endpoints []balancer.Endpoint, err error) {
	_, records, failure := s.resolver.LookupSRV(ctx, "", "", s.o.Name)
	if len(records) == 0 {
		return nil, reason(failure)
	}
	best := slices.MinFunc(records, func(a, b *net.SRV) int { return cmp.Compare(a.Priority, b.Priority) }).Priority
	current := make(map[string]bool)
	for _, r := range records {
		if r.Port == 0 || r.Target == "." { // RFC 2782: the service is decidedly not available
			continue
		}
		current[r.Target] = true
		ips, failure := s.lookup(ctx, r.Target)
		if failure == nil {
			targets[r.Target] = ips
		} else {
			err = fmt.Errorf("%s: %w", strings.TrimSuffix(r.Target, "."), failure)
		}
		for _, ip := range targets[r.Target] {
			endpoints = append(endpoints, endpoint(ip, r.Port, max(uint32(r.Weight), 1), r.Priority != best))
		}
	}
	for target := range targets {
		if !current[target] {
			delete(targets, target)
		}
	}
	return endpoints, err
}

// lookup returns at least one address or an error.
func (s *Source) lookup(ctx context.Context, name string) ([]string, error) {
	found, err := s.resolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, reason(err)
	}
	var ips []string
	for _, ip := range found {
		ip = ip.Unmap()
		if !ip.IsUnspecified() && !ip.IsMulticast() {
			ips = append(ips, ip.String())
		}
	}
	if len(ips) == 0 {
		return nil, errEmpty
	}
	return ips, nil
}

func endpoint(ip string, port uint16, weight uint32, backup bool) balancer.Endpoint {
	addr := netip.AddrPortFrom(netip.MustParseAddr(ip), port)
	return balancer.Endpoint{Addr: addr.String(), Weight: weight, Backup: backup, Source: "dns"}
}

// order puts primaries first, so that of one address in two priorities the better one counts.
func order(a, b balancer.Endpoint) int {
	if a.Backup != b.Backup {
		if b.Backup {
			return -1
		}
		return 1
	}
	return cmp.Or(netip.MustParseAddrPort(a.Addr).Compare(netip.MustParseAddrPort(b.Addr)), cmp.Compare(b.Weight, a.Weight))
}

// reason leaves out the ports and ids that differ from failure to failure, so that the same failure is the same text.
func reason(err error) error {
	dnsError, ok := errors.AsType[*net.DNSError](err)
	switch {
	case err == nil:
		return errEmpty
	case !ok:
		return err
	case dnsError.IsNotFound:
		return errors.New("no such name, or it has no such records")
	case dnsError.IsTimeout:
		return errors.New("no answer in time")
	}
	text := dnsError.Err
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return errors.New(text)
}
