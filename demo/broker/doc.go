// Package broker is an embedded MQTT broker that stands in for an EMQX node in the demo and in the end-to-end tests.
//
// Each connection goes through the same steps: accept, read the PROXY header (when required), TLS (when configured), MQTT.
// What EMQX does with a header, this package does too, above all where EMQX is strict, so that an edge which satisfies
// this broker satisfies EMQX:
//
//   - with [Options.ProxyProtocol] every connection needs a header, v1 or v2, whole or in pieces; without one it is
//     closed after 3 s, or at once if what came ends in a line feed; LOCAL without an address block, UNSPEC, UNIX and
//     datagram headers, malformed TLVs and control characters in names are refused;
//   - without it a header is garbage to the MQTT parser.
//
// MQTT itself is mochi-mqtt; everybody may connect, publish and subscribe. Sessions live in memory, so Close followed by
// Start on the same address is a node that was killed and came back empty.
//
// The package knows nothing of mqedge.
package broker
