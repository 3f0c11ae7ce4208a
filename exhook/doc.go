// Package exhook balances gRPC calls over providers, each call by itself, and knows what the calls of EMQX's ExHook mean.
//
// An [Upstream] decides for a group of package grpcrelay, which carries the bytes, where each call goes. Of a pool of
// package balancer it keeps one connection to each endpoint, a link.
//
// Any gRPC call goes to an endpoint that the pool picks, and to another when the first has surely not acted on it. Beyond
// that, where [Settings.Hooks] is set:
//
//   - OnProviderLoaded goes to every provider, also to one that comes later, before it gets any other call of that EMQX
//     node; EMQX gets the merged answer, in time also when providers are slow or down. See load.go, memory.go.
//   - Every other hook goes to one provider that registered it; if none did, the neutral answer is given at once. See
//     pick.go.
//   - What no provider answers is answered as configured. See answer.go.
//   - Notifications may be answered before they are delivered. See early.go.
//   - A flood of one class of calls leaves room for the others; see [Limits]. What finds no room waits. See queue.go.
//
// The life of a call is read in calls.go, that of a link in link.go.
//
// All of an upstream runs one event at a time, in the group's loop, so there is no lock. What may wait, dialling, the state
// file and the log, is done by the goroutines of [Upstream.Run].
//
// Requests hold passwords and payloads. Nothing of them is logged, and no client id either.
package exhook
