package record

import "slices"

// Work is what the States of one caller share while they work.
type Work struct {
	// Reply is where Open appends what must be sent; the caller sends and truncates it.
	Reply []byte

	free []*partial
}

const (
	// Records from here on are gathered in buffers that are used again and again: bulk transfer leaves an incomplete one
	// behind at every read.
	bulkLen = 4 << 10
	// maxFree bounds what a Work keeps of them, to 1 MiB.
	maxFree = 64
)

// partial is a record of which the header is complete, and the rest not.
type partial struct {
	record []byte // what has been received; the capacity suffices for the whole
}

// next returns the next record and what follows it in b, or no record if there
// is no whole one yet: then it has kept all that is left of b, or found a fault.
func (s *State) next(b []byte, work *Work) (record, rest []byte) {
	if s.partial == nil {
		if s.headerLen == 0 && len(b) >= headerLen {
			n := headerLen + bodyLen(b)
			if len(b) >= n && s.checkHeader(b) {
				return b[:n], b[n:]
			}
		}
		if b = s.gatherHeader(b, work); s.partial == nil {
			return nil, nil
		}
	}
	p := s.partial
	missing := min(headerLen+bodyLen(p.record)-len(p.record), len(b))
	p.record = append(p.record, b[:missing]...)
	if len(p.record) < headerLen+bodyLen(p.record) {
		return nil, nil
	}
	return p.record, b[missing:]
}

// gatherHeader begins a partial as soon as its header is complete, and returns
// what follows the header in b.
func (s *State) gatherHeader(b []byte, work *Work) (rest []byte) {
	var header [headerLen]byte
	had := copy(header[:], s.header[:s.headerLen])
	n := copy(header[had:], b)
	if had+n < headerLen {
		s.headerLen += uint8(copy(s.header[had:], b))
		return nil
	}
	s.headerLen = 0
	if !s.checkHeader(header[:]) {
		return nil
	}
	s.partial = work.partial(headerLen + bodyLen(header[:]))
	s.partial.record = append(s.partial.record, header[:]...)
	return b[n:]
}

// checkHeader refuses what is not worth reading further. It ignores the version
// (section 5.1); like all of the header, it is authenticated.
func (s *State) checkHeader(header []byte) bool {
	switch {
	case header[0] != typeApplicationData: // section 5; change_cipher_spec too, after the handshake
		s.fault = faultOuterType
	case bodyLen(header) > maxCiphertext:
		s.fault = faultTooLong
	}
	return s.fault == noFault
}

// bodyLen is the number of bytes that follow the header.
func bodyLen(header []byte) int {
	return int(header[3])<<8 | int(header[4])
}

func (s *State) dropPartial(work *Work) {
	if cap(s.partial.record) >= MaxRecord && len(work.free) < maxFree {
		work.free = append(work.free, s.partial)
	}
	s.partial = nil
}

func (w *Work) partial(size int) *partial {
	if size < bulkLen {
		return &partial{record: make([]byte, 0, size)}
	}
	if last := len(w.free) - 1; last >= 0 {
		p := w.free[last]
		p.record = p.record[:0]
		w.free = slices.Delete(w.free, last, last+1)
		return p
	}
	return &partial{record: make([]byte, 0, MaxRecord)}
}
