package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/mqedge/mqedge/balancer/probe"
	"github.com/mqedge/mqedge/configs"
)

var update = flag.Bool("update", false, "write what the hosts of testdata/hosts get as what they are to get")

// said are the words in a host's file for what the kernel or an endpoint says.
var said = map[string]error{
	"in-use":     syscall.EADDRINUSE,
	"denied":     syscall.EACCES,
	"no-address": syscall.EADDRNOTAVAIL,
	"no-ipv6":    syscall.EAFNOSUPPORT,
	"refused":    syscall.ECONNREFUSED,
	"timeout":    context.DeadlineExceeded,
	"expects":    &probe.ProxyMismatch{Expects: true},
	"unexpected": &probe.ProxyMismatch{},
}

// TestEachHostGetsItsFindings reads hosts from archives of files. In these the words of cmdline and environ are lines;
// "links" are symbolic links, "binds" and "endpoints" what came of trying them, and "want" is the report.
func TestEachHostGetsItsFindings(t *testing.T) {
	files, err := filepath.Glob("testdata/hosts/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d hosts: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h, config := readHost(t, archive)
			got := Examine(config, h).Text()
			for i, f := range archive.Files {
				switch {
				case f.Name != "want":
				case *update:
					archive.Files[i].Data = []byte(got)
					if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
						t.Fatal(err)
					}
				case string(f.Data) != got:
					t.Errorf("got:\n%s\nwant:\n%s", got, f.Data)
				}
			}
		})
	}
}

// readHost lays out the files of an archive and reads them as a host's.
func readHost(t *testing.T, archive *txtar.Archive) (*Host, *configs.Config) {
	t.Helper()
	root := t.TempDir()
	special := make(map[string]string)
	var config *configs.Config
	for _, f := range archive.Files {
		switch base := filepath.Base(f.Name); {
		case f.Name == "links", f.Name == "binds", f.Name == "endpoints", f.Name == "want":
			special[f.Name] = string(f.Data)
		case f.Name == "mqedge.yaml":
			c, problems := configs.Parse(filepath.Join(root, f.Name), f.Data)
			if problems.Err() != nil {
				t.Fatal(problems)
			}
			config = c
		case base == "cmdline", base == "environ":
			put(t, root, f.Name, bytes.ReplaceAll(f.Data, []byte("\n"), []byte{0}))
		default:
			put(t, root, f.Name, f.Data)
		}
	}
	for from, to := range pairs(special["links"]) {
		path := filepath.Join(root, from)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	h := Read(t.Context(), Options{Config: config, Root: root, Offline: true})
	h.Memory.LimitFile = strings.TrimPrefix(h.Memory.LimitFile, root)
	h.Processors.File = strings.TrimPrefix(h.Processors.File, root)
	h.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.5")}
	h.Binds = make(map[string]error)
	for address, word := range pairs(special["binds"]) {
		h.Binds[address] = said[word]
	}
	if text, asked := special["endpoints"]; asked {
		h.Endpoints = make(map[string]error)
		for key, word := range pairs(text) {
			h.Endpoints[key] = said[word]
		}
	}
	return h, config
}

func put(t *testing.T, root, name string, data []byte) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// pairs are the first two words of each line.
func pairs(text string) map[string]string {
	out := make(map[string]string)
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 2 {
			out[words[0]] = words[1]
		}
	}
	return out
}

func TestAHostOfWhichNothingIsKnownHasNoFindings(t *testing.T) {
	config, problems := configs.Parse("mqedge.yaml", []byte(`
listeners: {mqtt: {bind: "0.0.0.0:1883", upstream: emqx, max_connections: 1000000}}
upstreams: {emqx: {endpoints: [{address: "127.0.0.1:2883"}]}}
`))
	if problems.Err() != nil {
		t.Fatal(problems)
	}
	for _, c := range []*configs.Config{nil, config} {
		if r := Examine(c, new(Host)); len(r.Findings) != 0 || !r.Clean() {
			t.Errorf("%+v", r.Findings)
		}
	}
}

func TestTheReportInJSONHasListsAndNoNull(t *testing.T) {
	h := &Host{Sysctls: map[string]string{"net.ipv4.tcp_syncookies": "0"}}
	for _, h := range []*Host{h, new(Host)} {
		text, err := json.Marshal(Examine(nil, h))
		if err != nil || bytes.Contains(text, []byte("null")) {
			t.Errorf("%s %v", text, err)
		}
	}
}

