package record

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// From RFC 8448, section 3.
const (
	rfcClientSecret = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
	rfcServerSecret = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
	rfcServerKey    = "9f02283b6c9c07efc26bb9f2ac92e356"
	rfcServerIV     = "cf782b88dd83549aadf1e984"
	rfcTicket       = "17030300de3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6b580dcf3d11d63c758" +
		"db289a015940252f55713e061dc13e078891a38efbcf5753ad8ef170ad3c7353d16d9da773b9ca7f2b9fa1b6c0d4a3d03f75e09c" +
		"30ba1e62972ac46f75f7b981be63439b2999ce13064615139891d5e4c5b406f16e3fc181a77ca475840025db2f0a77f81b5ab05b" +
		"94c01346755f69232c86519d86cbeeac87aac347d143f9605d64f650db4d023e70e952ca49fe5137121c74bc2697687e248746d6" +
		"df353005f3bce18696129c8153556b3b6c6779b37bf15985684f"
	rfcClientData = "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e" +
		"1f5a6292a2977014bd1e3deae63aeebb21694915e4"
	rfcServerData = "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c" +
		"4bf2e5f0a21c0047c2abf332540dd032e167c2955d"
	rfcClientClose = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"
	rfcServerClose = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func rfcServer(t *testing.T) *State {
	t.Helper()
	s, err := New(Secrets{tls.TLS_AES_128_GCM_SHA256, unhex(t, rfcClientSecret), unhex(t, rfcServerSecret)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheKeysAreThoseOfRFC8448(t *testing.T) {
	s := rfcServer(t)
	if key := s.suite.expand(&s.write.secret, "key", s.suite.keyLen()); !bytes.Equal(key, unhex(t, rfcServerKey)) {
		t.Errorf("key %x", key)
	}
	if !bytes.Equal(s.write.iv[:], unhex(t, rfcServerIV)) {
		t.Errorf("iv %x", s.write.iv)
	}
}

func TestTheRecordsAreThoseOfRFC8448(t *testing.T) {
	s := rfcServer(t)
	if n := s.SkipWritten(unhex(t, rfcTicket)); n != 1 {
		t.Fatalf("%d records written, want the ticket", n)
	}
	text := make([]byte, 50)
	for i := range text {
		text[i] = byte(i)
	}
	if plain := mustOpen(t, s, unhex(t, rfcClientData)); !bytes.Equal(plain, text) {
		t.Errorf("opened %x", plain)
	}
	if record := s.Seal(nil, text); !bytes.Equal(record, unhex(t, rfcServerData)) {
		t.Errorf("sealed %x", record)
	}
	if _, err := s.Open(nil, unhex(t, rfcClientClose), new(Work)); err != io.EOF {
		t.Errorf("error %v, want EOF", err)
	}
	if record := s.CloseNotify(nil); !bytes.Equal(record, unhex(t, rfcServerClose)) {
		t.Errorf("close_notify %x", record)
	}
}

// The server of the recording is played by a State, which must send the same bytes.
func TestAES256AndKeyUpdatesMatchOpenSSL(t *testing.T) {
	file, err := os.Open("testdata/openssl-aes256gcm.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var (
		secrets       = Secrets{Suite: tls.TLS_AES_256_GCM_SHA384}
		before, after []byte // the server's handshake, and what it sent later
		received      []byte
	)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, text, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "CLIENT_TRAFFIC_SECRET_0":
			secrets.Read = unhex(t, text)
		case "SERVER_TRAFFIC_SECRET_0":
			secrets.Write = unhex(t, text)
		case "client":
			received = append(received, unhex(t, text)...)
		case "server":
			if len(received) == 0 {
				before = append(before, unhex(t, text)...)
			} else {
				after = append(after, unhex(t, text)...)
			}
		}
	}
	s, err := New(secrets)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.SkipWritten(before); n != 2 {
		t.Fatalf("%d records written, want two tickets", n)
	}
	var sent []byte
	var lines []string
	work := new(Work)
	for {
		n := headerLen + bodyLen(received)
		plain, err := s.Open(nil, received[:n], work)
		received = received[n:]
		sent = append(sent, work.Reply...)
		work.Reply = work.Reply[:0]
		if line, whole := bytes.CutSuffix(plain, []byte("\n")); whole {
			lines = append(lines, string(line))
			slices.Reverse(line)
			sent = s.Seal(sent, plain)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sent = s.CloseNotify(sent)
	if want := []string{"hello", "under the next key", "and the one after it"}; !slices.Equal(lines, want) {
		t.Errorf("received %q, want %q", lines, want)
	}
	if !bytes.Equal(sent, after) {
		t.Errorf("sent\n%x\nwant\n%x", sent, after)
	}
}
