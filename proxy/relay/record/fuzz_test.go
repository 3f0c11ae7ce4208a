package record

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"testing"
)

// FuzzOpen makes a stream of ops, some of them valid records of any content,
// some of them any bytes, and opens it at once and in pieces.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("\x01\x05hello\x02\x00\x03\x01\x01\x03abc"), []byte{1, 2, 3})
	f.Add([]byte("\x00\x06\x14\x03\x03\x00\x01\x01"), []byte{5})
	f.Add([]byte("\x04\x06\x18\x00\x00\x01\x00\x16\x04\x03\x01\x00\x15"), []byte{200})
	f.Add([]byte("\x04\x03\x01\x5a\x15\x04\x02\x18\x16\x04\x05\x00\x00\x01\x01\x16\x05\x00"), []byte{7, 1})
	f.Add([]byte("\x00\x05\x17\x03\x03\x41\x00"), []byte{})
	f.Fuzz(func(t *testing.T, ops, cuts []byte) {
		id := suites[len(ops)%len(suites)]
		whole, client := newPeers(t, id)
		stream := play(client, ops)
		if len(stream) > 1<<18 {
			return
		}

		work := new(Work)
		plain, err := whole.Open(nil, stream, work)
		checkReply(t, client, work.Reply, err)
		if len(plain) > len(stream) {
			t.Fatalf("%d bytes of payload in %d bytes of records", len(plain), len(stream))
		}

		pieces, other := newPeers(t, id)
		play(other, ops)
		var plain2 []byte
		var err2 error
		work2 := new(Work)
		for i, rest := 0, stream; len(rest) > 0; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(1+int(cuts[i%len(cuts)])*7, n)
			}
			var sticky error
			plain2, sticky = pieces.Open(plain2, rest[:n:n], work2)
			if err2 != nil && !reflect.DeepEqual(err2, sticky) {
				t.Fatalf("error %v became %v", err2, sticky)
			}
			err2, rest = sticky, rest[n:]
			if p := pieces.partial; p != nil && cap(p.record) > MaxRecord || len(work2.free) > 1 {
				t.Fatal("more kept than one record")
			}
			pieces.Sleep()
		}
		checkReply(t, other, work2.Reply, err2)
		if !bytes.Equal(plain, plain2) || !reflect.DeepEqual(err, err2) {
			t.Fatalf("%d bytes and %v in pieces, %d bytes and %v at once", len(plain2), err2, len(plain), err)
		}
		if whole.Partial() != pieces.Partial() || whole.read != pieces.read {
			t.Fatal("the states differ")
		}
	})
}

// play makes the stream: the op, and a length or flag.
func play(client *State, ops []byte) (stream []byte) {
	for len(ops) >= 2 {
		op, n := ops[0]%6, int(ops[1])
		ops = ops[2:]
		some := ops[:min(n, len(ops))]
		switch op {
		case 0:
			stream, ops = append(stream, some...), ops[len(some):]
		case 1:
			stream, ops = client.Seal(stream, some), ops[len(some):]
		case 2:
			stream = client.KeyUpdate(stream, n&1 == 1)
		case 3:
			stream = client.Seal(stream, payload(n*100))
		case 4:
			stream, ops = append(stream, forge(client, some...)...), ops[len(some):]
		case 5:
			if n&1 == 0 {
				stream = client.CloseNotify(stream)
				client.mute = false
			} else {
				client.updateWrite() // as after a KeyUpdate in pieces
			}
		}
	}
	return stream
}

// checkReply checks that the peer understands the reply, and is told the alert.
func checkReply(t *testing.T, peer *State, reply []byte, err error) {
	t.Helper()
	peer.useless = 0
	peer.mute = false
	var told error
	for len(reply) > 0 {
		n := headerLen + bodyLen(reply)
		_, told = peer.Open(nil, reply[:n], new(Work))
		reply, peer.useless = reply[n:], 0
	}
	var alert *Alert
	if err == nil || errors.Is(err, io.EOF) || errors.As(err, &alert) && !alert.Sent {
		if told != nil {
			t.Fatalf("the peer is told %v after %v", told, err)
		}
		return
	}
	var toldAlert *Alert
	if !errors.As(told, &toldAlert) || toldAlert.Code != alert.Code {
		t.Fatalf("the peer is told %v after %v", told, err)
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello, world"), uint16(3), uint16(4), false)
	f.Add(payload(50_000), uint16(20_000), uint16(1000), true)
	f.Fuzz(func(t *testing.T, text []byte, write, read uint16, updates bool) {
		sender, receiver := newPeers(t, suites[len(text)%len(suites)])
		var stream []byte
		for rest := text; len(rest) > 0; {
			n := min(int(write)+1, len(rest))
			stream, rest = sender.Seal(stream, rest[:n]), rest[n:]
			if updates {
				stream = sender.KeyUpdate(stream, n%2 == 0)
				sender.Sleep()
			}
		}
		stream = sender.CloseNotify(stream)
		work := new(Work)
		plain, err := openPieces(receiver, stream, work, int(read)+1)
		if err != io.EOF || !bytes.Equal(plain, text) {
			t.Fatalf("%d bytes and %v, want %d and EOF", len(plain), err, len(text))
		}
		sender.useless = 0
		for reply := work.Reply; len(reply) > 0; {
			n := headerLen + bodyLen(reply)
			mustOpen(t, sender, reply[:n])
			reply, sender.useless = reply[n:], 0
		}
	})
}
