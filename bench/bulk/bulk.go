package bulk

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/mqedge/mqedge/bench/mqtt"
)

const (
	// Topic is that of requests and of their acknowledgement.
	Topic = "bulk"

	// PacketSize is that of a whole packet: with its header it fills 64 TLS records.
	PacketSize = 1 << 20

	header      = 1 + 3 + 2 + len(Topic) // type, length, topic
	readSize    = 256 << 10
	requestSize = 1 + 8
)

// ErrDiffers is returned when other bytes arrived than were sent.
var ErrDiffers = errors.New("bulk: the bytes that arrived are not those that were sent")

// Request asks for packets.
type Request struct {
	Down    bool // to the client; else from it
	Packets int64
}

// Transfer is the client's part: it asks over w and returns when the last byte has arrived, at the client from r or, as the
// other end says, there.
func (q Request) Transfer(r *bufio.Reader, w io.Writer) error {
	if _, err := w.Write(q.publish()); err != nil {
		return err
	}
	if q.Down {
		return receive(r, q.Packets)
	}
	if err := send(w, q.Packets); err != nil {
		return err
	}
	p, err := mqtt.NewReader(r).Expect(mqtt.Publish)
	if err != nil {
		return err
	}
	if !bytes.Equal(p.Raw, q.publish()) {
		return errors.New("bulk: another answer than that all packets arrived")
	}
	return nil
}

// Answer is the other end's part: p is a PUBLISH to Topic, r what follows it.
func Answer(p mqtt.Packet, r io.Reader, w io.Writer) error {
	_, _, payload, err := p.Publish()
	if err != nil {
		return err
	}
	if len(payload) != requestSize {
		return fmt.Errorf("bulk: a request of %d bytes, want %d", len(payload), requestSize)
	}
	q := Request{Down: payload[0] == 1, Packets: int64(binary.BigEndian.Uint64(payload[1:]))}
	if q.Down {
		return send(w, q.Packets)
	}
	if err := receive(r, q.Packets); err != nil {
		return err
	}
	_, err = w.Write(q.publish())
	return err
}

func (q Request) publish() []byte {
	payload := make([]byte, 1, requestSize)
	if q.Down {
		payload[0] = 1
	}
	payload = binary.BigEndian.AppendUint64(payload, uint64(q.Packets))
	return mqtt.AppendPublish(nil, Topic, 0, 0, payload)
}

// packet is the one that all traffic consists of. Its payload is random, so that a byte out of place shows.
func packet() []byte {
	payload := make([]byte, PacketSize-header)
	_, _ = rand.NewChaCha8([32]byte{}).Read(payload)
	return mqtt.AppendPublish(make([]byte, 0, PacketSize), Topic, 0, 0, payload)
}

func send(w io.Writer, packets int64) error {
	p := packet()
	for range packets {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func receive(r io.Reader, packets int64) error {
	want, buf := packet(), make([]byte, readSize)
	for at, end := int64(0), packets*PacketSize; at < end; {
		rest := want[at%PacketSize:]
		n, err := r.Read(buf[:min(len(buf), len(rest))])
		if !bytes.Equal(buf[:n], rest[:n]) {
			return fmt.Errorf("%w: within the %d bytes from %d", ErrDiffers, n, at)
		}
		at += int64(n)
		if err != nil && at < end {
			return fmt.Errorf("bulk: after %d of %d bytes: %w", at, end, err)
		}
	}
	return nil
}