func TestFilesThatOthersMayReadOrWriteAndCertificatesThatEndAreFound(t *testing.T) {
	dir := t.TempDir()
	config := &configs.Config{Listeners: map[string]*configs.Listener{
		"mqtts": {Bind: []string{"0.0.0.0:0"}, TLS: &configs.TLS{Certificates: []configs.Certificate{{
			CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "a key.pem"),
		}}}},
	}}
	cert, key := config.Listeners["mqtts"].TLS.Certificates[0].CertFile, config.Listeners["mqtts"].TLS.Certificates[0].KeyFile
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		cert, key File
		severity  Severity
		want      []string
	}{
		{File{Mode: 0o644, Expires: now.Add(15 * 24 * time.Hour)}, File{Mode: 0o640}, "", nil},
		{File{Mode: 0o644}, File{Mode: 0o644}, Warning, []string{"certificates[0].key_file", "everybody may read", "0644", "chmod o-rwx '"}},
		{File{Mode: 0o666}, File{Mode: 0o600}, Warning, []string{"certificates[0].cert_file", "everybody may write"}},
		{File{Mode: 0o644, Expires: now.Add(13 * 24 * time.Hour)}, File{Mode: 0o600}, Warning, []string{"expires on 2026-03-14"}},
		{File{Mode: 0o644, Expires: now}, File{Mode: 0o600}, Error, []string{"expired on 2026-03-01"}},
	} {
		h := &Host{Now: now, Files: map[string]File{cert: test.cert, key: test.key}}
		found := Examine(config, h).Findings
		if len(test.want) == 0 {
			if len(found) != 0 {
				t.Errorf("%+v", found)
			}
			continue
		}
		if len(found) != 1 || found[0].Severity != test.severity || found[0].Check != "files" {
			t.Errorf("%+v", found)
			continue
		}
		text := found[0].What + found[0].Why + strings.Join(found[0].Commands, "\n")
		for _, part := range test.want {
			if !strings.Contains(text, part) {
				t.Errorf("%q is not in %q", part, text)
			}
		}
	}
}

func TestAnAccessLogThatCannotBeWrittenIsFound(t *testing.T) {
	config := &configs.Config{AccessLog: configs.AccessLog{Path: filepath.Join(t.TempDir(), "missing", "access.log")}}
	h := Read(t.Context(), Options{Config: config, Root: t.TempDir(), Offline: true})
	found := Examine(config, h).Findings
	if len(found) != 1 || found[0].Severity != Error || !strings.Contains(found[0].What, "no such file or directory") {
		t.Errorf("%+v", found)
	}
	h.Folders[config.AccessLog.Path] = Folder{Free: 500 << 20, Size: 100 << 30}
	found = Examine(config, h).Findings
	if len(found) != 1 || found[0].Severity != Warning || !strings.Contains(found[0].What, "500 MiB are left") {
		t.Errorf("%+v", found)
	}
	h.Folders[config.AccessLog.Path] = Folder{Free: 50 << 30, Size: 100 << 30}
	if found = Examine(config, h).Findings; len(found) != 0 {
		t.Errorf("%+v", found)
	}
}

func TestMemoryIsReckonedByWhatTheListenersSpeak(t *testing.T) {
	config := &configs.Config{
		Listeners: map[string]*configs.Listener{"a": {Bind: []string{"0.0.0.0:0"}, Protocol: "mqtt", Upstream: "b", MaxConnections: 80000}},
		Upstreams: map[string]*configs.Upstream{"b": {}},
	}
	h := &Host{Memory: Memory{Total: 1 << 30}}
	if found := memory(subject{config, newNeeds(config), h}); len(found) != 0 {
		t.Errorf("80,000 plain connections in 1 GiB: %+v", found)
	}
	config.Listeners["a"].TLS = new(configs.TLS)
	found := memory(subject{config, newNeeds(config), h})
	if len(found) != 1 || found[0].Severity != Warning || !strings.Contains(found[0].Why, "what this host has") || len(found[0].Commands) != 0 {
		t.Errorf("80,000 connections with TLS in 1 GiB: %+v", found)
	}
}
