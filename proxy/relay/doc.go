// Package relay moves bytes both ways between a client and the endpoint that
// was picked for it, at the least cost, and accounts for them.
//
// The caller finishes handshakes and headers with blocking code of its own and
// then hands both connections over with [Relay.Add]. From there the relay owns
// them: it copies in both directions, passes half-closes on, watches the idle
// time, closes both ends, and reports once through the done callback.
//
// This implementation is the portable one: a goroutine for each direction,
// which borrows a buffer only while there are bytes to carry, so that an idle
// connection holds none.
//
// The package knows TCP and TLS. It knows nothing of MQTT, of pools or of
// configuration.
package relay
