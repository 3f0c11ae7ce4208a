// Package docker learns from a container engine which endpoints the containers of a host offer, by their labels.
//
// An [Agent] asks the Engine's HTTP API on its socket, with GET alone: it lists the containers, inspects those that have a label
// mqedge.*, and follows the stream of events. After each connection, and every half a minute, it looks at all of them
// again, so that an event that was lost is made up for. While the Engine is away, what was known last stays known:
// containers outlive it.
//
// A container offers what its labels say while it runs, is not paused and does not fail its own health check; from the moment
// that it is told to stop, it offers nothing. Where its labels name no port and it is EMQX, the port is the one that
// EMQX's environment variables give its listener.
//
// The API is plain HTTP, of which four requests are used; the official client would bring thirty modules for them. Podman's
// compatible socket answers them too.
//
// The package knows nothing of gossip, health checks and configuration files.
package docker
