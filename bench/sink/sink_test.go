package sink_test

import (
	"bufio"
	"bytes"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mqedge/mqedge/bench/bulk"
	"github.com/mqedge/mqedge/bench/mqtt"
	"github.com/mqedge/mqedge/bench/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheSinkAnswersEachPacketOfABatch(t *testing.T) {
	s, r := open(t, func() (out []byte) {
		out = append(out, "PROXY TCP4 127.0.0.9 127.0.0.1 5 6\r\n"...)
		out = mqtt.AppendConnect(out, "id", 60)
		out = mqtt.AppendPublish(out, "t", 1, 7, []byte("acknowledged"))
		out = mqtt.AppendPublish(out, "t", 0, 0, []byte("echoed"))
		return mqtt.AppendPingreq(out)
	}())
	for _, want := range []byte{mqtt.Connack, mqtt.Puback, mqtt.Publish, mqtt.Pingresp} {
		p, err := r.Expect(want)
		if err != nil {
			t.Fatal(err)
		}
		if want == mqtt.Publish {
			if _, _, payload, err := p.Publish(); err != nil || string(payload) != "echoed" {
				t.Errorf("payload %q, %v", payload, err)
			}
		}
	}
	if got, want := s.Stats(), (sink.Stats{Open: 1, Connections: 1, Publishes: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestBulkIsAcknowledgedOnceAllOfItIsThereAndAfterWhatWasOwedBefore(t *testing.T) {
	// The first request comes in one piece with CONNECT and a PUBLISH, whose answers have to be out before its own.
	var first bytes.Buffer
	first.Write(mqtt.AppendConnect(nil, "id", 60))
	first.Write(mqtt.AppendPublish(nil, "t", 1, 7, []byte("acknowledged")))
	_ = bulk.Request{Packets: 2}.Transfer(bufio.NewReader(bytes.NewReader(nil)), &first) // without its answer
	s, r := open(t, first.Bytes())
	for _, want := range []byte{mqtt.Connack, mqtt.Puback, mqtt.Publish} {
		if p, err := r.Expect(want); err != nil || want == mqtt.Publish && string(p.Topic()) != bulk.Topic {
			t.Fatalf("%q, %v; want a packet of type %d", p.Topic(), err, want)
		}
	}
	if got, want := s.Stats(), (sink.Stats{Open: 1, Connections: 1, WithoutHeader: 1, Publishes: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWhatIsNotMQTTIsCountedAndAMereConnectionIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		first string
		want  int64
	}{
		"garbage":      {"PROXY UNKNOWN\r\n\xc0\x00", 1},
		"a bad header": {"PROXY TCP4 x\r\n", 1},
		"a probe":      {"", 0},
	} {
		s, err := sink.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", s.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write([]byte(c.first))
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, _ = conn.Read(make([]byte, 1))
		_ = conn.Close()
		s.Close()
		if got := s.Stats(); got.Malformed != c.want || got.Connections != 0 {
			t.Errorf("%s: %+v, want %d malformed", name, got, c.want)
		}
	}
}

func open(t *testing.T, first []byte) (*sink.Sink, *mqtt.Reader) {
	t.Helper()
	s, err := sink.Listen("127.0.0.1:0", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c, err := net.Dial("tcp", s.Addrs()[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(first); err != nil {
		t.Fatal(err)
	}
	return s, mqtt.NewReader(bufio.NewReader(c))
}
