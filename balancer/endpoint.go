package balancer

import "time"

// Endpoint is one address connections may be sent to, as configured or discovered.
type Endpoint struct {
	Addr           string // host:port; what an endpoint is known by
	Weight         uint32 // its share relative to the others; 0 means 1
	MaxConnections int    // 0 or less means no limit
	Backup         bool   // used only when no endpoint without it is available
	Source         string // where it was learnt, for people: "static"
}

// Policy is how an endpoint is chosen among the available ones. All policies are weighted.
type Policy string

const (
	// RoundRobin gives every endpoint its exact share over one cycle, spread evenly over the cycle.
	RoundRobin Policy = "round_robin"
	// LeastConn takes the endpoint with the fewest connections for its weight, and takes turns among equals.
	LeastConn Policy = "least_conn"
	// RandomTwo draws two endpoints and takes the one with fewer connections for its weight. It costs the same at any
	// number of endpoints, and independent edges that use it do not all rush to the same endpoint.
	RandomTwo Policy = "random_two"
	// Hash keeps the connections of one [PickInfo].Key together: on every edge that knows the same endpoints, in any order,
	// it takes the same one, and after a failure the same next one. An endpoint that goes away moves only its own keys,
	// and they return with it. What has no key goes by RandomTwo.
	Hash Policy = "hash"
)

// Options is what may change on reload. The zero value is least_conn without passive health.
type Options struct {
	Policy      Policy        // empty or unknown means LeastConn
	MaxFails    int           // failures within FailTimeout that eject an endpoint; 0 or less turns passive health off
	FailTimeout time.Duration // both the window of MaxFails and the first time out; 0 or less means 10 s, as in nginx

	// MaxEjected is how many percent of the endpoints may be out when one is ejected for refusing connections or for being
	// slow, since those are signs of overload too, which fewer endpoints make worse. What cannot be reached is ejected all
	// the same. 0 or less means 50.
	MaxEjected int

	// BalanceFactor is how many times its fair share of the connections an endpoint may have before Hash passes it over.
	// Small shares may be exceeded by more, as far as chance goes: at 1.25 by 64 connections. Up to 1 means 1.25.
	BalanceFactor float64

	SlowStart SlowStart

	// OnChange hears of every endpoint that health takes out of use and of every return. It is called without any lock held on the goroutine that
	// reported a connection or changed the pool, so it must not block; calls may overlap.
	OnChange func(Change)
}

// Change is one endpoint going out of use, being out for another reason, or coming back.
type Change struct {
	Upstream string
	Address  string
	Up       bool // it is in use
	Reason   string
}

func (o Options) withDefaults() Options {
	switch o.Policy {
	case RoundRobin, LeastConn, RandomTwo, Hash:
	default:
		o.Policy = LeastConn
	}
	if o.FailTimeout <= 0 {
		o.FailTimeout = 10 * time.Second
	}
	if o.MaxEjected <= 0 {
		o.MaxEjected = 50
	}
	if !(o.BalanceFactor > 1) {
		o.BalanceFactor = 1.25
	}
	o.MaxFails = max(o.MaxFails, 0)
	return o
}
