package balancer_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/balancer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var policies = []balancer.Policy{balancer.RoundRobin, balancer.LeastConn, balancer.RandomTwo, balancer.Hash}

// eachPolicy runs a test that must hold whatever the policy.
func eachPolicy(t *testing.T, test func(*testing.T, balancer.Policy)) {
	for _, policy := range policies {
		t.Run(string(policy), func(t *testing.T) { test(t, policy) })
	}
}

// endpoints are named A, B, C, … with the given weights.
func endpoints(weights ...uint32) []balancer.Endpoint {
	set := make([]balancer.Endpoint, len(weights))
	for i, w := range weights {
		set[i] = balancer.Endpoint{Addr: string(rune('A' + i)), Weight: w, Source: "static"}
	}
	return set
}

func numbered(n int) []balancer.Endpoint {
	set := make([]balancer.Endpoint, n)
	for i := range set {
		set[i] = balancer.Endpoint{Addr: fmt.Sprintf("10.0.%d.%d:1883", i/256, i%256)}
	}
	return set
}

func newPool(o balancer.Options, set []balancer.Endpoint) *balancer.Pool {
	p := balancer.New("emqx", o)
	p.Update(set)
	return p
}

func pick(t testing.TB, p *balancer.Pool, avoid ...balancer.NodeID) balancer.Lease {
	t.Helper()
	l, err := p.Pick(balancer.PickInfo{Avoid: avoid})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustFindNone(t testing.TB, p *balancer.Pool, avoid ...balancer.NodeID) {
	t.Helper()
	if l, err := p.Pick(balancer.PickInfo{Avoid: avoid}); err != balancer.ErrNoEndpoint {
		t.Fatalf("picked %q, %v; want ErrNoEndpoint", l.Addr(), err)
	}
}

// serve picks n times, each connection over before the next, and counts by address.
func serve(t testing.TB, p *balancer.Pool, n int) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for range n {
		l := pick(t, p)
		counts[l.Addr()]++
		l.Done(balancer.Served)
	}
	return counts
}

// fill picks n times, every connection staying, and counts by address.
func fill(t testing.TB, p *balancer.Pool, n int) (map[string]int, []balancer.Lease) {
	t.Helper()
	counts := make(map[string]int)
	var leases []balancer.Lease
	for range n {
		l := pick(t, p)
		counts[l.Addr()]++
		leases = append(leases, l)
	}
	return counts, leases
}

// takeAt opens a connection to addr, which picks may have reasons to avoid.
func takeAt(t testing.TB, p *balancer.Pool, addr string) balancer.Lease {
	t.Helper()
	for _, m := range p.Members() {
		if m.Addr != addr {
			continue
		}
		l, err := p.Take(m.ID)
		if err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		return l
	}
	t.Fatalf("%s is no endpoint", addr)
	return balancer.Lease{}
}

// failAt opens n connections to addr that fail.
func failAt(t testing.TB, p *balancer.Pool, addr string, n int, err error) {
	t.Helper()
	for range n {
		l := takeAt(t, p, addr)
		l.DoneError(balancer.ConnectFailed, err)
	}
}

func status(t testing.TB, p *balancer.Pool, addr string) balancer.EndpointStatus {
	t.Helper()
	for _, e := range p.Status().Endpoints {
		if e.Address == addr {
			return e
		}
	}
	t.Fatalf("no endpoint %q in the status", addr)
	return balancer.EndpointStatus{}
}
