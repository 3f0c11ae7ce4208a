package gossip

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

func TestANodeWithAnotherKeyIsRefusedAndCounted(t *testing.T) {
	log := &testLog{t: t}
	edge := start(t, Options{Name: "edge", KeyFile: keyFile(t, key('a')), Log: slog.New(slog.NewTextHandler(log, nil))})
	strangerLog := &testLog{t: t}
	stranger := start(t, Options{Name: "stranger", KeyFile: keyFile(t, key('b')), Join: join(edge), rejoin: 20 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(strangerLog, nil))})
	announce(t, stranger, at("emqx", "10.0.0.1:1883")...)
	refused(t, edge, refusedKey, 20)
	if got := strings.Count(log.String(), "reason=key"); got != 1 {
		t.Errorf("%d lines about keys, want 1:\n%s", got, log)
	}
	eventually(t, func() string {
		if got := strangerLog.String(); !strings.Contains(got, "is gossip.key_file the same on both hosts?") {
			return "the stranger is not told why: " + got
		}
		return ""
	})
	if got := edge.Stats().Members; got != 1 {
		t.Errorf("%d members", got)
	}
}

func TestPlainAndEncryptedNodesDoNotMix(t *testing.T) {
	edge := start(t, Options{Name: "edge", KeyFile: keyFile(t, key('a'))})
	plain := start(t, Options{Name: "plain", Join: join(edge), rejoin: 20 * time.Millisecond})
	refused(t, edge, refusedKey, 1)
	if edge.Stats().Members != 1 || plain.Stats().Members != 1 {
		t.Error("they are members of one cluster")
	}
}

func TestANodeOfAnotherLabelIsRefusedAndCounted(t *testing.T) {
	edge := start(t, Options{Name: "edge", Label: "blue"})
	start(t, Options{Name: "other", Label: "green", Join: join(edge), rejoin: 20 * time.Millisecond})
	refused(t, edge, refusedLabel, 1)
	if got := edge.Stats().Members; got != 1 {
		t.Errorf("%d members", got)
	}
}

func TestAnotherProductIsRefusedAndCounted(t *testing.T) {
	edge := start(t, Options{Name: "edge"})
	c := memberlist.DefaultLANConfig()
	fast(c)
	c.BindAddr, c.BindPort, c.Name, c.LogOutput = "127.0.0.1", 0, "serf", &testLog{t: t}
	other, err := memberlist.Create(c)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Shutdown()
	if _, err := other.Join(join(edge)); err == nil {
		other.Join(join(edge))
	}
	refused(t, edge, refusedProtocol, 1)
	if got := edge.Stats().Members; got != 1 {
		t.Errorf("%d members", got)
	}
}

func refused(t *testing.T, n *running, reason string, least uint64) {
	t.Helper()
	eventually(t, func() string {
		if got := n.Stats().Refused; got[reason] < least {
			return fmt.Sprintf("refused %v, want %s at least %d times", got, reason, least)
		}
		return ""
	})
}

func TestKeysAreChangedOneHostAfterTheOther(t *testing.T) {
	var nodes []*running
	var files []string
	for i := range 3 {
		files = append(files, keyFile(t, key('a')))
		o := Options{Name: fmt.Sprintf("n%d", i), KeyFile: files[i]}
		if i > 0 {
			o.Join = join(nodes[0])
		}
		nodes = append(nodes, start(t, o))
	}
	members(t, 3, nodes...)
	step := 0
	roll := func(keys ...string) {
		t.Helper()
		for i, n := range nodes {
			writeKeys(t, files[i], keys...)
			if err := n.Reload(); err != nil {
				t.Fatal(err)
			}
			step++
			addr := fmt.Sprintf("10.0.0.%d:1883", step)
			announce(t, nodes[0], at("emqx", addr)...)
			for _, n := range nodes {
				eventually(t, func() string {
					for _, e := range n.Endpoints("emqx") {
						if e.Addr == addr && e.State == Present {
							return ""
						}
					}
					return fmt.Sprintf("%s does not see %s", n.name, addr)
				})
			}
		}
	}
	roll(key('a'), key('b'))
	roll(key('b'), key('a'))
	roll(key('b'))
	members(t, 3, nodes...)
	for _, n := range nodes {
		if got := n.Stats().Refused; got[refusedKey] > 0 {
			t.Errorf("%s refused %v", n.name, got)
		}
		if keys := n.ring.GetKeys(); len(keys) != 1 || string(keys[0]) != strings.Repeat("b", 32) {
			t.Errorf("%s has %d keys", n.name, len(keys))
		}
	}
	old := start(t, Options{Name: "old", KeyFile: keyFile(t, key('a')), Join: join(nodes[0]), rejoin: 20 * time.Millisecond})
	refused(t, nodes[0], refusedKey, 1)
	if got := old.Stats().Members; got != 1 {
		t.Errorf("the old key still opens: %d members", got)
	}
}

