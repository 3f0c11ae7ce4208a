// Package load is the load generator: MQTT clients over TLS or plain TCP. They connect and lie idle, publish at a given rate
// (Run), move large amounts as fast as they can (Bulk), are opened only to be closed (Setups), or come and go for a while
// (Soak). It runs on Linux only and knows nothing of which proxy it talks to.
//
// Callers are the same for gRPC: HTTP/2 connections that make calls as a node of EMQX does, and check every answer.
//
// Run opens its loop: a message is due when the schedule says so, with Poisson arrivals, whatever became of the ones before,
// and its latency counts from that time. Sending is one goroutine on a thread of its own; receiving is one goroutine per
// connection, started by the first Run; idle connections own none.
package load
