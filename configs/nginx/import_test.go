package nginx

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

var update = flag.Bool("update", false, "write what Import makes now as what is expected")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder returns a folder with the files of testdata, and those that they name in certs.
func folder(t testing.TB) string {
	// Of one length, whatever the random part: where a line of the result is broken depends on it.
	dir := t.TempDir()
	dir = filepath.Join(dir, strings.Repeat("d", max(1, 90-len(dir))))
	must(t, os.CopyFS(dir, os.DirFS("testdata")))
	authority, err := ca.New()
	must(t, err)
	crl, err := authority.CRL()
	must(t, err)
	files := map[string][]byte{"ca.pem": authority.PEM(), "crl.pem": crl}
	for name, leaf := range map[string]ca.Leaf{
		"cert.pem key.pem":    {CommonName: "edge.example", DNSNames: []string{"edge.example"}, RSA: true},
		"ecdsa.pem ecdsa.key": {CommonName: "edge.example", DNSNames: []string{"edge.example"}},
	} {
		cert, key, _ := strings.Cut(name, " ")
		files[cert], files[key], err = authority.Issue(leaf)
		must(t, err)
	}
	must(t, os.Mkdir(filepath.Join(dir, "certs"), 0o755))
	for name, data := range files {
		must(t, os.WriteFile(filepath.Join(dir, "certs", name), data, 0o600))
	}
	return dir
}

func TestEachConfigurationBecomesWhatIsWrittenBesideIt(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	must(t, err)
	dir := folder(t)
	t.Chdir(dir)
	files, err := filepath.Glob("*.conf")
	must(t, err)
	if len(files) < 12 {
		t.Fatalf("there are %d files", len(files))
	}
	for _, file := range append(files, "included/nginx.conf") {
		t.Run(file, func(t *testing.T) {
			result, err := Import(file, Options{})
			must(t, err)
			var lines strings.Builder
			for _, note := range result.Notes {
				lines.WriteString(note.String() + "\n")
			}
			for _, p := range result.Problems {
				lines.WriteString("mqedge check: " + p.String() + "\n")
			}
			golden := filepath.Join(testdata, strings.TrimSuffix(file, ".conf"))
			compare(t, golden+".yaml", strings.ReplaceAll(string(result.YAML), dir, "DIR"))
			compare(t, golden+".txt", strings.ReplaceAll(lines.String(), dir, "DIR"))

			here := strings.ReplaceAll(string(result.YAML), "/etc/nginx/certs", filepath.Join(dir, "certs"))
			cfg, problems := configs.Parse(filepath.Join(dir, "mqedge.yaml"), []byte(here))
			must(t, problems.Err())
			if here == string(result.YAML) {
				cfg.Dir = ""
				if !reflect.DeepEqual(*cfg, result.Config) {
					t.Errorf("what is printed is\n%s\nand not\n%s", cfg.YAML(), result.Config.YAML())
				}
			}
		})
	}
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", filepath.Base(golden), got, want)
	}
}

func importText(t testing.TB, text string, o Options) (*convert.Result, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nginx.conf")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return Import(file, o)
}

func TestTheProtocolCanBeSetForAll(t *testing.T) {
	const text = `stream {
  server { listen 8083; proxy_pass emqx_ws:8083; }
  server { listen 7777; proxy_pass somewhere:7777; }
  server { listen 8883; proxy_pass somewhere:8883; }
}`
	for protocol, want := range map[string]string{"mqtt": "mqtt mqtt tcp", "tcp": "tcp tcp tcp", "": "mqtt_ws tcp tcp"} {
		result, err := importText(t, text, Options{Protocol: protocol})
		must(t, err)
		byPort := map[string]string{}
		for _, l := range result.Config.Listeners {
			byPort[l.Bind[0]] = l.Protocol
		}
		if got := byPort["0.0.0.0:8083"] + " " + byPort["0.0.0.0:7777"] + " " + byPort["0.0.0.0:8883"]; got != want {
			t.Errorf("with %q they are %s, want %s", protocol, got, want)
		}
	}
}

func TestWhatIsNoConfigurationIsToldWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"stream {\n  server { listen 1883; proxy_pass a:1;\n}": "nginx.conf:3: this is not an nginx configuration: unexpected end of file",
		"stream {\n  server { listen 1883 }\n}":                `nginx.conf:2: this is not an nginx configuration: unexpected "}" where ";" is missing`,
		"stream {}\n}\n":                                       `nginx.conf:2: this is not an nginx configuration: unexpected "}"`,
		"stream {};\n":                                         `nginx.conf:1: this is not an nginx configuration: unexpected ";"`,
		"\n; stream {}\n":                                      `nginx.conf:2: this is not an nginx configuration: unexpected ";"`,
		"stream":                                               "nginx.conf:1: this is not an nginx configuration: it ends within a directive",
		strings.Repeat("a {", 200):                             "nested more than 100 deep",
		"include nowhere.conf;":                                "nowhere.conf: cannot read the file: no such file or directory",
		"\ninclude nowhere.conf;\ninclude not.conf;":           "nginx.conf:3: include: ",
		"include nginx.conf;":                                  "include cycle",
		"":                                                     "nginx.conf: there is nothing to import: it has no stream {} block",
		"http { server { listen 80; } }":                       "it has no stream {} block and no grpc_pass",
		"stream {}":                                            "stream {} has no server",
		"stream { server { listen 1; } }":                      "no server of stream {} could be carried over",
		"\x7fELF\x00\x01\x02":                                  "this is not an nginx configuration",
		"listeners:\n  mqtts: {bind: \":1\"}\n":                "this is not an nginx configuration",
	} {
		result, err := importText(t, text, Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if errors.Is(err, ErrNothing) != (result != nil) {
			t.Errorf("%q: a result %v with %v", text, result, err)
		}
	}
	if _, err := Import(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "cannot read the file: is a directory") {
		t.Errorf("a folder: %v", err)
	}
}

// FuzzImport looks for files that end the program, and for results that mqedge would refuse.
func FuzzImport(f *testing.F) {
	dir := folder(f)
	files, err := filepath.Glob("testdata/*.conf")
	must(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(f, err)
		f.Add(string(data), "")
	}
	f.Add("stream { server { listen 1883; content_by_lua_block { return '}' } proxy_pass a:1; } }", "mqtt")
	f.Add("stream { access_log logs/a?&b; server { listen 1883; proxy_pass a:1; } }", "")
	f.Add("if; if (a) {} map {} stream { upstream u { server a:1; } server { listen [::]:1-4 ssl; proxy_pass u; } }", "tcp")
	f.Fuzz(func(t *testing.T, text, protocol string) {
		if protocol != "mqtt" && protocol != "tcp" {
			protocol = ""
		}
		if strings.Contains(text, "include") {
			return // of files that are not the fuzzer's
		}
		file := filepath.Join(dir, "fuzz.conf")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		result, err := Import(file, Options{Protocol: protocol})
		if err != nil {
			if !strings.HasPrefix(err.Error(), file) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("an error without a place, or of several lines: %v", err)
			}
			return
		}
		for _, note := range result.Notes {
			if note.Line < 1 || note.Text == "" || strings.ContainsAny(note.String(), "\r\n\x1b") {
				t.Errorf("a bad note: %q", note)
			}
		}
		for _, p := range result.Problems {
			if !p.Warning && !strings.Contains(p.Path, "_file") {
				t.Errorf("mqedge would refuse it: %s\n%s", p, result.YAML)
			}
		}
	})
}
