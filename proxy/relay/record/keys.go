package record

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"
)

const (
	maxSecretLen = sha512.Size384
	nonceLen     = 12
)

// suite is the id of a supported cipher suite.
type suite uint16

func (s suite) hash() func() hash.Hash {
	if s == suite(tls.TLS_AES_256_GCM_SHA384) {
		return sha512.New384
	}
	return sha256.New
}

func (s suite) secretLen() int {
	if s == suite(tls.TLS_AES_256_GCM_SHA384) {
		return sha512.Size384
	}
	return sha256.Size
}

func (s suite) keyLen() int {
	if s == suite(tls.TLS_AES_256_GCM_SHA384) {
		return 32
	}
	return 16
}

// expand is HKDF-Expand-Label with an empty context (section 7.1).
func (s suite) expand(secret *[maxSecretLen]byte, label string, n int) []byte {
	info := string([]byte{0, byte(n), byte(len("tls13 ") + len(label))}) + "tls13 " + label + "\x00"
	out, err := hkdf.Expand(s.hash(), secret[:s.secretLen()], info, n)
	if err != nil {
		panic("record: " + err.Error()) // only for lengths and hashes that no suite has
	}
	return out
}

// half is one direction.
type half struct {
	secret [maxSecretLen]byte
	iv     [nonceLen]byte // kept, because half of the cost of waking would be to derive it again
	seq    uint64         // of the next record
}

func (h *half) use(s suite, secret []byte) {
	copy(h.secret[:], secret)
	copy(h.iv[:], s.expand(&h.secret, "iv", nonceLen))
	h.seq = 0
}

// update takes the next secret into use (section 7.2).
func (h *half) update(s suite) {
	h.use(s, s.expand(&h.secret, "traffic upd", s.secretLen()))
}

// keys is what a State needs only while awake.
type keys struct {
	read, write protection
}

// protection is the AEAD of one direction.
type protection struct {
	aead  cipher.AEAD    // nil until needed
	nonce [nonceLen]byte // scratch: what is passed to an interface must not be on the stack, or each call would allocate
}

func (p *protection) open(dst []byte, h *half, record []byte) ([]byte, error) {
	return p.aead.Open(dst, p.nonceOf(h), record[headerLen:], record[:headerLen])
}

func (p *protection) nonceOf(h *half) []byte {
	p.nonce = h.iv
	low := p.nonce[nonceLen-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^h.seq)
	return p.nonce[:]
}

func (p *protection) derive(s suite, h *half) {
	block, err := aes.NewCipher(s.expand(&h.secret, "key", s.keyLen()))
	if err != nil {
		panic("record: " + err.Error()) // only for other key lengths
	}
	// Explicit nonces are safe here: they are sequence numbers, which never repeat under a key.
	if p.aead, err = cipher.NewGCM(block); err != nil {
		panic("record: " + err.Error()) // only under fips140=only, which New refuses
	}
}

func (s *State) reading() *protection {
	p := &s.awake().read
	if p.aead == nil {
		p.derive(s.suite, &s.read)
	}
	return p
}

func (s *State) writing() *protection {
	p := &s.awake().write
	if p.aead == nil {
		p.derive(s.suite, &s.write)
	}
	return p
}

func (s *State) awake() *keys {
	if s.keys == nil {
		s.keys = new(keys)
	}
	return s.keys
}

func (s *State) updateRead() {
	s.read.update(s.suite)
	s.awake().read.aead = nil
}

func (s *State) updateWrite() {
	s.write.update(s.suite)
	s.awake().write.aead = nil
}
