package discovery

import "github.com/mqedge/mqedge/balancer"

// Merge is what sets of endpoints are together, in their order; of an address that is in several, the first one's endpoint
// counts.
func Merge(sets ...[]balancer.Endpoint) []balancer.Endpoint {
	var all []balancer.Endpoint
	seen := make(map[string]bool)
	for _, endpoints := range sets {
		for _, e := range endpoints {
			if !seen[e.Addr] {
				seen[e.Addr] = true
				all = append(all, e)
			}
		}
	}
	return all
}
