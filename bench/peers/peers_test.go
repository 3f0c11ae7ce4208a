//go:build linux

package peers

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gopkg.in/yaml.v3"

	"github.com/mqedge/mqedge/bench/load"
	"github.com/mqedge/mqedge/bench/mqtt"
	"github.com/mqedge/mqedge/bench/provider"
	"github.com/mqedge/mqedge/bench/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryPeerInstalledHereRelaysWithAHeaderAndStops(t *testing.T) {
	for _, p := range All("") {
		if version, err := p.Version(t.Context()); err != nil {
			t.Logf("not tried: %v", err)
			continue
		} else if version == "" {
			t.Errorf("%s has no version", p.Name)
		}
		t.Run(p.Name, func(t *testing.T) {
			s, err := sink.Listen("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			proxy, err := p.Start(t.Context(), Options{Dir: t.TempDir(), Endpoints: s.Addrs()})
			if err != nil {
				t.Fatal(err)
			}
			defer proxy.Stop()

			c, err := net.Dial("tcp", proxy.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			if _, err := c.Write(mqtt.AppendConnect(nil, "id", 60)); err != nil {
				t.Fatal(err)
			}
			if _, err := mqtt.NewReader(bufio.NewReader(c)).Expect(mqtt.Connack); err != nil {
				t.Fatal(err)
			}
			if got := s.Stats(); got.Connections != 1 || got.WithoutHeader != 0 {
				t.Errorf("the sink saw %+v", got)
			}
			proxy.Stop()
			if _, err := net.Dial("tcp", proxy.Addr); err == nil {
				t.Error("it still listens after Stop")
			}
		})
	}
}

func TestEveryPeerInstalledHereRelaysCallsToAllHookServers(t *testing.T) {
	for _, p := range All("") {
		if p.Tuned != "" && p.Tuned != "grpc" {
			continue
		}
		if _, err := p.Version(t.Context()); err != nil {
			t.Logf("not tried: %v", err)
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			providers, err := provider.Listen("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer providers.Close()
			dir := t.TempDir()
			proxy, err := p.Start(t.Context(), Options{Dir: dir, Endpoints: providers.Addrs(), Calls: true})
			if err != nil {
				t.Fatal(err)
			}
			defer proxy.Stop()
			callers, outcome, err := load.Dial(t.Context(), load.CallerOptions{Addr: proxy.Addr, Conns: 2, Streams: 4, ClientIDs: 20})
			if err != nil || outcome.OK != 2 {
				t.Fatalf("%+v, %v", outcome, err)
			}
			defer callers.Close()
			r, err := callers.Run(load.CallOptions{For: 100 * time.Millisecond, Grace: 10 * time.Second})
			if err != nil || r.Answered != r.Due || len(r.Failed) != 0 {
				t.Errorf("%+v, %v; want all answered", r, err)
			}
			if s := providers.Stats(); s.Malformed != 0 || s.Cancelled != 0 || slices.Min(s.Calls) == 0 {
				t.Errorf("the hook servers saw %+v", s)
			}
		})
	}
}

func TestTheConfigurationOfMqedgeForCallsIsHookAware(t *testing.T) {
	mqedge := named(t, "mqedge")
	path, err := mqedge.writeConfig(t.Context(), settings{
		Options: Options{Dir: t.TempDir(), Endpoints: []string{"127.0.0.2:1", "127.0.0.3:1"}, Calls: true}, Addr: "127.0.0.1:5", AdminAddr: "127.0.0.1:6",
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Listeners map[string]struct{ Bind, Protocol, Upstream string }
		Upstreams map[string]struct {
			Balance   string
			HashKey   string `yaml:"hash_key"`
			ExHook    any    `yaml:"exhook"`
			Endpoints []struct{ Address string }
		}
	}
	if err := yaml.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v in:\n%s", err, raw)
	}
	l, u := got.Listeners["bench"], got.Upstreams["hooks"]
	if l.Bind != "127.0.0.1:5" || l.Protocol != "grpc" || l.Upstream != "hooks" || u.Balance != "hash" || u.HashKey != "client_id" ||
		u.ExHook == nil || len(u.Endpoints) != 2 || u.Endpoints[1].Address != "127.0.0.3:1" {
		t.Errorf("%+v from:\n%s", got, raw)
	}
}

func TestTheConfigurationOfMqedgeIsYAMLWithTheKeysOfTheContract(t *testing.T) {
	mqedge := named(t, "mqedge")
	path, err := mqedge.writeConfig(t.Context(), settings{
		Options: Options{Dir: t.TempDir(), Endpoints: []string{"127.0.0.2:1", "127.0.0.3:1"}, Cert: "c.pem", Key: "k.pem"},
		Addr:    "127.0.0.1:5", AdminAddr: "127.0.0.1:6",
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Admin     struct{ Bind string }
		Listeners map[string]struct {
			Bind, Protocol, Upstream string
			TLS                      struct {
				Certificates []struct {
					Cert string `yaml:"cert_file"`
					Key  string `yaml:"key_file"`
				}
				MinVersion string `yaml:"min_version"`
			}
		}
		Upstreams map[string]struct {
			SendProxy string `yaml:"send_proxy"`
			Endpoints []struct{ Address string }
		}
	}
	if err := yaml.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v in:\n%s", err, raw)
	}
	l, u := got.Listeners["bench"], got.Upstreams["sink"]
	if got.Admin.Bind != "127.0.0.1:6" || l.Bind != "127.0.0.1:5" || l.Protocol != "mqtt" || l.Upstream != "sink" || l.TLS.MinVersion != "1.3" ||
		len(l.TLS.Certificates) != 1 || l.TLS.Certificates[0].Key != "k.pem" || u.SendProxy != "v1" || len(u.Endpoints) != 2 || u.Endpoints[1].Address != "127.0.0.3:1" {
		t.Errorf("%+v from:\n%s", got, raw)
	}
}

func TestAProgramThatEndsAtOnceFailsWithItsLastWords(t *testing.T) {
	p := shell("broken", "echo unknown directive; exit 1")
	if _, err := p.Start(t.Context(), Options{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "unknown directive") {
		t.Errorf("error %v, want what the program said", err)
	}
}

func TestStopEndsTheWorkersOfAProgramThatDiedBeforeThem(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// The worker holds the output file open: that tells when it is gone.
		_, _ = shell("master", "sleep 600 & echo started; wait").Start(ctx, Options{Dir: dir})
	}()
	deadline := time.Now().Add(5 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if said, _ := os.ReadFile(filepath.Join(dir, "master.out")); strings.Contains(string(said), "started") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the program did not start")
		}
		<-tick.C
	}
	cancel()
	<-ended
	for workers(t, dir) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("a worker outlived Stop")
		}
		<-tick.C
	}
}

