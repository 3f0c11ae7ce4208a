// Package sink is the upstream of the benchmark, but for calls: endpoints that read the PROXY header and answer MQTT in the cheapest way.
// CONNECT is answered with CONNACK, PINGREQ with PINGRESP, a QoS 1 PUBLISH with PUBACK; a QoS 0 PUBLISH is sent back as
// it is, as if the client had subscribed to its own topic, unless it asks for bulk. It knows nothing of the proxies before it.
package sink
