// Package ws reads and writes what an edge needs of WebSocket (RFC 6455), so
// that it can know the CONNECT packet of an MQTT client before it picks an
// endpoint.
//
// The edge is the server of one WebSocket connection and the client of another.
// In order: [ReadUpgrade] reads the client's request, [Upgrade.AppendAccept]
// answers it, [ReadConnect] reads frames until CONNECT is whole. With an
// endpoint at hand, [Upgrade.AppendRequest] makes the request for it,
// [ReadAccepted] reads its answer, and the client's frames go to it as they
// came; [ReadConnack] reads what it says to them. From there both connections
// carry the same frames, so bytes can be passed on both ways unchanged, and a
// [Follower] knows where a frame of one's own may go between them.
//
// No extension is ever agreed on, so frames mean the same to both ends. To the
// client the sub-protocol is the one of its own that it likes best; the endpoint
// is always offered mqtt, the only one that each broker has to know (MQTT 5.0
// section 6). Frames that break the rules, and those that MQTT does not allow,
// end the connection before an endpoint hears of it.
//
// All that is read is bounded in size, but not in time: set a deadline. The
// package knows nothing of sockets, endpoints or configuration.
package ws
