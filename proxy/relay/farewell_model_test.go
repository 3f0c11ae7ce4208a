package relay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mqedge/mqedge/proxy/mqtt"
)

// The model of a farewell: the client reads whole packets and then exactly the
// words, and exchanges that were begun are over if there was patience enough.

func TestClientsReadWholePacketsAndThenTheWordsWhateverHappens(t *testing.T) {
	const pairs = 40
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			r := newRelay(t, v.loops)
			stopped := running(t, r)
			var all sync.WaitGroup
			var said atomic.Int32
			for i := range pairs {
				all.Go(func() {
					if playFarewell(t, r, v, uint64(i)) {
						said.Add(1)
					}
				})
			}
			all.Wait()
			stopped()
			if n := said.Load(); n < pairs/2 { // closed at once, or too slow for what was on its way
				t.Errorf("%d of %d clients heard the words", n, pairs)
			}
		})
	}
}

// speaker is one outer end of a pair: it sends packets of its own and answers
// those of exchanges. A packet's body is its number and a stream.
type speaker struct {
	conn  net.Conn
	seed  uint64
	bulk  bool
	other *speaker

	mu      sync.Mutex
	changed sync.Cond
	own     int // packets left to send
	answers []string
	gone    bool

	received  int // messages that came
	published int // messages of QoS 2 that came
	finished  int // exchanges of its own that did
}

func (s *speaker) body(number int) string {
	rng := rand.New(rand.NewPCG(s.seed, uint64(number)))
	n := rng.IntN(3000)
	if s.bulk && rng.IntN(3) > 0 {
		n = rng.IntN(2 << 20)
	}
	return string(binary.BigEndian.AppendUint32(nil, uint32(number))) + string(stream(s.seed, number, n))
}

// speak sends until the other end has gone.
func (s *speaker) speak(rng *rand.Rand) {
	for number := 0; ; {
		s.mu.Lock()
		for s.own == 0 && len(s.answers) == 0 && !s.gone {
			s.changed.Wait()
		}
		var packet string
		switch {
		case s.gone:
			s.mu.Unlock()
			return
		case len(s.answers) > 0 && (s.own == 0 || rng.IntN(3) > 0):
			packet, s.answers = s.answers[0], s.answers[1:]
		case s.own > 0:
			packet = publish(2*(rng.IntN(8)/7), s.body(number))
			number++
			s.own--
		}
		s.mu.Unlock()
		if _, err := io.WriteString(s.conn, packet); err != nil {
			return
		}
		if rng.IntN(16) == 0 {
			<-time.After(time.Duration(rng.IntN(2000)) * time.Microsecond)
		}
	}
}

func (s *speaker) answer(packet string) {
	s.mu.Lock()
	s.answers = append(s.answers, packet)
	s.mu.Unlock()
	s.changed.Signal()
}

func (s *speaker) leave() {
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	s.changed.Signal()
}

// listen takes packets until there are no more, or the words have come, and
// calls each before it takes one. Its error is io.EOF between two packets.
func (s *speaker) listen(t *testing.T, each func()) (said bool, err error) {
	in := bufio.NewReaderSize(s.conn, 64<<10)
	for number := 0; ; {
		each()
		first, body, err := readPacket(in)
		if err != nil {
			return false, err
		}
		switch first {
		case 0x30, 0x34:
			if want := s.other.body(number); string(body) != want {
				t.Errorf("packet %d is not what was sent: %d bytes, not %d", number, len(body), len(want))
				return false, io.ErrNoProgress
			}
			s.received++
			if number++; first == 0x34 {
				s.published++
				s.answer(pubrec)
			}
		case pubrec[0]:
			s.answer(pubrel)
		case pubrel[0]:
			s.answer(pubcomp)
		case pubcomp[0]:
			s.finished++
		case bye[0]:
			if string(body) != bye[2:] {
				t.Errorf("the words were %x", body)
			}
			if n, err := in.Read(make([]byte, 1)); n > 0 || err != io.EOF {
				t.Errorf("after the words came %d bytes, %v", n, err)
			}
			return true, io.EOF
		default:
			t.Errorf("a packet begins with %x", first)
			return false, io.ErrNoProgress
		}
	}
}

