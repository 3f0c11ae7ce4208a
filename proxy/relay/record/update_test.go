package record

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"
)

func TestARequestedKeyUpdateIsAnsweredUnderTheOldKey(t *testing.T) {
	for _, id := range suites {
		server, client := newPeers(t, id)
		before := server.write.secret
		reply := answer(t, server, client.KeyUpdate(nil, true))
		if server.write.secret == before {
			t.Fatal("the server still writes under the old secret")
		}
		mustOpen(t, client, reply)
		if plain := mustOpen(t, client, server.Seal(nil, []byte("new"))); string(plain) != "new" {
			t.Errorf("received %q", plain)
		}
		if plain := mustOpen(t, server, client.Seal(nil, []byte("new"))); string(plain) != "new" {
			t.Errorf("received %q", plain)
		}
		if server.write.secret != client.read.secret || server.read.secret != client.write.secret {
			t.Error("the peers disagree on the secrets")
		}
	}
}

func TestOneAnswerIsEnoughForManyRequests(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	var records []byte
	for range 2000 {
		records = client.KeyUpdate(client.Seal(records, []byte("x")), true)
	}
	reply := answer(t, server, records)
	if want := headerLen + len(keyUpdateHeader) + 2 + tagLen; len(reply) != want {
		t.Fatalf("reply of %d bytes, want %d", len(reply), want)
	}
	mustOpen(t, client, reply)
	mustOpen(t, client, server.Seal(nil, []byte("x")))
}

func TestKeyUpdatesCrossDataAndEachOther(t *testing.T) {
	for _, id := range suites {
		server, client := newPeers(t, id)
		var received [2][]byte
		var want []byte
		flight := [2][]byte{} // towards the server, towards the client
		for round := range 60 {
			text := payload(round * 37)
			want = append(want, text...)
			flight[0] = client.Seal(flight[0], text)
			flight[1] = server.Seal(flight[1], text)
			if round%3 == 0 {
				flight[0] = client.KeyUpdate(flight[0], round%2 == 0)
			}
			if round%4 == 0 {
				flight[1] = server.KeyUpdate(flight[1], round%5 == 0)
			}
			if round%7 == 0 {
				server.Sleep()
			}
			// Half of what is under way arrives; the rest meets what comes back.
			for i, s := range []*State{server, client} {
				n := len(flight[i]) / 2
				work := new(Work)
				plain, err := openPieces(s, flight[i][:n], work, 100)
				if err != nil {
					t.Fatal(err)
				}
				received[i], flight[i] = append(received[i], plain...), flight[i][n:]
				flight[1-i] = append(flight[1-i], work.Reply...)
			}
		}
		for i, s := range []*State{server, client, server} {
			work := new(Work)
			plain, err := s.Open(nil, flight[i%2], work)
			if err != nil {
				t.Fatal(err)
			}
			received[i%2], flight[i%2] = append(received[i%2], plain...), nil
			flight[1-i%2] = append(flight[1-i%2], work.Reply...)
		}
		if !bytes.Equal(received[0], want) || !bytes.Equal(received[1], want) {
			t.Errorf("received %d and %d bytes, want %d", len(received[0]), len(received[1]), len(want))
		}
	}
}

func TestARequestTogetherWithCloseNotifyIsAnswered(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	work := new(Work)
	if _, err := server.Open(nil, client.CloseNotify(client.KeyUpdate(nil, true)), work); err != io.EOF {
		t.Fatal(err)
	}
	mustOpen(t, client, work.Reply)
	mustOpen(t, client, server.Seal(nil, []byte("x")))
}

func TestNothingIsAnsweredAfterOurCloseNotify(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	server.CloseNotify(nil)
	mustOpen(t, server, client.KeyUpdate(nil, true))
	if plain := mustOpen(t, server, client.Seal(nil, []byte("x"))); string(plain) != "x" {
		t.Errorf("received %q", plain)
	}
}

func TestTheWriteKeyChangesBeforeTheLimitOfAESGCM(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	server.write.seq, client.read.seq = maxSealed-1, maxSealed-1
	text := payload(3 * MaxPayload)
	if plain := mustOpen(t, client, server.Seal(nil, text)); !bytes.Equal(plain, text) {
		t.Errorf("received %d bytes, want %d", len(plain), len(text))
	}
	if server.write.seq != 2 || client.read.seq != 2 {
		t.Errorf("sequence numbers %d and %d under the next key, want 2", server.write.seq, client.read.seq)
	}
}
