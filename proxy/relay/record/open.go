package record

import (
	"math"
	"slices"
)

// Content types (section 5.1).
const (
	typeAlert           = 21
	typeHandshake       = 22
	typeApplicationData = 23
)

// maxUseless is how many records without payload may follow each other, as in
// crypto/tls: empty ones, key updates, ignored alerts.
const maxUseless = 16

// keyUpdateHeader is how the only message that a client may send begins
// (section 4.6.3): its type, and its length of one byte.
const keyUpdateHeader = "\x18\x00\x00\x01"

// Open takes the bytes that were received next, b, and appends the payload of
// all records that they complete to dst. It appends what must be sent to the
// peer before anything else to work.Reply: the answer to a key update, an
// alert. dst must not overlap b; it is reallocated if there is less room in it
// than len(b)+MaxRecord and the payload needs it.
//
// The error is io.EOF after the peer's close_notify, and an *Alert after any
// other alert, by the peer or by us; it comes together with the payload before
// it, and again with every later call. After io.EOF, sending may go on. After
// an *Alert nothing can be sent.
func (s *State) Open(dst, b []byte, work *Work) (plain []byte, err error) {
	var answer bool
	for s.fault == noFault {
		var record []byte
		if record, b = s.next(b, work); record == nil {
			break
		}
		var asked bool
		dst, asked = s.open(dst, record)
		answer = answer || asked
		if s.partial != nil {
			s.dropPartial(work)
		}
	}
	switch s.fault {
	case noFault, faultClosed:
		// One answer is enough for all that were asked for (section 4.6.3), and keeps the reply short.
		if answer {
			work.Reply = s.KeyUpdate(work.Reply, false)
		}
	case faultPeer:
		s.mute = true
	default:
		code, _ := s.fault.alert()
		work.Reply = s.sealLast(work.Reply, levelFatal, code)
	}
	return dst, s.err()
}

// open decrypts one record and acts on it. It reports whether the peer asked
// for a key update.
func (s *State) open(dst, record []byte) (plain []byte, answer bool) {
	if s.read.seq == math.MaxUint64 {
		s.fault = faultSequence
		return dst, false
	}
	out, err := s.reading().open(slices.Grow(dst, len(record)), &s.read, record)
	if err != nil {
		s.fault = faultUnauthentic
		return dst, false
	}
	s.read.seq++
	content := out[len(dst):]
	if len(content) > MaxPayload+1 {
		s.fault = faultPlainTooLong
		return dst, false
	}
	last := len(content) - 1
	for last >= 0 && content[last] == 0 { // padding, section 5.4
		last--
	}
	if last < 0 {
		s.fault = faultNoType
		return dst, false
	}
	typ, content := content[last], content[:last]
	if s.message > 0 && typ != typeHandshake { // section 5.1
		s.fault = faultInterleaved
		return dst, false
	}
	if typ == typeApplicationData && len(content) > 0 {
		s.useless = 0
		return out[:len(dst)+len(content)], false
	}
	switch typ {
	case typeApplicationData:
		s.ignored()
	case typeAlert:
		s.alerted(content)
	case typeHandshake:
		answer = s.handshake(content)
	default:
		s.fault = faultInnerType
	}
	return dst, answer
}

func (s *State) ignored() {
	if s.useless++; s.useless > maxUseless {
		s.fault = faultUseless
	}
}

func (s *State) alerted(content []byte) {
	switch {
	case len(content) == 0: // section 5.4
		s.fault = faultEmpty
	case len(content) != 2:
		s.fault = faultAlertLen
	case content[1] == alertCloseNotify:
		s.fault = faultClosed
	case content[1] == alertUserCanceled: // a close_notify follows (section 6.1)
		s.ignored()
	default: // fatal whatever the level says (section 6)
		s.fault, s.peerAlert = faultPeer, content[1]
	}
}

// handshake takes a piece of a handshake message. What has been received of one
// is known without keeping it, because only one beginning is allowed.
func (s *State) handshake(content []byte) (answer bool) {
	if len(content) == 0 { // section 5.4
		s.fault = faultEmpty
		return false
	}
	for i, c := range content {
		switch {
		case int(s.message) == len(keyUpdateHeader):
			return s.keyUpdated(c, content[i+1:])
		case c == keyUpdateHeader[s.message]:
			s.message++
		case s.message == 0:
			s.fault = faultMessage
			return false
		default:
			s.fault = faultMessageLen
			return false
		}
	}
	return false
}

func (s *State) keyUpdated(request byte, rest []byte) (answer bool) {
	s.message = 0
	switch {
	case request > 1:
		s.fault = faultKeyUpdateValue
		return false
	case len(rest) > 0: // what follows would be under the next key (section 5.1)
		s.fault = faultKeyUpdateNotLast
		return false
	}
	s.ignored()
	s.updateRead()
	return request == 1
}
