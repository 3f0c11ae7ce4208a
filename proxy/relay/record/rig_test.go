package record

import (
	"bytes"
	"crypto/tls"
	"errors"
	"testing"
)

var suites = []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384}

// newPeers returns both ends of a connection.
func newPeers(t testing.TB, id uint16) (server, client *State) {
	t.Helper()
	n := suite(id).secretLen()
	up, down := bytes.Repeat([]byte{0x5a}, n), bytes.Repeat([]byte{0xa5}, n)
	server, err := New(Secrets{Suite: id, Read: up, Write: down})
	if err != nil {
		t.Fatal(err)
	}
	client, err = New(Secrets{Suite: id, Read: down, Write: up})
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// forge seals a TLSInnerPlaintext as it is: content, type and padding.
func forge(s *State, inner ...byte) []byte {
	n := len(inner) + tagLen
	header := []byte{typeApplicationData, 3, 3, byte(n >> 8), byte(n)}
	p := s.writing()
	record := p.aead.Seal(header, p.nonceOf(&s.write), inner, header)
	s.write.seq++
	return record
}

// payload is n bytes that tell where they are from.
func payload(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8)*31
	}
	return p
}

// mustOpen opens what must be payload and nothing to reply to.
func mustOpen(t testing.TB, s *State, b []byte) []byte {
	t.Helper()
	var work Work
	plain, err := s.Open(nil, b, &work)
	if err != nil {
		t.Fatal(err)
	}
	if len(work.Reply) > 0 {
		t.Fatalf("reply of %d bytes, want none", len(work.Reply))
	}
	return plain
}

// answer opens b and returns the reply.
func answer(t testing.TB, s *State, b []byte) []byte {
	t.Helper()
	var work Work
	if _, err := s.Open(nil, b, &work); err != nil {
		t.Fatal(err)
	}
	return work.Reply
}

// openPieces opens b in pieces of the given sizes, the last one as often as it takes.
func openPieces(s *State, b []byte, work *Work, sizes ...int) (plain []byte, err error) {
	for i := 0; len(b) > 0; i++ {
		n := min(max(sizes[min(i, len(sizes)-1)], 1), len(b))
		plain, err = s.Open(plain, b[:n:n], work)
		b = b[n:]
	}
	return plain, err
}

func alertOf(t testing.TB, err error) *Alert {
	t.Helper()
	var alert *Alert
	if !errors.As(err, &alert) {
		t.Fatalf("error %v, want an alert", err)
	}
	return alert
}
