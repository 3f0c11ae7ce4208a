package mqtt

// Packet types that belong to a QoS 2 exchange (MQTT 5.0 section 2.1.2).
const (
	publish = 3
	pubrec  = 5
	pubrel  = 6
	pubcomp = 7
)

// Follower follows both directions of an MQTT connection, to find a moment at
// which it can be ended without cutting anything off: between two packets of the
// server's, with no QoS 2 exchange begun and not finished, and to count messages,
// which are PUBLISH packets. The zero value is ready behind CONNECT and CONNACK,
// or before them.
//
// It counts exchanges and does not know their packet identifiers, so it is right
// as long as both ends keep to the specification:
//
//   - An exchange begins with a PUBLISH and ends with PUBCOMP, or with a PUBREC
//     of a reason code from 0x80.
//   - One that was begun on an earlier connection counts from its first packet
//     on this one. That is a PUBLISH with DUP before the first one without, or a
//     PUBREL for which no PUBREC came before.
//   - Any other PUBLISH with DUP repeats one that was counted. Only clients and
//     servers before 5.0 send such.
//
// When an end never finishes an exchange it stays open, for as long as the
// connection lasts. So whoever waits for the end of all needs a deadline.
// Answers that a peer repeats unasked may make an exchange count as finished
// early. Then it is ended as by any loss of the connection, and goes on after
// the next CONNECT if there is a session.
//
// What Follower says is true of what it was shown: bytes that a socket or a
// buffer still holds may begin an exchange.
type Follower struct {
	client, server         Boundary  // what they send
	fromClient, fromServer exchanges // by who sends the message
}

// FromClient takes the next bytes of what the client sends. It returns how many
// messages have a header that ends in them, and false once that stream is lost.
func (f *Follower) FromClient(p []byte) (messages int, ok bool) {
	return f.client.follow(p, &f.fromClient, &f.fromServer)
}

// FromServer is FromClient for what the server sends.
func (f *Follower) FromServer(p []byte) (messages int, ok bool) {
	return f.server.follow(p, &f.fromServer, &f.fromClient)
}

// ClientLeft returns how many of the client's next bytes may be passed on
// without being shown; SkipClient accounts for them. See Boundary.
func (f *Follower) ClientLeft() int { return f.client.Left() }

// SkipClient is Boundary's Skip for what the client sends.
func (f *Follower) SkipClient(n int) { f.client.Skip(n) }

// ServerLeft is ClientLeft for what the server sends.
func (f *Follower) ServerLeft() int { return f.server.Left() }

// SkipServer is SkipClient for what the server sends.
func (f *Follower) SkipServer(n int) { f.server.Skip(n) }

// AtServerBoundary reports whether a packet may be sent to the client between
// those of the server.
func (f *Follower) AtServerBoundary() bool { return f.server.AtBoundary() }

// QoS2Open reports whether a QoS 2 exchange in either direction is not finished,
// or that nobody can tell because a stream is lost.
func (f *Follower) QoS2Open() bool {
	return f.fromClient.open > 0 || f.fromServer.open > 0 || f.client.Lost() || f.server.Lost()
}

// follow is Advance that also counts: the sender's own messages and exchanges, and
// those of the other side that it answers.
func (b *Boundary) follow(p []byte, own, other *exchanges) (messages int, ok bool) {
	for b.state != lost {
		if b.state >= beforeCode3 {
			if p = b.pubrecCode(p, other); len(p) == 0 {
				break
			}
		}
		if b.state == inBody {
			if n := int(b.left); n < len(p) {
				p, b.left = p[n:], 0
			} else {
				b.left = uint32(n - len(p))
				return messages, true
			}
		}
		p = b.header(p)
		if b.state != inBody {
			break
		}
		switch b.first >> 4 {
		case publish:
			messages++
			if b.first>>1&3 == 2 {
				own.published(b.first&0x08 != 0)
			}
		case pubrec:
			if b.left >= 3 { // identifier and reason code; before 5.0, and for success, there is none
				b.state = beforeCode3
			} else {
				other.received(0)
			}
		case pubrel:
			own.released()
		case pubcomp:
			other.end()
		}
	}
	return messages, b.state != lost
}

// pubrecCode takes the packet identifier and the reason code of a PUBREC off the
// front of p (MQTT 5.0 section 3.5.2), or what of them is there.
func (b *Boundary) pubrecCode(p []byte, other *exchanges) []byte {
	for i, c := range p {
		b.left--
		if b.state == beforeCode1 {
			b.state = inBody
			other.received(c)
			return p[i+1:]
		}
		b.state++
	}
	return nil
}

// exchanges counts the QoS 2 exchanges of the messages that one side sends.
type exchanges struct {
	open       uint16 // begun and not finished; at its highest value for ever
	unreleased uint8  // PUBRECs that no PUBREL followed yet; at its highest value for ever
	fresh      bool   // a PUBLISH without DUP has come
}

func (e *exchanges) published(dup bool) {
	if !dup {
		e.fresh = true
	} else if e.fresh {
		return
	}
	e.begin()
}

func (e *exchanges) received(code byte) {
	switch {
	case code >= 0x80:
		e.end()
	case e.unreleased < 0xff:
		e.unreleased++
	}
}

func (e *exchanges) released() {
	switch {
	case e.unreleased == 0:
		e.begin()
	case e.unreleased < 0xff:
		e.unreleased--
	}
}

func (e *exchanges) begin() {
	if e.open < 0xffff {
		e.open++
	}
}

func (e *exchanges) end() {
	if e.open > 0 && e.open < 0xffff {
		e.open--
	}
}
