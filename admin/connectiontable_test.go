package admin

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func exampleConnections() ConnectionList {
	return ConnectionList{Total: 48210, Connections: []Connection{
		{
			Listener: "mqtts", Client: "203.0.113.7:51234", ClientID: "dev-7", MQTTVersion: "5", Keepalive: 60,
			Endpoint: "10.0.0.11:1883", Since: noon.Add(-49 * time.Hour), BytesIn: 10239, BytesOut: 717 << 20,
		},
		{Listener: "mqtts", Client: "[2001:db8::77]:40000", ClientID: "温度计-七号", MQTTVersion: "3.1.1", Endpoint: "10.0.0.12:1883", Since: noon, BytesIn: 10240},
		{Listener: "mqtts", Client: "203.0.113.8:1", ClientID: "e\u0301tage \x1b[31m\x00\xff\u202e\\n", MQTTVersion: "3.1", Keepalive: 65535, Endpoint: "10.0.0.12:1883", Since: noon.Add(time.Hour)},
		{Listener: "mqtts", Client: "203.0.113.9:1", ClientID: strings.Repeat("long-", 40) + "end", MQTTVersion: "5", Endpoint: "10.0.0.12:1883", Since: noon.Add(-90 * time.Second), BytesOut: 1 << 63},
		{Listener: "mqtts", Client: "203.0.113.10:1", ClientID: "a" + strings.Repeat("\u0301", 1000), MQTTVersion: "5", Endpoint: "10.0.0.12:1883", Since: noon},
		{Listener: "a-tcp-one", Client: "203.0.113.11:1", Endpoint: "", Since: noon.Add(-time.Second)},
	}}
}

func TestConnectionsAreATable(t *testing.T) {
	one := ConnectionList{Total: 1, Connections: exampleConnections().Connections[:1]}
	for _, test := range []struct {
		name  string
		list  ConnectionList
		width int
	}{
		{"connections", exampleConnections(), 0},
		{"connections_narrow", exampleConnections(), 100},
		{"connections_one", one, 0},
		{"connections_none", ConnectionList{}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got bytes.Buffer
			if err := RenderConnections(&got, test.list, noon, test.width); err != nil {
				t.Fatal(err)
			}
			checkGolden(t, test.name, got.String())
			for line := range strings.Lines(got.String()) {
				line = strings.TrimSuffix(line, "\n")
				if test.width > 0 && columns(line) > test.width {
					t.Errorf("wider than %d: %q", test.width, line)
				}
				if printable(line) != line || !utf8.ValidString(line) || len(line) > 1000 {
					t.Errorf("not fit for a terminal: %q", line)
				}
			}
		})
	}
}

func TestWideCharactersTakeTwoColumnsAndMarksNone(t *testing.T) {
	for s, want := range map[string]int{"": 0, "abc": 3, "ü": 1, "e\u0301": 1, "温度": 4, "ｱ": 1, "Ａ": 2, "한글": 4, "🙂": 2, "…": 1, "─": 1, "א": 1} {
		if got := columns(s); got != want {
			t.Errorf("%q: %d columns, want %d", s, got, want)
		}
	}
	for _, test := range []struct {
		s    string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "…cd"}, {"温度计", 6, "温度计"}, {"温度计", 5, "…度计"}, {"温度计", 4, "…计"}, {"温度计a", 3, "…a"}, {"x", 1, "x"},
	} {
		if got := keepEnd(test.s, test.n); got != test.want {
			t.Errorf("%q in %d columns: %q, want %q", test.s, test.n, got, test.want)
		}
	}
}

func FuzzWhatIsVisibleIsPrintableAndTellsIDsApart(f *testing.F) {
	for _, s := range []string{"", "dev-7", "\x1b[31m", "\xff\\xff", `\`, "温\u0301", "\ufffd"} {
		f.Add(s, s+"\x00")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		va, vb := visible(a), visible(b)
		if printable(va) != va || !utf8.ValidString(va) {
			t.Errorf("%q is shown as %q", a, va)
		}
		if (va == vb) != (a == b) {
			t.Errorf("%q and %q are shown as %q and %q", a, b, va, vb)
		}
		for _, n := range []int{1, 5, 64} {
			if short := keepEnd(va, n); columns(short) > n || utf8.RuneCountInString(short) > 2*n+1 {
				t.Errorf("%q in %d columns: %q", va, n, short)
			}
		}
	})
}
