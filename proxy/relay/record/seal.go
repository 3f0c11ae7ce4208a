package record

import "slices"

// maxSealed is after how many records the write key is changed: AES-GCM is good
// for 2^24.5 (section 5.5).
const maxSealed = 1 << 24

// Seal appends payload to dst as records. dst must not overlap payload.
//
// It appends nothing after [State.CloseNotify], or after an alert has ended the
// connection.
func (s *State) Seal(dst, payload []byte) []byte {
	if s.mute {
		return dst
	}
	records := (len(payload) + MaxPayload - 1) / MaxPayload
	dst = slices.Grow(dst, len(payload)+records*Overhead)
	for len(payload) > 0 {
		if s.write.seq >= maxSealed {
			dst = s.KeyUpdate(dst, false)
		}
		n := min(len(payload), MaxPayload)
		dst = s.seal(dst, typeApplicationData, payload[:n])
		payload = payload[n:]
	}
	return dst
}

// KeyUpdate appends the message that tells the peer that the next records are
// under the next key, and, if request is set, that it shall change its own.
func (s *State) KeyUpdate(dst []byte, request bool) []byte {
	if s.mute {
		return dst
	}
	message := [...]byte{keyUpdateHeader[0], keyUpdateHeader[1], keyUpdateHeader[2], keyUpdateHeader[3], 0}
	if request {
		message[len(keyUpdateHeader)] = 1
	}
	dst = s.seal(dst, typeHandshake, message[:])
	s.updateWrite()
	return dst
}

// CloseNotify appends the alert that ends what we send. Reading may go on.
func (s *State) CloseNotify(dst []byte) []byte {
	return s.sealLast(dst, levelWarning, alertCloseNotify)
}

// sealLast appends an alert after which nothing may follow.
func (s *State) sealLast(dst []byte, level, code byte) []byte {
	if s.mute {
		return dst
	}
	s.mute = true
	return s.seal(dst, typeAlert, []byte{level, code})
}

// seal appends one record. The content is copied first, because the type
// follows it inside the encryption. The sequence number cannot overflow: only
// one alert and one KeyUpdate can come after maxSealed.
func (s *State) seal(dst []byte, typ byte, content []byte) []byte {
	n := len(content) + 1 + tagLen
	start := len(dst)
	dst = append(dst, typeApplicationData, 3, 3, byte(n>>8), byte(n))
	body := len(dst)
	dst = append(dst, content...)
	dst = append(dst, typ)
	p := s.writing()
	dst = p.aead.Seal(dst[:body], p.nonceOf(&s.write), dst[body:], dst[start:body])
	s.write.seq++
	return dst
}
