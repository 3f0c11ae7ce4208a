package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mqedge/mqedge/admin"
)

func TestTheTableShowsEndpointsHookServersDevicesAndMessages(t *testing.T) {
	v := view{
		answered: true,
		endpoints: []admin.Endpoint{
			{Address: "127.0.0.11:40211", Up: true, Source: "gossip", Connections: 24, Connects: 31},
			{Address: "127.0.0.12:46855", Ejected: true, Source: "gossip", Connects: 19, Failures: 3, Reason: "connect failed: connection refused"},
		},
		providers: []admin.Endpoint{
			{Address: "127.0.0.21:41413", Up: true},
			{Address: "127.0.0.22:45955", Reason: "not connected: connection refused"},
		},
		members: []admin.Member{{Host: "edge", Address: "127.0.0.1:35001", Alive: true, Self: true}, {Host: "agent"}},
		heard:   [2]heard{{calls: 1209, perSecond: 147.4, clients: 48}, {calls: 575, clients: 0}},
		calls:   account{answered: 1784, lost: 2}, callP50: 500 * time.Microsecond, callP99: 12 * time.Millisecond,
		devices: []state{
			{connected: true, tls: 0x304, mqtt: 5}, {connected: true, tls: 0x303, mqtt: 4}, {tls: 0x304, mqtt: 5},
		},
		messages: tally{delivered: 12345, lost: 1}, perSecond: 191.7, p50: 340 * time.Microsecond, p99: 12 * time.Millisecond,
		seen: []string{"127.0.1.1:35549", "127.0.1.3:58343"}, log: `level=WARN msg="endpoint is out of use"`,
	}
	want := `
              ENDPOINT           STATE  SOURCE  CONNECTIONS  ATTEMPTS  FAILURES
  broker 1    127.0.0.11:40211   ● up   gossip           24        31         0
  broker 2    127.0.0.12:46855   ○ out  gossip            0        19         3
              connect failed: connection refused
              HOOK SERVER        STATE        CALLS  A SECOND   DEVICES
  hooks 1     127.0.0.21:41413   ● up         1,209       147        48
  hooks 2     127.0.0.22:45955   ○ out          575         0         0
              not connected: connection refused
  hook calls  1,784 answered, 2 lost; p50 0.5ms, p99 12ms, broker → edge → hook server and back
  gossip      edge at 127.0.0.1:35001; agent, silent
  devices     2 of 3 connected: TLS 1.3 1, 1.2 1; MQTT 5 1, 3.1.1 1
  messages    192 a second, 12,345 delivered, 1 lost
  latency     p50 0.3ms, p99 12ms, device → edge → broker → edge → device
  PROXY       brokers see 127.0.1.1:35549, 127.0.1.3:58343
  edge's log  level=WARN msg="endpoint is out of use"`
	if got := "\n" + strings.Join(v.lines(), "\n"); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

func TestAnEmptyTableSaysWhy(t *testing.T) {
	if got := strings.Join(view{}.lines(), "\n"); !strings.Contains(got, "the admin address does not answer") {
		t.Error(got)
	}
	if got := strings.Join(view{answered: true}.lines(), "\n"); !strings.Contains(got, "has heard of none yet") {
		t.Error(got)
	}
}

func TestOnATerminalTheTableStaysBelowWhatIsSaid(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, terminal: true}
	s.print("first")
	s.show([]string{"table", "of two lines"})
	s.print("second")
	s.show([]string{"shorter"})
	s.close()
	const table = "\x1b[?7l\ntable\nof two lines\n\x1b[?7h"
	want := "first\n" + table + "\r\x1b[3A\x1b[Jsecond\n" + table +
		"\r\x1b[3A\x1b[J\x1b[?7l\nshorter\n\x1b[?7h" + "\r\x1b[2A\x1b[J\x1b[?25h"
	if got := out.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestElsewhereEachTableIsPrintedAnew(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, t.FailNow)
	s.show([]string{"table ●"})
	s.print("said")
	s.show([]string{"table ✗"})
	s.close()
	if got, want := out.String(), "\ntable ●\n\nsaid\n\ntable ✗\n\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTextIsBrokenBetweenWordsAndIndented(t *testing.T) {
	long := strings.Repeat("x", 76)
	for _, test := range []struct {
		beginning, text string
		want            []string
	}{
		{"  1s ", "few words", []string{"  1s few words"}},
		{"✓ ", long + " y z", []string{"✓ " + long + " y", "  z"}},
		{"  ", "a " + long + long + " b", []string{"  a", "  " + long + long, "  b"}},
	} {
		if got := wrap(test.beginning, test.text); strings.Join(got, "|") != strings.Join(test.want, "|") {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for d, want := range map[time.Duration]string{
		340 * time.Microsecond: "0.3ms", 9*time.Millisecond + 940*time.Microsecond: "9.9ms", 12 * time.Millisecond: "12ms", 1520 * time.Millisecond: "1.5s",
	} {
		if got := brief(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestTheEdgesLogIsOneLineWithoutItsTime(t *testing.T) {
	l := &lastLine{}
	for _, line := range []string{"time=2026-05-04T12:00:00Z level=INFO msg=draining\n", "time=2026-05-04T12:00:01Z level=INFO msg=stopped\n"} {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.String(); got != "level=INFO msg=stopped" {
		t.Errorf("got %q", got)
	}
}
