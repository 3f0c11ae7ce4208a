package mqtt_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mqedge/mqedge/bench/mqtt"
)

func TestPacketsHaveTheBytesOfTheSpecification(t *testing.T) {
	for name, c := range map[string]struct{ got, want []byte }{
		"CONNECT":      {mqtt.AppendConnect(nil, "ab", 300), []byte{0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 1, 44, 0, 2, 'a', 'b'}},
		"CONNACK":      {mqtt.AppendConnack(nil), []byte{0x20, 2, 0, 0}},
		"PUBLISH QoS0": {mqtt.AppendPublish(nil, "t", 0, 7, []byte("x")), []byte{0x30, 4, 0, 1, 't', 'x'}},
		"PUBLISH QoS1": {mqtt.AppendPublish(nil, "t", 1, 7, []byte("x")), []byte{0x32, 6, 0, 1, 't', 0, 7, 'x'}},
		"PUBACK":       {mqtt.AppendPuback(nil, 258), []byte{0x40, 2, 1, 2}},
		"PINGREQ":      {mqtt.AppendPingreq(nil), []byte{0xc0, 0}},
		"PINGRESP":     {mqtt.AppendPingresp(nil), []byte{0xd0, 0}},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", name, c.got, c.want)
		}
	}
}

func TestWhatIsAppendedIsReadBackWholeOrInPieces(t *testing.T) {
	payload := []byte(strings.Repeat("p", 200)) // a length of two bytes
	var stream []byte
	stream = mqtt.AppendConnect(stream, "id", 60)
	stream = mqtt.AppendPublish(stream, "topic", 1, 513, payload)
	stream = mqtt.AppendPublish(stream, "topic", 0, 0, payload)
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(stream), "pieces": iotest.OneByteReader(bytes.NewReader(stream))} {
		reader := mqtt.NewReader(bufio.NewReader(r))
		if _, err := reader.Expect(mqtt.Connect); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, wantQoS := range []byte{1, 0} {
			p, err := reader.Expect(mqtt.Publish)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			qos, id, got, err := p.Publish()
			if err != nil || string(p.Topic()) != "topic" || qos != wantQoS || id != uint16(qos)*513 || !bytes.Equal(got, payload) {
				t.Errorf("%s: topic %q, qos %d, id %d, %d bytes, %v", name, p.Topic(), qos, id, len(got), err)
			}
		}
		if _, err := reader.Next(); err != io.EOF {
			t.Errorf("%s: %v at the end, want EOF", name, err)
		}
	}
}

func TestAReaderRefusesWhatIsTooLongOrCutShort(t *testing.T) {
	for name, c := range map[string]struct {
		stream []byte
		want   error
	}{
		"five length bytes": {[]byte{0x30, 0x80, 0x80, 0x80, 0x80, 0}, mqtt.ErrTooLarge},
		"a huge packet":     {[]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, mqtt.ErrTooLarge},
		"no length":         {[]byte{0x30}, io.ErrUnexpectedEOF},
		"no body":           {[]byte{0x30, 4}, io.ErrUnexpectedEOF},
	} {
		if _, err := mqtt.NewReader(bufio.NewReader(bytes.NewReader(c.stream))).Next(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := mqtt.NewReader(bufio.NewReader(bytes.NewReader([]byte{0xd0, 0}))).Expect(mqtt.Connack); err == nil {
		t.Error("a PINGRESP passed for a CONNACK")
	}
}

func FuzzAnyStreamIsCutIntoPacketsThatRejoinToIt(f *testing.F) {
	f.Add(mqtt.AppendPublish(mqtt.AppendConnect(nil, "id", 60), "t", 1, 1, []byte("payload")))
	f.Add([]byte{0x32, 3, 0, 9, 'x'})
	f.Fuzz(func(t *testing.T, stream []byte) {
		reader := mqtt.NewReader(bufio.NewReader(bytes.NewReader(stream)))
		var joined []byte
		for {
			p, err := reader.Next()
			if err != nil {
				break
			}
			joined = append(joined, p.Raw...)
			if p.Type() == mqtt.Publish {
				_, _, _, _ = p.Publish()
			}
		}
		if !bytes.HasPrefix(stream, joined) {
			t.Errorf("% x is no prefix of % x", joined, stream)
		}
	})
}
