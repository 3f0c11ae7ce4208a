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
)

// Options is what may change on reload. The zero value is least_conn without passive health.
type Options struct {
	Policy      Policy        // empty or unknown means LeastConn
	MaxFails    int           // failures within FailTimeout that eject an endpoint; 0 or less turns passive health off
	FailTimeout time.Duration // both the window of MaxFails and the time out; 0 or less means 10 s, as in nginx

	// OnChange hears of every ejection and every return. It is called without any lock held on the goroutine that
	// reported a connection or changed the pool, so it must not block; calls may overlap.
	OnChange func(Change)
}

// Change is one endpoint going out of use or coming back.
type Change struct {
	Upstream string
	Address  string
	Up       bool
	Reason   string
}

const defaultFailTimeout = 10 * time.Second

func (o Options) withDefaults() Options {
	switch o.Policy {
	case RoundRobin, LeastConn, RandomTwo:
	default:
		o.Policy = LeastConn
	}
	if o.FailTimeout <= 0 {
		o.FailTimeout = defaultFailTimeout
	}
	o.MaxFails = max(o.MaxFails, 0)
	return o
}
