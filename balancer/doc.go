// Package balancer holds the endpoints of an upstream, judges their health and picks one for each connection.
//
// A [Pool] is told whole sets of endpoints ([Pool.Update]) and answers [Pool.Pick] with a [Lease]: the right to one
// connection to one endpoint, whose fate the caller reports with [Lease.Established], [Lease.Answered] and [Lease.Done].
// Beside these reports, passive health, it can be told by probes, active health: [Pool.Check] asks a [Prober] that the
// caller brings. Nothing else in the package starts a goroutine or sets a timer, and nothing opens a connection.
//
// Pick asks, in this order:
//
//  1. the primary endpoints, by the pool's policy;
//  2. the backup endpoints, when no primary is available;
//  3. the same once more without regard to slow start;
//  4. all of that without regard to doubts;
//  5. the endpoints that health keeps from use, when there is no other kind: a pool whose endpoints all look dead tries
//     them all rather than none, because a wrong judgement would otherwise be a whole outage.
//
// An endpoint is available unless it is drained by hand, at its MaxConnections, among those the caller avoids, kept from
// use by health, in doubt if it is for a retry, or at the pace of its slow start. The first three hold in step 5 too.
//
// # Hash
//
// [Hash] is weighted rendezvous hashing of [PickInfo].Key over the available endpoints: no table and no agreement is
// needed for every edge to choose alike. An endpoint with more than BalanceFactor times its fair share of the
// connections is passed over in the key's own order, unless all are.
//
// # Passive health
//
// Ejection is nginx's max_fails and fail_timeout as nginx documents them: MaxFails failures within FailTimeout put an
// endpoint out for FailTimeout; then one connection per FailTimeout is let through, the trial, and its success brings
// the endpoint back. A success does not erase earlier failures: they lapse by age. The only endpoint of a pool is never
// ejected. When the first endpoint comes back after all were out, the others may be tried at once, so that it does
// not have to carry everybody until their time has come.
//
// Beyond nginx, an endpoint is ejected too when its answers take much longer than those of the others. The time out
// doubles with each failed trial and each further ejection, up to 10 minutes, until the endpoint was in use for
// 10 minutes. And no more than MaxEjected percent go out for refusing or for being slow.
//
// # Doubt
//
// One failure puts an endpoint in doubt for a second, or until it works: a connection that has failed elsewhere goes there only where
// there is no other endpoint. For where several endpoints die together, health has taken none of them out yet, and they
// have the fewest connections: without it clients would use up their tries on them. Nor are retries the trials of ejected endpoints.
// First attempts do not mind a doubt, so that a dead endpoint has its MaxFails failures as soon as ever. Without passive health nothing is doubted.
//
// # Active health
//
// An endpoint is down after Fall failed probes in a row and up after Rise successful ones. One that answers that it
// wants no new connections ([Draining]) gets none until a probe succeeds; that is apart from draining by hand, which
// only a hand undoes. Ejection and the check do not overrule each other, except that successful probes bring the
// trial of an endpoint forward that was ejected because it could not be reached.
//
// # What others say
//
// [Pool.Opinions] is what others may be told of the endpoints, and [Pool.Corroborate] is for what they say: that alone takes no
// endpoint out of use, but with it one failed probe does.
//
// # Slow start
//
// An endpoint that appears while others serve, or comes back, gets a limited number of connections a second for a while.
//
// Everything Pick reads is an immutable snapshot behind an atomic pointer plus atomic counters in the endpoints, so it
// takes no lock and allocates nothing. Update, Configure, SetDraining and SetDrains build a new snapshot under a lock.
//
// The package knows nothing of sockets, protocols, configuration files or where endpoints come from.
package balancer
