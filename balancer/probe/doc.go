// Package probe asks an endpoint whether it works. Its types are implementations of [balancer.Prober]: nil means
// alive, a [balancer.Draining] means alive but not to be given new connections, any other error means failed
// and says in words what was seen. A probe opens its own connections and, when it returns, has closed them and ended
// every goroutine it started. It keeps to the deadline of ctx, reads a bounded number of bytes, and may run many times
// at once. When ctx is canceled, the result is [context.Canceled] and says nothing about the endpoint.
//
// What a probe costs the endpoint, and what is seen of it in EMQX's log:
//
//   - [TCP]: an accepted socket for a twentieth of a second, an INFO tcp_closed at most. EMQX 5.1 and before log an ERROR
//     recv_proxy_info_error when a connection to a PROXY listener closes before its header, so send one there. It
//     finds a dead process and one that ends connections over its limits (EMQX 5.8.3 and later accept and reset), but
//     not one that hangs, and it cannot tell whether the endpoint expects a PROXY header.
//   - [MQTT]: a whole connection of a client: CONNECT, CONNACK, PINGREQ, PINGRESP, DISCONNECT. So it costs what a
//     client costs: authentication, the registration of a client id in the cluster, and every ExHook call about a
//     client that comes and goes. Nothing is subscribed, published or kept, and the log has an INFO at most. A probe
//     that fails may be followed by a second one, see there; a listener that does not expect its header notes an INFO
//     frame_parse_error.
//   - [HTTP]: one GET on a connection of its own.
//   - [EMQX]: one GET, at first two, of EMQX's HTTP API without credentials. It is the only one that hears of an
//     evacuation while clients are still let in, but it says nothing about the MQTT listener.
//
// Connections are ended with FIN after the other side had its say, because EMQX logs a reset as a WARNING socket_error.
//
// Of the balancer the package knows only these two types, nothing of pools, intervals and thresholds, nor of configuration.
package probe