func TestTheRingHoldsWhatTheFileSays(t *testing.T) {
	k := func(fill string) []byte { return []byte(strings.Repeat(fill, 32)) }
	ring, err := memberlist.NewKeyring(nil, k("a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "ab", "ba", "bca", "cd", "abcd", "da", "x"} {
		var keys [][]byte
		for _, c := range want {
			keys = append(keys, k(string(c)))
		}
		if err := useKeys(ring, keys); err != nil {
			t.Fatal(err)
		}
		var got string
		for _, key := range ring.GetKeys() {
			got += string(key[:1])
		}
		if got != want {
			t.Errorf("the ring is %q, want %q", got, want)
		}
	}
}

func TestABadKeyFileIsNamedAndChangesNothing(t *testing.T) {
	file := keyFile(t, key('a'))
	n := start(t, Options{KeyFile: file})
	for content, want := range map[string]string{
		"":                               "no key in it",
		"***":                            "line 1: not base64",
		"\n" + "c2hvcnQ=":                "line 2: 5 bytes instead of 32",
		strings.Repeat(key('a')+"\n", 9): "line 9: more than 8 keys",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		err := n.Reload()
		if err == nil || !strings.HasPrefix(err.Error(), "gossip.key_file "+file+": "+want) || !strings.Contains(err.Error(), "mqedge keygen") {
			t.Errorf("%q: %v", content, err)
		}
	}
	os.Remove(file)
	if err := n.Reload(); err == nil || !strings.Contains(err.Error(), "no such file or directory; make one with: mqedge keygen > "+file) {
		t.Error(err)
	}
	if keys := n.ring.GetKeys(); len(keys) != 1 || string(keys[0]) != strings.Repeat("a", 32) {
		t.Error("the key is gone")
	}
}

func TestOptionsThatCannotWorkAreNamedWithTheRemedy(t *testing.T) {
	busy := start(t, Options{})
	keys := keyFile(t, key('a'))
	for name, c := range map[string]struct {
		o    Options
		want []string
	}{
		"no key beyond loopback": {Options{Bind: "0.0.0.0:0"}, []string{"gossip.key_file: needed because gossip.bind 0.0.0.0:0", "mqedge keygen"}},
		"no key, advertised":     {Options{Bind: "127.0.0.1:0", Advertise: "10.0.0.1"}, []string{"gossip.key_file: needed because gossip.advertise is 10.0.0.1"}},
		"missing key file":       {Options{Bind: "127.0.0.1:0", KeyFile: filepath.Join(t.TempDir(), "none")}, []string{"gossip.key_file", "no such file", "mqedge keygen >"}},
		"taken port":             {Options{Bind: busy.Addr().String()}, []string{"gossip.bind " + busy.Addr().String() + ": the port is taken", "ss -lntup"}},
		"foreign address":        {Options{Bind: "203.0.113.1:0", KeyFile: keys}, []string{"gossip.bind 203.0.113.1:0: this host does not have the address", "0.0.0.0"}},
		"bind without port":      {Options{Bind: "0.0.0.0"}, []string{`gossip.bind "0.0.0.0": want IP:port`}},
		"advertise nothing":      {Options{Bind: "127.0.0.1:0", Advertise: "0.0.0.0", KeyFile: keys}, []string{"gossip.advertise: others cannot or may not use 0.0.0.0"}},
		"advertise multicast":    {Options{Bind: "127.0.0.1:0", Advertise: "224.0.0.1:7946", KeyFile: keys}, []string{"gossip.advertise", "224.0.0.1"}},
		"advertise out of allow": {Options{Bind: "127.0.0.1:0", Advertise: "10.0.0.1", KeyFile: keys, Allow: prefixes("192.168.0.0/16")}, []string{"10.0.0.1", "gossip.allow: 192.168.0.0/16"}},
		"advertise unresolvable": {Options{Bind: "127.0.0.1:0", Advertise: "nowhere.invalid", KeyFile: keys}, []string{`gossip.advertise "nowhere.invalid": cannot resolve`}},
		"advertise port":         {Options{Bind: "127.0.0.1:0", Advertise: "host:port", KeyFile: keys}, []string{`gossip.advertise "host:port": want host or host:port`}},
		"join":                   {Options{Bind: "127.0.0.1:0", Join: []string{"host"}}, []string{`gossip.join "host": want host:port`}},
		"name":                   {Options{Bind: "127.0.0.1:0", Name: "a~b"}, []string{"gossip.name"}},
		"label":                  {Options{Bind: "127.0.0.1:0", Label: strings.Repeat("x", 256)}, []string{"gossip.label: 256 bytes"}},
	} {
		n, err := New(c.o)
		if err == nil {
			err = n.Listen(t.Context())
			n.Close()
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", name, err, want)
			}
		}
	}
}
