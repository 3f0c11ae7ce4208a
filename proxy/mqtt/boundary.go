package mqtt

// Boundary follows one direction of an MQTT stream and knows where its packets
// end. The zero value is ready at the start of any packet. It reads the fixed
// headers only (MQTT 5.0 section 2.1) and looks into no packet.
//
// Bytes count in the order in which they are shown: what Boundary says is true
// of the far end once the same bytes, and no others, have been sent to it.
type Boundary struct {
	left  uint32 // of the body; within a header, the length as far as it is read
	state state
	first byte // of the packet that the stream is in: its type and flags
}

type state uint8

const (
	inBody    state = iota // or between packets, when nothing is left
	inLength1              // the first byte of a header came, its length has not ended
	inLength2
	inLength3
	inLength4
	beforeCode3 // in the body of a PUBREC, so many bytes before the end of its reason code; only in a Follower
	beforeCode2
	beforeCode1
	lost
)

// Advance takes the next bytes of the stream. It returns false once the stream
// is lost.
func (b *Boundary) Advance(p []byte) bool {
	for b.state != lost {
		if b.state == inBody {
			i := skipPackets(p, int(b.left))
			if i >= len(p) {
				b.left = uint32(i - len(p))
				return true
			}
			p = p[i:]
		}
		if p = b.header(p); len(p) == 0 {
			break
		}
	}
	return b.state != lost
}

// Skip accounts for the next n bytes of the stream, at most Left, that nobody
// looked at. With more the stream is lost.
func (b *Boundary) Skip(n int) {
	if n < 0 || n > b.Left() {
		b.state = lost
		return
	}
	b.left -= uint32(n)
}

// Left returns how many bytes may be passed on without being shown, all of them
// of the packet that the stream is in.
func (b *Boundary) Left() int {
	if b.state != inBody {
		return 0
	}
	return int(b.left)
}

// AtBoundary reports whether a packet has just ended or none has begun, so that
// a packet of one's own may be sent.
func (b *Boundary) AtBoundary() bool { return b.state == inBody && b.left == 0 }

// Lost reports whether the stream broke the rules, after which nobody can tell
// where its packets end.
func (b *Boundary) Lost() bool { return b.state == lost }

// skipPackets returns where in p, or beyond it, the first packet begins whose
// header is cut or long; from is where the first one of all begins.
func skipPackets(p []byte, from int) int {
	for from+2 < len(p) {
		length, more := int(p[from+1]), int(p[from+2])
		switch {
		case length < 0x80:
			from += 2 + length
		case more < 0x80:
			from += 3 + length&0x7f + more<<7
		default:
			return from
		}
	}
	return from
}

// header takes the header of a packet off the front of p, or what of it is there
// and has not come before. b is in the body when the header is whole.
func (b *Boundary) header(p []byte) []byte {
	if b.state == inBody && len(p) >= 2 && p[1] < 0x80 { // nearly all
		b.first, b.left = p[0], uint32(p[1])
		return p[2:]
	}
	for i, c := range p {
		if b.state == inBody {
			b.first, b.left, b.state = c, 0, inLength1
			continue
		}
		b.left |= uint32(c&0x7f) << (7 * (b.state - inLength1))
		switch {
		case c < 0x80:
			b.state = inBody
			return p[i+1:]
		case b.state == inLength4: // MQTT 5.0 section 1.5.5
			b.state = lost
			return nil
		}
		b.state++
	}
	return nil
}
