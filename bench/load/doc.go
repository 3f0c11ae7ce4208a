// Package load is the load generator: MQTT clients over TLS or plain TCP that connect, publish at a given rate with
// Poisson arrivals, and lie idle. It opens its loop: a message is due when the schedule says so, whatever became of the
// ones before, and its latency counts from that time. It runs on Linux only and knows nothing of which proxy it talks to.
//
// Sending is one goroutine on a thread of its own; receiving is one goroutine per connection, started by the first Run;
// idle connections own none.
package load
