// Package relay moves bytes both ways between a client and the endpoint that
// was picked for it, at the least cost, and accounts for them.
//
// A connection comes from [Acceptor.Accept] and is given to [Relay.Go] with the
// caller's code for its beginning: PROXY header, [Relay.Handshake], first packet,
// [Conn.Dial], and [Conn.Park] for what others decide. That is blocking code that reads top to bottom. Then both
// connections are handed over with [Relay.Add]. From there the relay owns them:
// it copies in both directions, passes half-closes on, watches the idle time,
// closes both ends, and reports once through the done callback.
//
// With Options.Follow a pair knows where the endpoint's stream may be ended, and
// [Pair.Farewell] takes leave of the client there: the pair waits for the moment,
// sends words of its own as the last, and then the end to both sides. The
// Follower knows the packets; the relay shows it the bytes in the order in which
// it sends them, and splices only what the Follower need not see. The messages that
// the Follower sees go by add to Options.Counters.
//
// A connection that has no counterpart goes to a [Group] instead, where a handler
// has its bytes: a [Stream]. What its handlers write in a turn of the loop leaves
// in one write for each stream.
//
// There are two implementations behind it. On Linux a few event loops do all of
// it, each with its own epoll instance and one set of buffers. A beginning is a
// strand, a coroutine that the loop continues when its socket is ready; a pair
// (loopPair) or a stream (loopStream) costs neither a goroutine nor a buffer while
// it is idle. Elsewhere, and where no loops are asked for, a beginning has a
// goroutine and each direction of a pair another, which borrows a buffer only
// while there are bytes to carry (portablePair); a stream has a reader and a writer
// (portableStream).
//
// crypto/tls makes the handshakes. In TLS 1.3 with clients, in a loop, package
// record has the records afterwards; everywhere else crypto/tls is fed from bytes
// at hand and stops in the middle of a record when they are used up.
//
// The package knows TCP and TLS. It knows nothing of MQTT, which is the
// Follower's, of pools or of configuration.
package relay