// workers counts the processes that hold the output file of dir open.
func workers(t *testing.T, dir string) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/1")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir) {
			n++
		}
	}
	return n
}

func TestTheTLSLibraryIsTheOneThatRuns(t *testing.T) {
	for said, want := range map[string]string{
		"built with OpenSSL 3.0.20 7 Apr 2026 (running with OpenSSL 3.0.19 27 Jan 2026)\nTLS SNI":  "OpenSSL 3.0.19",
		"built with OpenSSL 3.0.20 7 Apr 2026\nTLS SNI support":                                    "OpenSSL 3.0.20",
		"Built with OpenSSL version : OpenSSL 3.0.22\nRunning on OpenSSL version : OpenSSL 3.0.19": "OpenSSL 3.0.19",
		"no TLS": "",
	} {
		if got := tlsLibrary(said); got != want {
			t.Errorf("%q, want %q, from %q", got, want, said)
		}
	}
}

func TestAMissingProgramIsNamedWithItsPackage(t *testing.T) {
	p := named(t, "haproxy")
	p.binary = "no-such-haproxy"
	if _, err := p.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "apt-get install haproxy") {
		t.Errorf("error %v, want the package to install", err)
	}
}

func named(t *testing.T, name string) Peer {
	t.Helper()
	all := All("mqedge")
	i := slices.IndexFunc(all, func(p Peer) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no peer %s", name)
	}
	return all[i]
}

func shell(name, script string) Peer {
	return Peer{Name: name, binary: "sh", template: "mqedge.yaml", arguments: func(string) []string { return []string{"-c", script} }}
}
