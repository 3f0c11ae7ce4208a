// Package relay moves bytes both ways between a client and the endpoint that
// was picked for it, at the least cost, and accounts for them.
//
// The caller finishes handshakes and headers with blocking code of its own and
// then hands both connections over with [Relay.Add]. From there the relay owns
// them: it copies in both directions, passes half-closes on, watches the idle
// time, closes both ends, and reports once through the done callback.
//
// There are two implementations behind it. On Linux a few event loops carry the
// pairs, each with its own epoll instance and one set of
// buffers, so that an idle pair costs neither a goroutine nor a buffer (loop,
// loopPair). Elsewhere, and where no loops are asked for, each direction has a
// goroutine that borrows a buffer only while there are bytes to carry
// (portablePair). Both feed crypto/tls from bytes at hand and let it stop in
// the middle of a record when they are used up.
//
// The package knows TCP and TLS. It knows nothing of MQTT, of pools or of
// configuration.
package relay
