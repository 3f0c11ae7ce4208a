package record

import (
	"bytes"
	"crypto/tls"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestNewRefusesWhatItCannotServe(t *testing.T) {
	short, long := make([]byte, 32), make([]byte, 48)
	for _, test := range []struct {
		secrets Secrets
		want    string
	}{
		{Secrets{tls.TLS_CHACHA20_POLY1305_SHA256, short, short}, "TLS_CHACHA20_POLY1305_SHA256 is not supported"},
		{Secrets{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, long, long}, "is not supported"},
		{Secrets{tls.TLS_AES_128_GCM_SHA256, short, long}, "32 and 48 bytes, want 32"},
		{Secrets{tls.TLS_AES_256_GCM_SHA384, short, long}, "32 and 48 bytes, want 48"},
		{Secrets{Suite: tls.TLS_AES_128_GCM_SHA256}, "0 and 0 bytes, want 32"},
	} {
		if supported(test.secrets.Suite) != strings.Contains(test.want, "bytes") {
			t.Errorf("suite %#x supported: %t", test.secrets.Suite, supported(test.secrets.Suite))
		}
		if _, err := New(test.secrets); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
}

func TestNewRefusesUnderFIPS140Only(t *testing.T) {
	_, err := New(Secrets{tls.TLS_AES_128_GCM_SHA256, make([]byte, 32), make([]byte, 32)})
	if strings.Contains(os.Getenv("GODEBUG"), "fips140=only") {
		if err == nil || !strings.Contains(err.Error(), "fips140=only") {
			t.Errorf("error %v, want a refusal", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWritingContinuesAfterWhatWasWritten(t *testing.T) {
	handshake := append([]byte("\x16\x03\x03\x00\x04hell\x17\x03\x03\x00\x20"), make([]byte, 32)...)
	for _, id := range suites {
		for n := range 10 {
			before, client := newPeers(t, id)
			flight, last := handshake, []byte(nil)
			for range n {
				last = before.Seal(nil, payload(200))
				flight = append(flight, last...)
				mustOpen(t, client, last)
			}
			for _, written := range [][]byte{flight, last} {
				server, _ := newPeers(t, id)
				if found := server.SkipWritten(written); found != n {
					t.Fatalf("%d records found, want %d", found, n)
				}
				next := *client
				next.keys = nil
				if plain := mustOpen(t, &next, server.Seal(nil, []byte("next"))); string(plain) != "next" {
					t.Errorf("received %q after %d records", plain, n)
				}
			}
		}
	}
}

func TestNothingWrittenIsFoundInWhatIsNotOurs(t *testing.T) {
	server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
	for _, last := range [][]byte{
		nil, {}, []byte("\x17\x03\x03\x00"), []byte("\x17\x03\x03\x00\x00"), []byte("\x17\x03\x03\xff\xffabc"),
		client.Seal(nil, payload(100)), payload(5000),
	} {
		if n := server.SkipWritten(last); n != 0 || server.write.seq != 0 {
			t.Errorf("%d records found in %.20x", n, last)
		}
	}
}

func TestPayloadIsCutIntoTheLongestRecords(t *testing.T) {
	for _, n := range []int{0, 1, MaxPayload - 1, MaxPayload, MaxPayload + 1, 5*MaxPayload + 3} {
		server, client := newPeers(t, tls.TLS_AES_128_GCM_SHA256)
		text := payload(n)
		records := server.Seal([]byte("before"), text)
		count := (n + MaxPayload - 1) / MaxPayload
		if len(records) != len("before")+n+count*Overhead || server.write.seq != uint64(count) {
			t.Errorf("%d bytes in %d records are %d bytes", n, server.write.seq, len(records))
		}
		records, found := bytes.CutPrefix(records, []byte("before"))
		if plain := mustOpen(t, client, records); !found || !bytes.Equal(plain, text) {
			t.Errorf("%d bytes came as %d", n, len(plain))
		}
	}
}
