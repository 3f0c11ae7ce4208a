package dns_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// server answers what its zone says, over UDP and TCP.
type server struct {
	addr string

	mu      sync.Mutex
	zone    map[string][]dnsmessage.ResourceBody // by name with its final dot
	code    dnsmessage.RCode                     // instead of an answer
	tooLong bool                                 // UDP answers are cut short
	asked   int
	overTCP int
}

// bothAtOnePort tries until it finds a port that is free for both.
func bothAtOnePort(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	var last error
	for range 100 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			return udp, tcp
		}
		tcp.Close()
		last = err
	}
	t.Fatal(last)
	return nil, nil
}

func serve(t *testing.T) *server {
	t.Helper()
	udp, tcp := bothAtOnePort(t)
	s := &server{addr: udp.LocalAddr().String(), zone: make(map[string][]dnsmessage.ResourceBody)}
	var wg sync.WaitGroup
	wg.Go(func() {
		b := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			udp.WriteTo(s.answer(b[:n], false), from)
		}
	})
	wg.Go(func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			if _, err := io.ReadFull(conn, size[:]); err == nil {
				b := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(conn, b); err == nil {
					answer := s.answer(b, true)
					conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
				}
			}
			conn.Close()
		}
	})
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		wg.Wait()
	})
	return s
}

func (s *server) answer(question []byte, tcp bool) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if tcp {
		s.overTCP++
	}
	q := m.Questions[0]
	records, known := s.zone[q.Name.String()]
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true, RCode: s.code},
		Questions: m.Questions,
	}
	switch {
	case s.code != dnsmessage.RCodeSuccess:
	case !known:
		answer.RCode = dnsmessage.RCodeNameError
	case s.tooLong && !tcp:
		answer.Truncated = true
	default:
		for _, body := range records {
			kind := dnsmessage.TypeA
			switch body.(type) {
			case *dnsmessage.AAAAResource:
				kind = dnsmessage.TypeAAAA
			case *dnsmessage.SRVResource:
				kind = dnsmessage.TypeSRV
			}
			if kind == q.Type {
				answer.Answers = append(answer.Answers, dnsmessage.Resource{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: kind, Class: dnsmessage.ClassINET, TTL: 1},
					Body:   body,
				})
			}
		}
	}
	b, err := answer.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func (s *server) set(name string, records ...dnsmessage.ResourceBody) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[name] = records
}

func (s *server) fail(code dnsmessage.RCode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

func a(ip string) dnsmessage.ResourceBody {
	addr := netip.MustParseAddr(ip)
	if addr.Is4() {
		return &dnsmessage.AResource{A: addr.As4()}
	}
	return &dnsmessage.AAAAResource{AAAA: addr.As16()}
}

func srv(target string, port, priority, weight uint16) dnsmessage.ResourceBody {
	return &dnsmessage.SRVResource{Target: dnsmessage.MustNewName(target), Port: port, Priority: priority, Weight: weight}
}
