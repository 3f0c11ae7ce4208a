// Package balancer holds the endpoints of an upstream, judges their health and picks one for each connection.
//
// A [Pool] is told whole sets of endpoints ([Pool.Update]) and answers [Pool.Pick] with a [Lease]: the right to one
// connection to one endpoint, whose fate the caller reports with [Lease.Established] and [Lease.Done]. That report is
// all the pool knows of health: it opens no connection, starts no goroutine and sets no timer.
//
// Pick asks, in this order:
//
//  1. the primary endpoints, by the pool's policy;
//  2. the backup endpoints, when no primary is available;
//  3. the ejected endpoints, when there is no other kind: a pool whose endpoints all look dead tries them all rather
//     than none, because a wrong judgement would otherwise be a whole outage.
//
// An endpoint is available unless it is drained by hand, at its MaxConnections, among those the caller avoids, or
// ejected. The first three hold in step 3 too.
//
// Ejection is nginx's max_fails and fail_timeout as nginx documents them: MaxFails failures within FailTimeout put an
// endpoint out for FailTimeout; then one connection per FailTimeout is let through, and its success brings the endpoint
// back. A success does not erase earlier failures: they lapse by age. The only endpoint of a pool is never ejected.
// When the first endpoint comes back after all were out, the others may be tried at once, so that it does not
// have to carry everybody until their time has come.
//
// Everything Pick reads is an immutable snapshot behind an atomic pointer plus atomic counters in the endpoints, so it
// takes no lock and allocates nothing. Update, Configure and SetDraining build a new snapshot under a lock.
//
// The package knows nothing of sockets, protocols, configuration files or where endpoints come from.
package balancer
