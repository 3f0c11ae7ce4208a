package nginx

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/configs/convert"
	"github.com/mqedge/mqedge/configs/golden"
)

var update = flag.Bool("update", false, "write what Import makes now as what is expected")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachConfigurationBecomesWhatIsWrittenBesideIt(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	must(t, err)
	dir := golden.Folder(t)
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
			golden.Compare(t, dir, filepath.Join(testdata, strings.TrimSuffix(file, ".conf")), result, "/etc/nginx/certs", *update)
		})
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
	golden.Protocols(t, func(protocol string) (*convert.Result, error) {
		return importText(t, text, Options{Protocol: protocol})
	})
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
	dir := golden.Folder(f)
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
		golden.Sound(t, file, result, err)
	})
}
