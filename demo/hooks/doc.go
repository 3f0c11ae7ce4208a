// Package hooks is both ends of EMQX's ExHook (emqx.exhook.v2), small: a [Provider] is a hook server, and a [Node] makes
// the calls that a node of EMQX makes. Both are plain gRPC, with google.golang.org/grpc.
//
// A provider registers client.authenticate, client.connected and message.publish; it lets everybody in and every message
// through. It is strict about the one rule that a load balancer between the two can break: a node's OnProviderLoaded comes
// before any other call of that node. A node looks into each answer and says what it was worth.
//
// The package knows nothing of mqedge.
package hooks
