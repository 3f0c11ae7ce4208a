package doctor

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// line is one of /proc/net/tcp as this machine would write it.
func line(local string, state string, inode int) string {
	ap := netip.MustParseAddrPort(local)
	raw := ap.Addr().AsSlice()
	host := ""
	for i := 0; i < len(raw); i += 4 {
		host += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(raw[i:]))
	}
	return fmt.Sprintf("   0: %s:%04X 00000000:0000 %s 00000000:00000000 00:00000000 00000000     0        0 %d 1 0000000000000000 100 0 0 10 0\n",
		host, ap.Port(), state, inode)
}

func TestSocketsAreReadAndLinesThatMakeNoSensePassedOver(t *testing.T) {
	text := header + line("127.0.0.1:35689", "0A", 7) + line("10.0.0.5:443", "01", 8) + "garbage\n" +
		line("10.0.0.5:444", "06", 0) + line("[2001:db8::1]:8884", "0A", 9) + line("[::ffff:10.0.0.6]:1", "01", 10)
	var got []string
	parseSockets(strings.NewReader(text), func(s Socket) { got = append(got, fmt.Sprintf("%v %v %d", s.Local, s.Listen, s.Inode)) })
	want := "127.0.0.1:35689 true 7|10.0.0.5:443 false 8|[2001:db8::1]:8884 true 9|10.0.0.6:1 false 10"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
}

func FuzzSockets(f *testing.F) {
	f.Add(header + line("127.0.0.1:35689", "0A", 7) + line("[::1]:1", "01", 8))
	f.Add("0: 0:0 0 0 0 0 0 0 0 0")
	f.Fuzz(func(t *testing.T, text string) {
		parseSockets(strings.NewReader(text), func(s Socket) {
			if !s.Local.Addr().IsValid() || s.Local.Addr().Is4In6() {
				t.Errorf("%v", s)
			}
		})
	})
}

func TestReservedPortsAreMergedInOrder(t *testing.T) {
	for _, c := range []struct {
		have string
		add  []int
		want string
	}{
		{"", []int{8884}, "8884"},
		{"8080,9100-9110\n", []int{9111, 1883, 8081}, "1883,8080-8081,9100-9111"},
		{"5-10,7-20,30", []int{20, 65535}, "5-20,30,65535"},
		{"garbage,,-,70000,9-8,5", nil, "5"},
	} {
		if got := parsePorts(c.have).with(c.add...).String(); got != c.want {
			t.Errorf("%q and %v: %s, want %s", c.have, c.add, got, c.want)
		}
	}
}

func FuzzPorts(f *testing.F) {
	f.Add("8080,9100-9110", 9111)
	f.Fuzz(func(t *testing.T, text string, port int) {
		port &= 0xffff
		s := parsePorts(text)
		with := s.with(port)
		if !with.has(port) {
			t.Errorf("%s lacks %d", with, port)
		}
		if again := parsePorts(with.String()); again.String() != with.String() {
			t.Errorf("%s is read as %s", with, again)
		}
		if all := (span{0, 65535}); with.within(all) < s.within(all) || with.within(all) > s.within(all)+1 {
			t.Errorf("%s with %d: %s", s, port, with)
		}
	})
}

func FuzzWhatTheKernelWrites(f *testing.F) {
	f.Add("32768\t60999\n")
	f.Add("Max open files            1024                 4096                 files     \n")
	f.Add("Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n")
	f.Add("MemTotal:       16308364 kB\n")
	f.Add("TCP: inuse 5 orphan 0 tw 12 alloc 7 mem 3\n")
	f.Add("socket:[12345]")
	f.Add("6.1.0-18-amd64")
	f.Fuzz(func(t *testing.T, text string) {
		if r, ok := parseRange(text); ok && (r.low < 0 || r.high > 65535 || r.size() < 1) {
			t.Errorf("range %v", r)
		}
		parseOpenFiles(text)
		parseRoot(text)
		parseMemTotal(text)
		if n := parseTimeWait(text); n < 0 {
			t.Errorf("%d", n)
		}
		parseSocketLink(text)
		parseRelease(text)
		splitZero([]byte(text))
		if n := offset(text); n < 0 || n >= 60000 {
			t.Errorf("offset %d", n)
		}
		p := Process{Name: beamName, Args: []string{"-name", text}, Env: map[string]string{"EMQX_X__BIND": text, "EMQX_RPC__PORT_DISCOVERY": "manual", "EMQX_RPC__SERVER_PORT": text}}
		p.listens()
		p.rpcPort()
		for _, r := range printable(p.String()) {
			if r < ' ' || r == 0x7f {
				t.Errorf("%q", p.String())
			}
		}
		numbered(text)
	})
}

func TestTheKernelsFilesAreRead(t *testing.T) {
	limits := "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 4096                 files     \n"
	if n := parseOpenFiles(limits); n != 4096 {
		t.Errorf("%d", n)
	}
	if n := parseOpenFiles(strings.ReplaceAll(limits, "4096", "unlimited")); n != 1<<64-1 {
		t.Errorf("%d", n)
	}
	if parseRoot("Name:\tmqedge\nUid:\t0\t101\t0\t0\n") || !parseRoot("Name:\troot\nUid:\t100\t0\t102\t103\n") {
		t.Error("it is the effective user that counts")
	}
	if n := parseMemTotal("MemTotal:       16308364 kB\nMemFree: 1 kB\n"); n != 16308364<<10 {
		t.Errorf("%d", n)
	}
	if n := parseTimeWait("sockets: used 9\nTCP: inuse 5 orphan 0 tw 12 alloc 7 mem 3\n"); n != 12 {
		t.Errorf("%d", n)
	}
}

func TestTheNumberInTheNameOfANodeMovesItsPorts(t *testing.T) {
	for name, want := range map[string]int{
		"emqx@10.0.0.1": 0, "emqx1@10.0.0.1": 1, "emqx10@h2": 10, "n2x@h": 0, "7@h": 7, "a60001@h": 1, "": 0,
	} {
		if got := offset(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func TestTextIsWrappedBetweenWords(t *testing.T) {
	got := wrapped("one two three four", 9, "  ")
	if got != "one two\n  three\n  four" {
		t.Errorf("%q", got)
	}
	for text, want := range map[string]string{"10240 65535": "'10240 65535'", "a,b-1": "a,b-1", "it's": `'it'\''s'`, "": "''"} {
		if got := quoted(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}
