package probe

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func FuzzConnack(f *testing.F) {
	for _, seed := range []string{
		"\x20\x02\x00\x00", "\x20\x03\x00\x00\x00", "\x20\x07\x00\x9c\x04\x1c\x00\x01x", "\x20\xff\xff\xff\xff\x01", "\x15\x03\x03", "\x20\x80\x80\x80\x00", "",
	} {
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, b []byte, v5 bool) {
		asked := byte(4)
		if v5 {
			asked = 5
		}
		source := bytes.NewReader(b)
		a, err := readConnack(bufio.NewReader(io.LimitReader(source, longestAnswer)), asked)
		if err != nil {
			return
		}
		if b[0] != packetConnack || a.level > asked {
			t.Fatalf("% x is taken for a CONNACK of level %d", b, a.level)
		}
		refusal := a.refusal()
		if a.accepted() && a.senseless() {
			t.Fatalf("%+v both accepts and makes no sense", a)
		}
		if a.senseless() && refusal == nil {
			t.Fatalf("%+v makes no sense and yet is alive", a)
		}
		if refusal != nil && len(refusal.Error()) > 200 {
			t.Fatalf("%d bytes of error", len(refusal.Error()))
		}
	})
}

func FuzzAfterConnack(f *testing.F) {
	for _, seed := range []string{"\xd0\x00", "\x31\x05\x00\x01t\x00x\xd0\x00", "\xe0\x02\x9c\x00", "\xe0\x00", "\x30\xff\x7f"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var sent bytes.Buffer
		err := MQTT{}.ping(&sent, bufio.NewReader(bytes.NewReader(b)))
		if left := strings.HasSuffix(sent.String(), "\xe0\x00"); left != (err == nil) {
			t.Fatalf("sent % x and returned %v", sent.Bytes(), err)
		}
	})
}

func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 15\r\n\r\nstarting",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nemqx is running\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	request, err := http.NewRequest(http.MethodGet, "http://10.0.0.21:18083/", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, judge := range []func(string, *http.Response) error{judgeAvailability, judgeStatus} {
			response, err := readResponse(bufio.NewReader(bytes.NewReader(b)), request)
			if err != nil {
				return
			}
			if err := judge("/status", response); err != nil && len(err.Error()) > 200 {
				t.Fatalf("%d bytes of error", len(err.Error()))
			}
		}
	})
}
