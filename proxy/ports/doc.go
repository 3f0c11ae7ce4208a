// Package ports shares out the source ports of a host: which of its addresses a
// connection to an endpoint is to come from, so that none runs out of ports while
// another has some.
//
// A TCP connection is known by both its addresses and ports, so each pair of a
// source address and an endpoint has all the ports of the host's range to itself.
// A [Set] counts the connections of each pair. [Set.Take] picks the source that
// has fewest to the endpoint, [Use.Release] gives its port back, and [Use.Failed]
// says that the kernel had none, since others take ports too.
//
// The package opens no connection. It knows nothing of names, pools or
// configuration.
package ports
