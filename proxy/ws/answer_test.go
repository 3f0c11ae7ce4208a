package ws

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func accepted(change ...string) string {
	out := lines("HTTP/1.1 101 Switching Protocols", "connection: Upgrade", "upgrade: websocket", "server: Cowboy",
		"sec-websocket-accept: "+sampleAccept, "sec-websocket-protocol: mqtt")
	if len(change) == 2 {
		out = strings.Replace(out, change[0], change[1], 1)
	}
	return out
}

func TestAnEndpointsAcceptanceIsReadHoweverItIsCut(t *testing.T) {
	for _, r := range []io.Reader{
		strings.NewReader(accepted() + "\x89\x00"),
		iotest.OneByteReader(strings.NewReader(accepted() + "\x89\x00")),
	} {
		rest, err := ReadAccepted(r, sampleKey)
		more, _ := io.ReadAll(r)
		if got := string(rest) + string(more); err != nil || got != "\x89\x00" {
			t.Errorf("%q left, %v", got, err)
		}
	}
}

func TestAnEndpointThatDoesNotAcceptIsNotBelieved(t *testing.T) {
	for _, tt := range []struct{ name, in, says string }{
		{"MQTT", "\x20", "begins with 0x20"},
		{"TLS", "\x15\x03", "TLS"},
		{"HTTP/1.0", "HTTP/1.0 101 OK\r\n", "not HTTP/1.1"},
		{"no status", "HTTP/1.1 abc\r\n", "no HTTP status"},
		{"a line cut", "HTTP\r\n", "no HTTP status"},
		{"a long status", "HTTP/1.1 1010\r\n", "no HTTP status"},
		{"another key", accepted("s3p", "S3p"), "does not fit the key"},
		{"no accept", accepted("accept", "except"), "does not fit the key"},
		{"another sub-protocol", accepted("mqtt", "chat"), "sub-protocol"},
		{"no sub-protocol", accepted("sec-websocket-protocol", "x"), "sub-protocol"},
		{"an extension", accepted("server: Cowboy", "Sec-WebSocket-Extensions: permessage-deflate"), "extensions"},
		{"another upgrade", accepted("websocket", "h2c"), "something else"},
		{"no upgrade", accepted("connection", "x"), "something else"},
		{"a broken field", accepted("server:", "server"), "no field"},
		{"no end", accepted("server:", "server: "+strings.Repeat("x", maxAnswer)), "16384"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := io.MultiReader(strings.NewReader(tt.in), iotest.ErrReader(errors.New("it waits for more")))
			_, err := ReadAccepted(r, sampleKey)
			if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "endpoint") {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}

func TestTheStatusOfAnEndpointThatRefusesIsKnownBeforeItsPage(t *testing.T) {
	for line, want := range map[string]int{
		"HTTP/1.1 404 Not Found\r\n":   http.StatusNotFound,
		"HTTP/1.1 400\r\n":             http.StatusBadRequest,
		"HTTP/1.1 503 \r\nServer: x\r": http.StatusServiceUnavailable,
	} {
		_, err := ReadAccepted(io.MultiReader(strings.NewReader(line), iotest.ErrReader(errors.New("it waits"))), sampleKey)
		var status *StatusError
		if !errors.As(err, &status) || status.Status != want || !strings.Contains(err.Error(), http.StatusText(want)) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestReadAcceptedSaysWhenTheStreamEnds(t *testing.T) {
	if _, err := ReadAccepted(strings.NewReader(""), sampleKey); err != io.EOF {
		t.Errorf("empty: %v", err)
	}
	if _, err := ReadAccepted(strings.NewReader("HTTP/1.1 101 S\r\n"), sampleKey); err != io.ErrUnexpectedEOF {
		t.Errorf("cut: %v", err)
	}
}

func FuzzReadAccepted(f *testing.F) {
	f.Add([]byte(accepted()))
	f.Add([]byte(accepted() + "\x82\x04\x20\x02\x00\x00"))
	f.Add([]byte("HTTP/1.1 404 Not Found\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		rest, err := ReadAccepted(r, sampleKey)
		_, cut := ReadAccepted(iotest.OneByteReader(bytes.NewReader(b)), sampleKey)
		if (err == nil) != (cut == nil) {
			t.Fatalf("whole: %v, in pieces: %v", err, cut)
		}
		if err == nil && !bytes.HasSuffix(b[:len(b)-r.Len()], rest) {
			t.Fatalf("%q is not the end of what came", rest)
		}
	})
}
