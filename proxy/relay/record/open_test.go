package record

import (
	"bytes"
	"crypto/tls"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// mixture is records of all kinds that a client may send, and their payload.
func mixture(client *State) (records, text []byte) {
	add := func(p []byte) {
		records = client.Seal(records, p)
		text = append(text, p...)
	}
	add(payload(1))
	records = append(records, forge(client, typeApplicationData)...) // empty
	records = append(records, forge(client, 'p', typeApplicationData, 0, 0, 0)...)
	text = append(text, 'p')
	records = append(records, forge(client, levelWarning, alertUserCanceled, typeAlert)...)
	add(payload(300))
	records = client.KeyUpdate(records, false)
	add(payload(40))
	for _, piece := range []string{keyUpdateHeader[:1], keyUpdateHeader[1:3], keyUpdateHeader[3:] + "\x00"} {
		records = append(records, forge(client, append([]byte(piece), typeHandshake)...)...)
	}
	client.updateWrite()
	add(payload(7))
	return client.CloseNotify(records), text
}

func TestRecordsOpenHoweverTheyAreCut(t *testing.T) {
	for _, id := range suites {
		_, client := newPeers(t, id)
		records, text := mixture(client)
		for cut := range len(records) {
			for _, sizes := range [][]int{{cut, len(records)}, {cut + 1}} {
				server, _ := newPeers(t, id)
				work := new(Work)
				plain, err := openPieces(server, records, work, sizes...)
				if err != io.EOF || !bytes.Equal(plain, text) {
					t.Fatalf("pieces %v: %d bytes and %v, want %d and EOF", sizes, len(plain), err, len(text))
				}
				if len(work.Reply) > 0 || server.Partial() {
					t.Fatalf("pieces %v: reply of %d bytes, partial %t", sizes, len(work.Reply), server.Partial())
				}
			}
		}
	}
}

func TestBulkOpensHoweverItIsCut(t *testing.T) {
	text := payload(300_000)
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
		var records []byte
		for left := text; len(left) > 0; {
			n := min(1+random.IntN(40_000), len(left))
			records = client.Seal(records, left[:n])
			left = left[n:]
		}
		var sizes []int
		for range 200 {
			sizes = append(sizes, 1+random.IntN(1<<random.IntN(17)))
		}
		plain, err := openPieces(server, records, new(Work), sizes...)
		if err != nil || !bytes.Equal(plain, text) {
			t.Fatalf("pieces %v: %d bytes and %v", sizes, len(plain), err)
		}
	}
}

func TestPartialTellsWhetherTheStreamEndsInsideARecord(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	record := client.Seal(nil, payload(100))
	for i, c := range record {
		if server.Partial() != (i > 0) {
			t.Fatalf("after %d of %d bytes: %t", i, len(record), server.Partial())
		}
		mustOpen(t, server, []byte{c})
	}
	if server.Partial() {
		t.Error("partial after a whole record")
	}
}

