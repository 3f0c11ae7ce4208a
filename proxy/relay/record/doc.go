// Package record is the record layer of one TLS 1.3 connection after its
// handshake (RFC 8446, sections 4.6.3, 5, 6 and 7.2): bytes in, bytes out.
//
// Whoever did the handshake hands over the traffic secrets ([New]) and says
// what was written under them already ([State.SkipWritten]). From then on
// received bytes become payload ([State.Open]), payload becomes records
// ([State.Seal]), and key updates, alerts and the limits of the ciphers are
// kept on the way. A [State] is small, and smaller when asleep ([State.Sleep]),
// because a server may hold a million that have nothing to say; what is needed
// only while records pass is in a [Work] that many of them share.
//
// The package knows nothing of sockets, of handshakes, of session tickets or of
// who calls it.
package record
