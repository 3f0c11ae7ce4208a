package sink

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"github.com/pires/go-proxyproto"

	"github.com/mqedge/mqedge/bench/bulk"
	"github.com/mqedge/mqedge/bench/endpoints"
	"github.com/mqedge/mqedge/bench/mqtt"
)

// Stats are what the sink has seen so far.
type Stats struct {
	Open          int   `json:"open"`           // connections now
	Connections   int64 `json:"connections"`    // that sent a CONNECT
	WithoutHeader int64 `json:"without_header"` // of these, those without a PROXY header
	Publishes     int64 `json:"publishes"`
	Malformed     int64 `json:"malformed"` // connections ended for bytes that are not MQTT, or not a header
}

// Sink is a set of listening endpoints.
type Sink struct {
	*endpoints.Set

	connections, withoutHeader, publishes, malformed atomic.Int64
}

// Listen opens the addresses and serves them until Close.
func Listen(addrs ...string) (s *Sink, err error) {
	s = new(Sink)
	if s.Set, err = endpoints.Listen(func(_ int, c net.Conn) { s.serve(c) }, addrs...); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	return s, nil
}

// Stats may be called at any time.
func (s *Sink) Stats() Stats {
	return Stats{
		Open:          s.Open(),
		Connections:   s.connections.Load(),
		WithoutHeader: s.withoutHeader.Load(),
		Publishes:     s.publishes.Load(),
		Malformed:     s.malformed.Load(),
	}
}

func (s *Sink) serve(c net.Conn) {
	r := bufio.NewReader(c)
	_, err := proxyproto.Read(r)
	headless := errors.Is(err, proxyproto.ErrNoProxyProtocol)
	if err != nil && !headless {
		s.count(err)
		return
	}
	if _, err := mqtt.NewReader(r).Expect(mqtt.Connect); err != nil {
		s.count(err)
		return
	}
	s.connections.Add(1)
	if headless {
		s.withoutHeader.Add(1)
	}
	s.count(s.answer(c, r, mqtt.AppendConnack(nil)))
}

// answer writes out and the answer to each packet, in one write for all packets that came together.
func (s *Sink) answer(c net.Conn, r *bufio.Reader, out []byte) error {
	packets := mqtt.NewReader(r)
	for {
		if !packets.Buffered() && len(out) > 0 {
			if _, err := c.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
		p, err := packets.Next()
		if err != nil {
			return err
		}
		switch p.Type() {
		case mqtt.Publish:
			s.publishes.Add(1)
			if string(p.Topic()) == bulk.Topic {
				if _, err := c.Write(out); err != nil {
					return err
				}
				out = out[:0]
				if err := bulk.Answer(p, r, c); err != nil {
					return err
				}
				continue
			}
			qos, id, _, err := p.Publish()
			if err != nil {
				return err
			}
			if qos == 0 {
				out = append(out, p.Raw...)
			} else {
				out = mqtt.AppendPuback(out, id)
			}
		case mqtt.Pingreq:
			out = mqtt.AppendPingresp(out)
		}
	}
}

// count tells bytes that make no sense from a connection that merely ended, as those of a readiness check do.
func (s *Sink) count(err error) {
	var network net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &network) {
		return
	}
	s.malformed.Add(1)
}