func readPacket(in *bufio.Reader) (first byte, body []byte, err error) {
	if first, err = in.ReadByte(); err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(in)
	if err == nil {
		body = make([]byte, length)
		_, err = io.ReadFull(in, body)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return first, body, err
}

func playFarewell(t *testing.T, r *Relay, v variant, seed uint64) (said bool) {
	rng := rand.New(rand.NewPCG(seed, 42))
	co, ci := tcpPair(t)
	so, si := tcpPair(t)
	if rng.IntN(2) == 0 {
		for _, c := range []*net.TCPConn{co, ci, so, si} {
			c.SetReadBuffer(64 << 10)
			c.SetWriteBuffer(64 << 10)
		}
	}
	near, err := NewConn(ci, nil)
	must(t, err)
	far, err := NewConn(si, nil)
	must(t, err)
	s := &speaker{conn: so, seed: 2*seed + 1, own: rng.IntN(300)}
	c := &speaker{seed: 2*seed + 2, own: rng.IntN(300), other: s}
	s.other = c
	if seed%4 == 0 {
		s.bulk, s.own = true, rng.IntN(20)
		c.bulk, c.own = seed%8 == 0, rng.IntN(20)
	}
	c.changed.L, s.changed.L = &c.mu, &s.mu
	var inner net.Conn
	c.conn, inner = modelClient(t, r, v, seed, co, near)

	ownS, ownC := s.own, c.own
	at := rng.IntN(1 + s.own*2/3)
	patience := []time.Duration{0, 30 * time.Millisecond, time.Hour, time.Hour, time.Hour}[rng.IntN(5)]
	stall := time.Duration(rng.IntN(3)/2*rng.IntN(200)) * time.Millisecond
	closes := rng.IntN(8) == 0
	done := make(chan Result, 2)
	var counters Counters
	pair, err := r.Add(inner, far, Options{Idle: time.Minute, Follow: new(mqtt.Follower), Counters: &counters}, func(res Result) { done <- res })
	must(t, err)

	var all sync.WaitGroup
	all.Go(func() { s.speak(rand.New(rand.NewPCG(seed, 1))) })
	all.Go(func() { c.speak(rand.New(rand.NewPCG(seed, 2))) })
	all.Go(func() {
		s.listen(t, func() {})
		s.leave()
		so.Close()
	})
	var ending error
	all.Go(func() {
		said, ending = c.listen(t, func() {
			if at--; at == -1 {
				<-time.After(stall / 2) // what comes meanwhile piles up
				pair.Farewell("drained", []byte(bye), patience)
				if closes {
					pair.Close("kicked")
				}
				<-time.After(stall / 2)
			}
		})
		c.leave()
		co.Close()
	})
	all.Wait()
	var res Result
	select {
	case res = <-done:
	case <-time.After(30 * time.Second):
		t.Errorf("pair %d did not end", seed)
		return false
	}
	if res.Reason != "drained" || res.Err != nil || res.ToUpstream > res.FromClient {
		t.Errorf("pair %d: result %+v", seed, res)
	}
	in, out := int(counters.MessagesFromClient.Load()), int(counters.MessagesToClient.Load())
	if in < s.received || in > ownC || out < c.received || out > ownS || said && out != c.received {
		t.Errorf("pair %d: counted %d messages in and %d out; %d and %d were sent, %d and %d came", seed, in, out, ownC, ownS, s.received, c.received)
	}
	switch all := res.FromUpstream + uint64(len(bye)); {
	case said && res.ToClient != all:
		t.Errorf("pair %d: the words are not counted: %+v", seed, res)
	case said && patience == time.Hour && (c.published != s.finished || s.published != c.finished):
		t.Errorf("pair %d: of %d and %d exchanges %d and %d were finished", seed, c.published, s.published, s.finished, c.finished)
	case !said && errors.Is(ending, io.EOF) && res.ToClient == all:
		t.Errorf("pair %d: the words are missing at the end: %+v", seed, res)
	}
	return said
}
