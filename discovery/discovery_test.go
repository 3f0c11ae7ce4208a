package discovery_test

import (
	"slices"
	"testing"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/discovery"
)

func set(source string, addrs ...string) []balancer.Endpoint {
	var all []balancer.Endpoint
	for _, a := range addrs {
		all = append(all, balancer.Endpoint{Addr: a, Source: source})
	}
	return all
}

func TestMergedSetsKeepTheirOrderAndTheFirstOfEachAddress(t *testing.T) {
	static, gossip := set("static", "a", "b"), set("gossip", "d", "a")
	for _, c := range []struct{ dns, want []balancer.Endpoint }{
		{nil, slices.Concat(static, set("gossip", "d"))},
		{set("dns", "c", "d"), slices.Concat(static, set("dns", "c", "d"))},
	} {
		if got := discovery.Merge(static, c.dns, gossip); !slices.Equal(got, c.want) {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
}
