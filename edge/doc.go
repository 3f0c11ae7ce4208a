// Package edge makes a running process of a configuration and is the only one,
// besides the command, that sees both.
//
// A configuration becomes a generation. Preparing one may fail and touches
// nothing that is live: it opens what is missing, loads certificates and
// translates settings. Committing it cannot fail: pools, listeners, sockets and
// counters that go on under the same name are carried over, live connections
// stay. The first start is a reload with nothing before it.
//
// Ending is a drain: not ready, a delay for load balancers to notice, no more
// connections accepted, the live ones closed evenly over a time, the rest at a
// deadline.
//
// An upgrade is both: another process makes its first generation with the sockets
// of this one and what this one knew, and once that serves this one drains.
package edge
