package accesslog

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func exampleRecord() *Record {
	return &Record{
		RemoteAddr:        netip.MustParseAddrPort("[::ffff:10.0.0.7]:50123"),
		ProxyProtocolAddr: netip.MustParseAddr("2001:db8::1"),
		Time:              time.Date(2026, 3, 9, 7, 5, 1, 0, time.FixedZone("", 2*3600)),
		SessionTime:       61*time.Second + 7*time.Millisecond + 999*time.Microsecond,
		Listener:          "mqtts",
		Status:            200,
		Reason:            "client_closed",
		BytesSent:         5,
		BytesReceived:     3,
		Attempts: []Attempt{
			{Addr: "10.0.1.1:1883", Failed: true},
			{Addr: "10.0.1.2:1883", ConnectTime: 1500 * time.Microsecond},
		},
		UpstreamBytesSent:     30,
		UpstreamBytesReceived: 50,
		TLSProtocol:           "TLSv1.3",
		TLSCipher:             "TLS_AES_128_GCM_SHA256",
		ServerName:            "edge.example.com",
		ClientCN:              "device 7",
		MQTTClientID:          "dev-7",
		MQTTUsername:          "ana",
		MQTTVersion:           "3.1.1",
		MQTTKeepalive:         60,
		ConnackCode:           0,
	}
}

func line(t *testing.T, format string, r *Record) string {
	t.Helper()
	f, err := Compile(format)
	if err != nil {
		t.Fatalf("Compile(%q): %v", format, err)
	}
	return string(f.Append(nil, r))
}