func TestPayloadBeforeAnErrorIsDelivered(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	records := client.Seal(nil, []byte("last words"))
	plain, err := server.Open([]byte("before, "), append(records, 0xff, 0, 0, 0, 0), new(Work))
	if string(plain) != "before, last words" || alertOf(t, err).Code != alertUnexpectedMessage {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestMalformedRecordsAreAnsweredWithTheirAlert(t *testing.T) {
	inner := func(content string, typ ...byte) func(*State) []byte {
		return func(client *State) []byte { return forge(client, append([]byte(content), typ...)...) }
	}
	raw := func(b ...byte) func(*State) []byte {
		return func(*State) []byte { return b }
	}
	changed := func(at int) func(*State) []byte {
		return func(client *State) []byte {
			record := client.Seal(nil, []byte("payload"))
			record[at] ^= 1
			return record
		}
	}
	repeated := func(n int, f func(*State) []byte) func(*State) []byte {
		return func(client *State) (records []byte) {
			for range n {
				records = append(records, f(client)...)
			}
			return records
		}
	}
	keyUpdate := func(client *State) []byte { return client.KeyUpdate(nil, false) }
	long := string(make([]byte, MaxPayload))
	for _, test := range []struct {
		name  string
		bytes func(*State) []byte
		code  tls.AlertError
	}{
		{"change_cipher_spec outside", raw(20, 3, 3, 0, 1, 1), alertUnexpectedMessage},
		{"alert outside", raw(21, 3, 3, 0, 2, 1, 0), alertUnexpectedMessage},
		{"handshake outside", raw(22, 3, 3, 0, 5, 24, 0, 0, 1, 0), alertUnexpectedMessage},
		{"not TLS at all", raw([]byte("GET / HTTP/1.1\r\n")...), alertUnexpectedMessage},
		{"too long, by the header alone", raw(23, 3, 3, 0x41, 0x01), alertRecordOverflow},
		{"longest, but not encrypted", raw(append([]byte{23, 3, 3, 0x41, 0}, make([]byte, maxCiphertext)...)...),
			alertBadRecordMAC},
		{"no body", raw(23, 3, 3, 0, 0), alertBadRecordMAC},
		{"shorter than a tag", raw(append([]byte{23, 3, 3, 0, 15}, make([]byte, 15)...)...), alertBadRecordMAC},
		{"body changed", changed(headerLen), alertBadRecordMAC},
		{"tag changed", changed(headerLen + 8 + tagLen - 1), alertBadRecordMAC},
		{"version changed", changed(1), alertBadRecordMAC},
		{"record lost", func(c *State) []byte {
			c.Seal(nil, []byte("lost"))
			return c.Seal(nil, []byte("next"))
		}, alertBadRecordMAC},
		{"plaintext too long", inner(long+"x", typeApplicationData), alertRecordOverflow},
		{"plaintext too long with padding", inner(long, typeApplicationData, 0), alertRecordOverflow},
		{"nothing inside", inner(""), alertUnexpectedMessage},
		{"padding only", inner("", 0, 0, 0), alertUnexpectedMessage},
		{"longest padding only", inner(long, 0), alertUnexpectedMessage},
		{"change_cipher_spec inside", inner("\x01", 20), alertUnexpectedMessage},
		{"unknown type", inner("x", 99), alertUnexpectedMessage},
		{"empty alert", inner("", typeAlert), alertUnexpectedMessage},
		{"alert of one byte", inner("\x01", typeAlert), alertDecodeError},
		{"two alerts", inner("\x01\x5a\x01\x00", typeAlert), alertDecodeError},
		{"empty handshake", inner("", typeHandshake), alertUnexpectedMessage},
		{"session ticket", inner("\x04\x00\x00\x01x", typeHandshake), alertUnexpectedMessage},
		{"post-handshake certificate", inner("\x0b", typeHandshake), alertUnexpectedMessage},
		{"client hello", inner("\x01\x00\x00\x01x", typeHandshake), alertUnexpectedMessage},
		{"key update without body", inner("\x18\x00\x00\x00", typeHandshake), alertDecodeError},
		{"key update of two bytes", inner("\x18\x00\x00\x02\x00\x00", typeHandshake), alertDecodeError},
		{"key update of 16 MB", inner("\x18\xff", typeHandshake), alertDecodeError},
		{"key update neither 0 nor 1", inner("\x18\x00\x00\x01\x02", typeHandshake), alertIllegalParameter},
		{"two key updates in a record", inner("\x18\x00\x00\x01\x00\x18\x00\x00\x01\x00", typeHandshake), alertUnexpectedMessage},
		{"a message begun after a key update", inner("\x18\x00\x00\x01\x00\x18", typeHandshake), alertUnexpectedMessage},
		{"payload inside a message", func(c *State) []byte {
			return append(forge(c, 0x18, typeHandshake), c.Seal(nil, []byte("x"))...)
		}, alertUnexpectedMessage},
		{"close_notify inside a message", func(c *State) []byte {
			return c.CloseNotify(forge(c, 0x18, 0, typeHandshake))
		}, alertUnexpectedMessage},
		{"17 empty records", repeated(17, inner("", typeApplicationData)), alertUnexpectedMessage},
		{"17 key updates", repeated(17, keyUpdate), alertUnexpectedMessage},
		{"17 times user_canceled", repeated(17, inner("\x01\x5a", typeAlert)), alertUnexpectedMessage},
		{"9 empty records and key updates", repeated(9, func(c *State) []byte {
			return c.KeyUpdate(forge(c, typeApplicationData), false)
		}), alertUnexpectedMessage},
	} {
		for _, size := range []int{math.MaxInt, 1} {
			server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
			work := new(Work)
			plain, err := openPieces(server, test.bytes(client), work, size)
			alert := alertOf(t, err)
			if alert.Code != test.code || !alert.Sent || alert.Reason == "" || len(plain) > 0 {
				t.Errorf("%s: %q and %v, want alert %v", test.name, plain, err, test.code)
				continue
			}
			_, err = client.Open(nil, work.Reply, new(Work))
			if told := alertOf(t, err); told.Code != test.code || told.Sent {
				t.Errorf("%s: the peer is told %v", test.name, err)
			}
			checkEnded(t, server)
		}
	}
}

// checkEnded checks that a State that an alert has ended stays so.
func checkEnded(t *testing.T, s *State) {
	t.Helper()
	work := new(Work)
	_, first := s.Open(nil, nil, work)
	_, again := s.Open(nil, payload(100), work)
	if first == nil || !reflect.DeepEqual(first, again) {
		t.Errorf("errors %v and %v, want the same", first, again)
	}
	sent := s.CloseNotify(s.KeyUpdate(s.Seal(work.Reply, []byte("x")), true))
	if len(sent) > 0 || s.Partial() {
		t.Errorf("%d bytes sent and partial %t after the end", len(sent), s.Partial())
	}
}

func TestUselessRecordsAreCountedFromTheLastPayload(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	for range 3 {
		for range maxUseless / 2 {
			mustOpen(t, server, forge(client, typeApplicationData))
			mustOpen(t, server, client.KeyUpdate(nil, false))
		}
		mustOpen(t, server, client.Seal(nil, []byte("x")))
	}
}

func TestTheLongestRecordsOpen(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	text := payload(MaxPayload)
	if plain := mustOpen(t, server, client.Seal(nil, text)); !bytes.Equal(plain, text) {
		t.Errorf("%d bytes of payload", len(plain))
	}
	padded := append([]byte{'x', typeApplicationData}, make([]byte, MaxPayload-1)...)
	if plain := mustOpen(t, server, forge(client, padded...)); string(plain) != "x" {
		t.Errorf("%d bytes of padded payload", len(plain))
	}
}

func TestCloseNotifyEndsReadingOnly(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	end := client.CloseNotify(nil)
	if n := len(client.CloseNotify(client.Seal(nil, []byte("x")))); n > 0 {
		t.Errorf("%d bytes after close_notify", n)
	}
	for range 2 {
		work := new(Work)
		plain, err := server.Open(nil, append(end, "ignored"...), work) // section 6.1
		if err != io.EOF || len(plain)+len(work.Reply) > 0 || server.Partial() {
			t.Errorf("%q and %v", plain, err)
		}
	}
	if plain := mustOpen(t, client, server.Seal(nil, []byte("still here"))); string(plain) != "still here" {
		t.Errorf("received %q", plain)
	}
	if _, err := client.Open(nil, server.CloseNotify(nil), new(Work)); err != io.EOF {
		t.Errorf("error %v, want EOF", err)
	}
}

func TestAnAlertOfThePeerEndsBothDirections(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	for _, level := range []byte{levelWarning, levelFatal} {
		s := *server
		s.keys = nil
		work := new(Work)
		_, err := s.Open(nil, forge(client, level, 42, typeAlert), work)
		if alert := alertOf(t, err); alert.Code != 42 || alert.Sent || len(work.Reply) > 0 {
			t.Errorf("%v, reply of %d bytes", err, len(work.Reply))
		}
		if want := "record: peer sent alert: bad certificate"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		checkEnded(t, &s)
		client.write.seq = 0
	}
}

func TestASequenceNumberIsNeverUsedTwice(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	server.read.seq, client.write.seq = math.MaxUint64-1, math.MaxUint64-1
	mustOpen(t, server, forge(client, 'x', typeApplicationData))
	_, err := server.Open(nil, forge(client, 'x', typeApplicationData), new(Work))
	if alert := alertOf(t, err); alert.Code != alertInternalError {
		t.Errorf("error %v", err)
	}
}

func TestErrorTextsNameTheReason(t *testing.T) {
	_, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	for want, record := range map[string][]byte{
		"record: sent alert: unexpected message: record is not application_data on the outside": {20, 3, 3, 0, 1, 1},
		"record: sent alert: unexpected message: record has no content type":                    forge(client, 0, 0),
	} {
		server, _ := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
		if _, err := server.Open(nil, record, new(Work)); err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	}
	var reasons []string
	for f := faultOuterType; f <= faultSequence; f++ {
		_, reason := f.alert()
		if slices.Contains(reasons, reason) {
			t.Errorf("fault %d has the reason of another: %s", f, reason)
		}
		reasons = append(reasons, reason)
	}
}
