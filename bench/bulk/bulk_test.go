package bulk_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/bench/bulk"
	"github.com/mqedge/mqedge/bench/mqtt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPacketsGoEitherWayAndTheEndIsNoticed(t *testing.T) {
	for _, q := range []bulk.Request{{Packets: 3}, {Down: true, Packets: 3}, {}, {Down: true}} {
		client, server := net.Pipe()
		answered := make(chan error, 1)
		go func() {
			r := bufio.NewReader(server)
			p, err := mqtt.NewReader(r).Expect(mqtt.Publish)
			if err == nil {
				err = bulk.Answer(p, r, server)
			}
			answered <- err
		}()
		meter := &meter{Conn: client}
		if err := q.Transfer(bufio.NewReader(meter), meter); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
		if err := <-answered; err != nil {
			t.Errorf("%+v: the other end: %v", q, err)
		}
		if got := max(meter.read, meter.written) / bulk.PacketSize; got != q.Packets {
			t.Errorf("%+v: %d packets went over the wire", q, got)
		}
		_ = client.Close()
		_ = server.Close()
	}
}

type meter struct {
	net.Conn
	read, written int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.read += int64(n)
	return n, err
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	m.written += int64(n)
	return n, err
}

func TestABulkPacketIsAPublishOfAMebibyte(t *testing.T) {
	sent := recorded(t)
	topic, rest := sent[6:10], sent[10:]
	if len(sent) != bulk.PacketSize || sent[0] != mqtt.Publish<<4 || string(topic) != bulk.Topic || len(rest) == 0 {
		t.Fatalf("%d bytes that begin % x", len(sent), sent[:10])
	}
	length := int(sent[1]&0x7f) | int(sent[2]&0x7f)<<7 | int(sent[3])<<14 // MQTT 3.1.1, section 2.2.3
	if length != bulk.PacketSize-4 {
		t.Errorf("remaining length %d, want %d", length, bulk.PacketSize-4)
	}
}

func TestAByteThatChangedOrIsMissingIsNoticed(t *testing.T) {
	whole := recorded(t)
	changed := bytes.Clone(whole)
	changed[700_000] ^= 1
	moved := append(bytes.Clone(whole[:700_000]), whole[700_001:]...)
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"whole":   {whole, nil},
		"changed": {changed, bulk.ErrDiffers},
		"moved":   {append(moved, 0), bulk.ErrDiffers},
		"short":   {whole[:len(whole)-1], io.EOF},
	} {
		for how, r := range map[string]io.Reader{"at once": bytes.NewReader(c.stream), "in halves": iotest.HalfReader(bytes.NewReader(c.stream))} {
			err := bulk.Request{Down: true, Packets: 1}.Transfer(bufio.NewReader(r), io.Discard)
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", name, how, err, c.want)
			}
		}
	}
}

func TestARequestOfAnotherSizeIsRefused(t *testing.T) {
	r := mqtt.NewReader(bufio.NewReader(bytes.NewReader(mqtt.AppendPublish(nil, bulk.Topic, 0, 0, []byte("much")))))
	p, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := bulk.Answer(p, bytes.NewReader(nil), io.Discard); err == nil {
		t.Error("no error")
	}
}

// recorded is the one packet of a transfer down.
func recorded(t *testing.T) []byte {
	t.Helper()
	var request, sent bytes.Buffer
	_ = bulk.Request{Down: true, Packets: 1}.Transfer(bufio.NewReader(bytes.NewReader(nil)), &request)
	p, err := mqtt.NewReader(bufio.NewReader(&request)).Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := bulk.Answer(p, bytes.NewReader(nil), &sent); err != nil {
		t.Fatal(err)
	}
	return sent.Bytes()
}
