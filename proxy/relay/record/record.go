package record

import (
	"crypto/fips140"
	"crypto/tls"
	"errors"
	"fmt"
)

const (
	// MaxPayload is the most payload that fits into one record.
	MaxPayload = 1 << 14
	// Overhead is what [State.Seal] adds to the payload of each record.
	Overhead = headerLen + 1 + tagLen
	// MaxRecord is the longest record that [State.Open] accepts.
	MaxRecord = headerLen + maxCiphertext

	headerLen     = 5
	tagLen        = 16
	maxCiphertext = 1<<14 + 256 // section 5.2
)

// Secrets are what a handshake agreed on.
type Secrets struct {
	Suite       uint16 // id of the cipher suite
	Read, Write []byte // traffic secrets: the client's and the server's for a server, the reverse for a client
}

// State is one connection. It is for one caller at a time.
//
// It has no pointers into itself and may be moved by assignment.
type State struct {
	read, write half
	keys        *keys    // nil while asleep
	partial     *partial // nil unless a record is incomplete

	suite     suite
	header    [headerLen - 1]byte // of a record whose header is incomplete
	headerLen uint8
	message   uint8 // bytes received of a handshake message that goes on in the next record
	useless   uint8 // records since the last payload
	fault     fault // why reading has ended
	peerAlert uint8 // when fault is faultPeer
	mute      bool  // nothing may be sent any more
}

// supported reports whether New takes the cipher suite.
func supported(id uint16) bool {
	return id == tls.TLS_AES_128_GCM_SHA256 || id == tls.TLS_AES_256_GCM_SHA384
}

// New returns the State of a connection that has neither received nor sent a
// record under its secrets. The secrets are copied.
func New(secrets Secrets) (*State, error) {
	if fips140.Enforced() {
		return nil, errors.New("record: AES-GCM with own nonces is refused by fips140=only; leave the connection to crypto/tls")
	}
	if !supported(secrets.Suite) {
		return nil, fmt.Errorf("record: cipher suite %s is not supported; leave the connection to crypto/tls",
			tls.CipherSuiteName(secrets.Suite))
	}
	s := &State{suite: suite(secrets.Suite)}
	if n := s.suite.secretLen(); len(secrets.Read) != n || len(secrets.Write) != n {
		return nil, fmt.Errorf("record: traffic secrets of %d and %d bytes, want %d for %s",
			len(secrets.Read), len(secrets.Write), n, tls.CipherSuiteName(secrets.Suite))
	}
	s.read.use(s.suite, secrets.Read)
	s.write.use(s.suite, secrets.Write)
	return s, nil
}

// SkipWritten finds out how many records the implementation that did the
// handshake has protected with the write secret, from the bytes that it wrote
// last (any number of whole records, those of the handshake among them), and
// continues after them. It returns their number.
//
// Only the last record is tried, as one of the first nine: a caller that lets
// more be written under the write secret must not use this package, because
// the nonces of AES-GCM would repeat.
func (s *State) SkipWritten(last []byte) int {
	var record []byte
	for len(last) >= headerLen {
		n := headerLen + bodyLen(last)
		if len(last) < n {
			break
		}
		record, last = last[:n], last[n:]
	}
	if len(record) == 0 {
		return 0
	}
	p, scratch := s.writing(), make([]byte, 0, len(record))
	for s.write.seq = range uint64(9) {
		if _, err := p.open(scratch, &s.write, record); err == nil {
			s.write.seq++
			return int(s.write.seq)
		}
	}
	s.write.seq = 0
	return 0
}

// Partial reports whether a record has been received in part. If the peer's
// stream ends then, or ends before [State.Open] returned io.EOF, it was cut.
func (s *State) Partial() bool {
	return s.headerLen > 0 || s.partial != nil
}

// Sleep gives up what can be derived again when the next record comes or goes,
// which is most of a State's memory.
func (s *State) Sleep() {
	s.keys = nil
}
