// Package endpoints listens on several addresses and hands each connection to a function: what the upstreams of the benchmark
// have in common. It knows nothing of what is spoken on a connection.
package endpoints