// The expected texts, lists of several upstreams included, are what nginx 1.22 wrote for the same events.
func TestATemplateReadsAsNginxWritesIt(t *testing.T) {
	bare := &Record{RemoteAddr: netip.MustParseAddrPort("127.0.0.1:1"), Time: exampleRecord().Time, ConnackCode: -1}
	unreached := &Record{Attempts: []Attempt{{Addr: "127.0.0.1:45001", Failed: true}, {Addr: "127.0.0.1:45003", Failed: true}}}
	for _, test := range []struct {
		name, format, want string
		record             *Record
	}{
		{"the documented format", "nginx", `10.0.0.7 [09/Mar/2026:07:05:01 +0200] TCP 200 5 3 61.007`, exampleRecord()},
		{"ISO time and port", `$time_iso8601 $remote_port`, `2026-03-09T07:05:01+02:00 50123`, exampleRecord()},
		{"braces next to text", `${status}s$status`, `200s200`, exampleRecord()},
		{"the PROXY address", `"$proxy_protocol_addr"`, `"2001:db8::1"`, exampleRecord()},
		{
			"a failed and a good upstream", `$upstream_addr $upstream_connect_time $upstream_bytes_sent $upstream_bytes_received`,
			`10.0.1.1:1883, 10.0.1.2:1883 -, 0.001 0, 30 0, 50`, exampleRecord(),
		},
		{
			"no upstream reached", `up="$upstream_addr" ct=$upstream_connect_time us=$upstream_bytes_sent`,
			`up="127.0.0.1:45001, 127.0.0.1:45003" ct=-, - us=0, 0`, unreached,
		},
		{
			"TLS", `$ssl_protocol $ssl_cipher $ssl_server_name $ssl_client_s_dn_cn`,
			`TLSv1.3 TLS_AES_128_GCM_SHA256 edge.example.com device 7`, exampleRecord(),
		},
		{
			"MQTT", "$listener\t$mqtt_client_id $mqtt_username $mqtt_version $mqtt_keepalive $connack_code $reason",
			"mqtts\tdev-7 ana 3.1.1 60 0 client_closed", exampleRecord(),
		},
		{
			"what is not known is a dash", `$proxy_protocol_addr $upstream_addr $upstream_connect_time $upstream_bytes_sent $listener ` +
				`$ssl_protocol $mqtt_client_id $mqtt_version $mqtt_keepalive $connack_code $reason $bytes_sent $session_time`,
			`- - - - - - - - - - - 0 0.000`, bare,
		},
		{"no address at all", `$remote_addr $remote_port`, `- -`, &Record{}},
		{"a negative time", `$session_time`, `0.000`, &Record{SessionTime: -time.Second}},
		{"the newline of a YAML block", "$status\n", `200`, exampleRecord()},
		{"an unneeded parameter", "escape=default $status", `200`, exampleRecord()},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := line(t, test.format, test.record); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestWhatCouldForgeALineIsEscapedAsNginxDoes(t *testing.T) {
	r := &Record{MQTTClientID: "a\"b\\c\nd\x00\x7fé~ \xff"}
	want := `a\x22b\x5Cc\x0Ad\x00\x7F\xC3\xA9~ \xFF`
	if got := line(t, "$mqtt_client_id", r); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestEscapeJSONMakesATemplateOfJSONSafe(t *testing.T) {
	r := &Record{MQTTClientID: "a\"\nb\xff\u0085é"}
	got := line(t, `escape=json {"id":"$mqtt_client_id","user":"$mqtt_username"}`, r)
	want := `{"id":"a\"\u000Ab\ufffd\u0085é","user":""}`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestJSONHasEveryVariableWithNumbersAsNumbers(t *testing.T) {
	want := `{"remote_addr":"10.0.0.7","remote_port":50123,"proxy_protocol_addr":"2001:db8::1",` +
		`"time_local":"09/Mar/2026:07:05:01 +0200","time_iso8601":"2026-03-09T07:05:01+02:00","protocol":"TCP","status":200,` +
		`"bytes_sent":5,"bytes_received":3,"session_time":61.007,"upstream_addr":"10.0.1.1:1883, 10.0.1.2:1883",` +
		`"upstream_bytes_sent":30,"upstream_bytes_received":50,"upstream_connect_time":0.001,"listener":"mqtts",` +
		`"ssl_protocol":"TLSv1.3","ssl_cipher":"TLS_AES_128_GCM_SHA256","ssl_server_name":"edge.example.com",` +
		`"ssl_client_s_dn_cn":"device 7","mqtt_client_id":"dev-7","mqtt_username":"ana","mqtt_version":"3.1.1",` +
		`"mqtt_keepalive":60,"connack_code":0,"reason":"client_closed"}`
	got := line(t, "json", exampleRecord())
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(got), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range Variables() {
		if _, ok := fields[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestJSONLeavesOutWhatIsNotKnown(t *testing.T) {
	r := &Record{Status: 502, ConnackCode: -1, Attempts: []Attempt{{Addr: "10.0.1.1:1883", Failed: true}}}
	want := `{"time_local":"01/Jan/0001:00:00:00 +0000","time_iso8601":"0001-01-01T00:00:00+00:00","protocol":"TCP","status":502,` +
		`"bytes_sent":0,"bytes_received":0,"session_time":0.000,"upstream_addr":"10.0.1.1:1883","upstream_bytes_sent":0,"upstream_bytes_received":0}`
	if got := line(t, "json", r); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestAMistakeInAFormatIsNamedWithItsRemedy(t *testing.T) {
	for format, want := range map[string]string{
		"$remote_adr":          "unknown variable $remote_adr: did you mean $remote_addr?",
		"${statsu} x":          "unknown variable $statsu: did you mean $status?",
		"$binary_remote_addr":  "unknown variable $binary_remote_addr: there are $remote_addr $remote_port ",
		"$remote_addr costs $": "a dollar sign without the name of a variable",
		"${status":             `"${status" has no closing brace`,
		"$status\n$status":     `control character '\n' in the format`,
		"$status\x1b[31m":      `control character '\x1b' in the format`,
		"jsno":                 `format "jsno" has no variable: write json, nginx, or a template`,
		"":                     `format "" has no variable`,
		"escape=none $status":  `"escape=none" is not supported: write escape=json or escape=default`,
	} {
		_, err := Compile(format)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%q)\n got %v\nwant %s", format, err, want)
		}
	}
}

func TestALineCostsNoAllocation(t *testing.T) {
	r := exampleRecord()
	r.MQTTClientID = "dev\x01é"
	buf := make([]byte, 0, 4096)
	for _, format := range []string{"json", "nginx", "$mqtt_client_id $upstream_connect_time"} {
		f, err := Compile(format)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { buf = f.Append(buf[:0], r) }); n != 0 {
			t.Errorf("%s: %v allocations", format, n)
		}
	}
}

func FuzzALineIsOneLineWhateverTheClientSays(f *testing.F) {
	f.Add("json", "dev-7", "ana", "edge", "10.0.0.1:1883")
	f.Add("nginx", "a\nb", "\x00", "\xff\xfe", "\"\\")
	f.Add("escape=json $mqtt_client_id", "\u2028\u0085", "", "", "")
	f.Add("${mqtt_client_id}$mqtt_username $upstream_addr $ssl_server_name\n", "a", "b", "c", "d")
	f.Add("${", "", "", "", "")
	f.Fuzz(func(t *testing.T, format, id, user, sni, addr string) {
		r := exampleRecord()
		r.MQTTClientID, r.MQTTUsername, r.ServerName, r.Reason = id, user, sni, id
		r.Attempts = append(r.Attempts, Attempt{Addr: addr, ConnectTime: time.Duration(len(id))})

		asJSON, err := Compile("json")
		if err != nil {
			t.Fatal(err)
		}
		if got := asJSON.Append(nil, r); !json.Valid(got) {
			t.Fatalf("not JSON: %q", got)
		}
		compiled, err := Compile(format)
		if err != nil {
			return
		}
		prefix := []byte("before")
		got := compiled.Append(prefix, r)
		if !strings.HasPrefix(string(got), "before") {
			t.Fatalf("what was in the buffer changed: %q", got)
		}
		for _, c := range got {
			if c < ' ' && c != '\t' || c == 0x7f {
				t.Fatalf("control byte %#x in %q", c, got)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, format := range []string{"json", "nginx"} {
		b.Run(format, func(b *testing.B) {
			f, err := Compile(format)
			if err != nil {
				b.Fatal(err)
			}
			r := exampleRecord()
			buf := make([]byte, 0, 4096)
			b.ReportAllocs()
			for b.Loop() {
				buf = f.Append(buf[:0], r)
			}
		})
	}
}
