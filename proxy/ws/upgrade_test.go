package ws

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// sampleKey and sampleAccept are those of RFC 6455 section 1.3.
const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ=="
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
)

// lines makes an HTTP message without a body.
func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

var sampleRequest = []string{
	"GET /mqtt?token=a%20b HTTP/1.1",
	"Host: edge.example:8084",
	"User-Agent: Mozilla/5.0 (X11)",
	"Origin: https://app.example",
	"Connection: keep-alive, Upgrade",
	"Upgrade: WebSocket",
	"Sec-WebSocket-Version: 13",
	"Sec-WebSocket-Key: " + sampleKey,
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
	"Sec-WebSocket-Protocol: mqtt",
	"Cookie: a=1; b=2",
}

// with returns the sample request with the line that begins like l in its place,
// or as another line; without the field if l ends in a colon.
func with(l string) string {
	out := slices.Clone(sampleRequest)
	name, value, _ := strings.Cut(l, ":")
	i := slices.IndexFunc(out, func(s string) bool { return strings.HasPrefix(s, name+":") })
	switch {
	case i < 0:
		out = append(out, l)
	case value == "":
		out = slices.Delete(out, i, i+1)
	default:
		out[i] = l
	}
	return lines(out...)
}

func read(t testing.TB, request string) Upgrade {
	t.Helper()
	u, rest, err := ReadUpgrade(strings.NewReader(request), MaxUpgrade)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%v, and %q left", err, rest)
	}
	return u
}

func TestAnUpgradeIsReadHoweverItIsCut(t *testing.T) {
	in := lines(sampleRequest...) + "\x82\x80frames"
	for name, r := range map[string]io.Reader{
		"at once":         strings.NewReader(in),
		"byte by byte":    iotest.OneByteReader(strings.NewReader(in)),
		"data with error": iotest.DataErrReader(strings.NewReader(in)),
	} {
		t.Run(name, func(t *testing.T) {
			u, rest, err := ReadUpgrade(r, MaxUpgrade)
			if err != nil || u.Target != "/mqtt?token=a%20b" || u.Host != "edge.example:8084" || u.Protocol != "mqtt" {
				t.Fatalf("%+v, %v", u, err)
			}
			more, _ := io.ReadAll(r)
			if got := string(rest) + string(more); got != "\x82\x80frames" {
				t.Errorf("%q left", got)
			}
		})
	}
}

func TestTheAnswerProvesTheKeyAndDeclinesExtensions(t *testing.T) {
	u := read(t, lines(sampleRequest...))
	want := lines("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Accept: "+sampleAccept, "Sec-WebSocket-Protocol: mqtt")
	if got := string(u.AppendAccept([]byte("x"))); got != "x"+want {
		t.Errorf("%q", got)
	}
}

func TestTheSubProtocolIsTheFirstOfTheClientsThatIsMQTT(t *testing.T) {
	for offer, want := range map[string]string{
		"mqtt":         "mqtt",
		"chat, mqtt":   "mqtt",
		"mqtt-v5,mqtt": "mqtt-v5",
		"mqttv3.1":     "mqttv3.1",
		"a\r\nsec-websocket-protocol: mqttv3.1.1": "mqttv3.1.1",
	} {
		u := read(t, with("Sec-WebSocket-Protocol: "+offer))
		if u.Protocol != want || !strings.Contains(string(u.AppendAccept(nil)), "\r\nSec-WebSocket-Protocol: "+want+"\r\n") {
			t.Errorf("of %q: %q", offer, u.Protocol)
		}
		if !strings.Contains(string(u.AppendRequest(nil, sampleKey, netip.AddrPort{})), "\r\nSec-WebSocket-Protocol: mqtt\r\n") {
			t.Errorf("of %q: the endpoint is not offered mqtt", offer)
		}
	}
}

