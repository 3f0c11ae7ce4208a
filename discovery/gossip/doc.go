// Package gossip lets edges and agents find each other and tell each other which endpoints exist, without a server in
// the middle. It uses hashicorp/memberlist for membership and for moving bytes.
//
// # Who says what
//
// A [Node] announces a set of endpoints ([Node.Announce]) and learns the sets of all other nodes. A set belongs to the
// node that announced it and has a sequence number; a receiver keeps the newest. A change travels as a delta in one
// packet, relayed from node to node. What does not fit is only announced by number, and whoever lacks it asks a
// member for the whole set over a stream. The regular exchanges of memberlist carry all sets while they are small, and only
// their numbers when they are not, so whatever was lost is found and fetched.
//
// # What a receiver makes of it
//
// An endpoint of a service is known by its address. It is
//
//   - present while a live member announces it;
//   - suspected when all that announced it are dead or not heard of: gossip is not sure, and it stays in the pool;
//   - left, for a minute, when all that announced it withdrew it or left. It is not in the pool any more.
//
// A suspected endpoint goes when the data path agrees ([Node.Failed]) or when [Options].SuspectLimit has passed
// without [Node.Works]; both only while the service has an endpoint that is present. So silence never empties a pool.
//
// Of several announcements of one endpoint the health counts that is said first in: draining, up, down. Weight, tags and
// facts are those of the announcer with the smallest name among the live ones that say so.
//
// Changes are published in batches. An endpoint that comes and goes several times within a minute is held back until it was
// there for a while, unless there is no other. Going takes effect at once, always.
//
// # Facts
//
// Beside endpoints, nodes share small facts ([Node.Share]): the last writer of a key wins, and every fact ends.
//
// # Trust
//
// Whoever has the key can say anything. Even so every message is bounded and checked, and an address that no
// endpoint can have, or that is outside of [Options].Allow, is refused, counted and named.
//
// The package knows nothing of configuration files, pools and health checks.
package gossip
