package ws

import "github.com/mqedge/mqedge/proxy/mqtt"

// Follower is [mqtt.Follower] for packets in WebSocket frames: the same methods
// say the same of a connection, but bytes count with the frames around them. It
// wants both directions from their first frames on, as sent: the client's from
// those of [ReadConnect], the server's from those of [ReadConnack] or behind
// [ReadAccepted]. The zero value is ready.
//
// A stream is lost also when its frames break the rules.
type Follower struct {
	client, server frames
	packets        mqtt.Follower
}

// FromClient takes the next bytes of what the client sends. It returns how many
// messages have a header that ends in them, and false once that stream is lost.
func (f *Follower) FromClient(p []byte) (messages int, ok bool) {
	f.client.flags |= masked
	var plain [128]byte
	for len(p) > 0 {
		var payload []byte
		payload, p = f.client.next(p)
		for len(payload) > 0 {
			if n := min(len(payload), f.packets.ClientLeft()); n > 0 { // what needs no look needs no unmasking
				f.packets.SkipClient(n)
				payload = payload[n:]
				continue
			}
			n := f.client.unmask(plain[:], payload)
			began, ok := f.packets.FromClient(plain[:n])
			messages += began
			if !ok {
				return messages, false
			}
			payload = payload[n:]
		}
	}
	return messages, !f.client.broken()
}

// FromServer is FromClient for what the server sends.
func (f *Follower) FromServer(p []byte) (messages int, ok bool) {
	for len(p) > 0 {
		var payload []byte
		payload, p = f.server.next(p)
		if len(payload) == 0 {
			continue
		}
		began, ok := f.packets.FromServer(payload)
		messages += began
		if !ok {
			return messages, false
		}
	}
	return messages, !f.server.broken()
}

// ClientLeft returns how many of the client's next bytes may be passed on
// without being shown; SkipClient accounts for them.
func (f *Follower) ClientLeft() int {
	return int(min(f.client.messageLeft(), uint64(f.packets.ClientLeft())))
}

// SkipClient accounts for n bytes of the client's that nobody looked at, at
// most ClientLeft; with more the stream is lost.
func (f *Follower) SkipClient(n int) {
	f.client.skip(n)
	f.packets.SkipClient(n)
}

// ServerLeft is ClientLeft for what the server sends.
func (f *Follower) ServerLeft() int {
	return int(min(f.server.messageLeft(), uint64(f.packets.ServerLeft())))
}

// SkipServer is SkipClient for what the server sends.
func (f *Follower) SkipServer(n int) {
	f.server.skip(n)
	f.packets.SkipServer(n)
}

// AtServerBoundary reports whether a packet, in a frame made by [AppendFrame],
// may be sent to the client between the frames of the server. It never may
// behind a close frame, nor within a message of several frames, though no packet
// is cut there.
func (f *Follower) AtServerBoundary() bool {
	return f.server.atBoundary() && f.packets.AtServerBoundary()
}

// QoS2Open reports whether a QoS 2 exchange in either direction is not finished,
// or that nobody can tell because a stream is lost.
func (f *Follower) QoS2Open() bool {
	return f.packets.QoS2Open() || f.client.broken() || f.server.broken()
}