func TestWhatIsNoUpgradeIsRefusedWithAStatusAndAReason(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		status   int
		says     string
	}{
		{"MQTT", "\x10", 400, "MQTT without WebSocket"},
		{"TLS", "\x16", 400, "TLS"},
		{"PROXY v1", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", 400, "proxy_protocol.trust"},
		{"PROXY v2", "\r", 400, "proxy_protocol.trust"},
		{"PROXY v2 at once", "\r\n\r\n\x00\r\nQUIT\n\x21\x11", 400, "proxy_protocol.trust"},
		{"a method without end", "GETGETGETGETGETGETG", 400, "not an HTTP request"},
		{"lower case", "get / HTTP/1.1", 400, "0x67"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n", 400, "HTTP/1.1"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n", 400, "HTTP/1.1"},
		{"HTTP/0.9", "GET /\r\n", 400, "HTTP/1.1"},
		{"LF alone", "GET / HTTP/1.1\n", 400, "CR LF"},
		{"POST", "POST /mqtt HTTP/1.1\r\n", 405, "GET"},
		{"an absolute target", "GET http://e/mqtt HTTP/1.1\r\n", 400, "path"},
		{"a byte that no target has", "GET /\xff HTTP/1.1\r\n", 400, "path"},
		{"no Host", with("Host:"), 400, "Host"},
		{"two Hosts", with("host: other"), 400, "Host"},
		{"a body", with("Content-Length: 5"), 400, "body"},
		{"a chunked body", with("Transfer-Encoding: chunked"), 400, "body"},
		{"a page", with("Upgrade:"), 426, "Upgrade"},
		{"h2c", with("Upgrade: h2c"), 426, "Upgrade"},
		{"a proxy between that drops the hop", with("Connection: keep-alive"), 426, "Connection"},
		{"no version", with("Sec-WebSocket-Version:"), 426, "13"},
		{"an old version", with("Sec-WebSocket-Version: 8"), 426, "13"},
		{"no key", with("Sec-WebSocket-Key:"), 400, "Key"},
		{"a short key", with("Sec-WebSocket-Key: c2hvcnQ="), 400, "Key"},
		{"a key that is not base64", with("Sec-WebSocket-Key: !!!!"), 400, "Key"},
		{"two keys", with("sec-websocket-key: " + sampleKey), 400, "Key"},
		{"no sub-protocol", with("Sec-WebSocket-Protocol:"), 400, "offer mqtt"},
		{"another sub-protocol", with("Sec-WebSocket-Protocol: chat, MQTTX"), 400, "offer mqtt"},
		{"a folded line", with(" folded: x"), 400, "no field"},
		{"a space before the colon", with("X-A : x"), 400, "no field"},
		{"no colon", with("X-A"), 400, "no field"},
		{"a CR within", with("X-A: x\rY: z"), 400, "control"},
		{"an LF within", with("X-A: x\nY: z"), 400, "control"},
		{"a NUL", with("X-A: \x00"), 400, "control"},
		{"large", with("X-A: " + strings.Repeat("x", MaxUpgrade)), 431, "16384"},
		{"many fields", with(strings.Repeat("a:\r\n", 200) + "b: c"), 431, "128"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := io.MultiReader(strings.NewReader(tt.in), iotest.ErrReader(errors.New("it waits for more")))
			_, _, err := ReadUpgrade(r, MaxUpgrade)
			var refusal *RefusalError
			if !errors.As(err, &refusal) || refusal.Status != tt.status || !strings.Contains(refusal.Error(), tt.says) {
				t.Fatalf("%v, want %d saying %q", err, tt.status, tt.says)
			}
			answer := AppendRefusal(nil, refusal.Status, refusal.Error())
			got, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(got.Body)
			if err != nil || got.StatusCode != tt.status || string(body) != refusal.Error()+"\n" || !got.Close {
				t.Errorf("%+v, %q, %v", got, body, err)
			}
			if v := got.Header.Get("Sec-WebSocket-Version"); (v == "13") != (tt.status == 426) {
				t.Errorf("version %q", v)
			}
			if v := got.Header.Get("Allow"); (v == "GET") != (tt.status == 405) {
				t.Errorf("allows %q", v)
			}
		})
	}
}

func TestReadUpgradeSaysWhenTheStreamEnds(t *testing.T) {
	if _, _, err := ReadUpgrade(strings.NewReader(""), MaxUpgrade); err != io.EOF {
		t.Errorf("empty: %v", err)
	}
	if _, _, err := ReadUpgrade(strings.NewReader("GET / HT"), MaxUpgrade); err != io.ErrUnexpectedEOF {
		t.Errorf("cut: %v", err)
	}
}

func TestAnUpgradeMayFillTheLimitAndNoMore(t *testing.T) {
	for _, in := range []string{lines(sampleRequest...), with("X-A: " + strings.Repeat("x", 1100))} {
		if _, _, err := ReadUpgrade(iotest.OneByteReader(strings.NewReader(in)), len(in)); err != nil {
			t.Errorf("at the limit: %v", err)
		}
		var refusal *RefusalError
		if _, _, err := ReadUpgrade(strings.NewReader(in), len(in)-1); !errors.As(err, &refusal) || refusal.Status != 431 {
			t.Errorf("beyond: %v", err)
		}
	}
}

func TestTheEndpointIsAskedAsTheClientAsked(t *testing.T) {
	u := read(t, with("Content-Length: 0"))
	want := lines("GET /mqtt?token=a%20b HTTP/1.1", "Host: edge.example:8084", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: another", "Sec-WebSocket-Protocol: mqtt",
		"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Port: 50123",
		"User-Agent: Mozilla/5.0 (X11)", "Origin: https://app.example", "Cookie: a=1; b=2")
	if got := string(u.AppendRequest(nil, "another", netip.MustParseAddrPort("[::ffff:192.0.2.7]:50123"))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAClientCannotSayWhereItIsNorWhatIsForOneHop(t *testing.T) {
	u := read(t, with(strings.Join([]string{"x-forwarded-for: 1.2.3.4", "X-Forwarded-Port: 1", "X-Real-IP: 1.2.3.4",
		"Forwarded: for=1.2.3.4", "Keep-Alive: 5", "Proxy-Authorization: x", "TE: trailers", "Expect: 100-continue",
		"Connection: X-Hop", "X-Hop: 1"}, "\r\n")))
	got := string(u.AppendRequest(nil, sampleKey, netip.AddrPort{}))
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(got)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	want := "Connection Cookie Origin Sec-Websocket-Key Sec-Websocket-Protocol Sec-Websocket-Version Upgrade User-Agent"
	if strings.Join(names, " ") != want {
		t.Errorf("%v, want %v", names, want)
	}
}

func TestEveryKeyIsAnother(t *testing.T) {
	a, b := NewKey(), NewKey()
	if a == b || len(a) != 24 {
		t.Errorf("%q, %q", a, b)
	}
}

func FuzzReadUpgrade(f *testing.F) {
	f.Add([]byte(lines(sampleRequest...)))
	f.Add([]byte(with("Sec-WebSocket-Protocol: chat, mqttv3.1") + "rest"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 2048
		r := bytes.NewReader(b)
		u, rest, err := ReadUpgrade(r, limit)
		pieces := iotest.OneByteReader(bytes.NewReader(b))
		cut, _, cutErr := ReadUpgrade(pieces, limit)
		if (err == nil) != (cutErr == nil) || u.Target != cut.Target || u.key != cut.key || len(u.fields) != len(cut.fields) {
			t.Fatalf("whole: %+v, %v; in pieces: %+v, %v", u, err, cut, cutErr)
		}
		if err != nil {
			return
		}
		if !bytes.HasSuffix(b[:len(b)-r.Len()], rest) {
			t.Fatalf("%q is not the end of what came", rest)
		}
		request := u.AppendRequest(nil, NewKey(), netip.MustParseAddrPort("192.0.2.7:1"))
		again, rest, err := ReadUpgrade(bytes.NewReader(append(request, 'r')), 2*limit)
		if err != nil || string(rest) != "r" || again.Target != u.Target || again.Host != u.Host || again.Protocol != "mqtt" {
			t.Fatalf("the request for the endpoint reads %+v, %q, %v", again, rest, err)
		}
		if !slices.Equal(again.fields, u.fields) {
			t.Fatalf("fields %v, were %v", again.fields, u.fields)
		}
		_, err = http.ReadRequest(bufio.NewReader(bytes.NewReader(request)))
		if err != nil && !strings.Contains(err.Error(), "parse ") {
			t.Fatalf("net/http: %v", err) // it looks into the path, which is the endpoint's to judge
		}
		accepted := u.AppendAccept(nil)
		if _, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(accepted)), nil); err != nil {
			t.Fatalf("%q: %v", accepted, err)
		}
	})
}
