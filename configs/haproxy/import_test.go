package haproxy

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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

// folder returns a folder with the files of testdata, and those that they name in certs. Its name has one length: where
// a line of the result is broken depends on it.
func folder(t testing.TB) string {
	dir := t.TempDir()
	dir = filepath.Join(dir, strings.Repeat("d", max(1, 90-len(dir))))
	must(t, os.CopyFS(dir, os.DirFS("testdata")))
	authority, err := ca.New()
	must(t, err)
	crl, err := authority.CRL()
	must(t, err)
	rsa, rsaKey, err := authority.Issue(ca.Leaf{CommonName: "edge.example", DNSNames: []string{"edge.example"}, RSA: true})
	must(t, err)
	ecdsa, ecdsaKey, err := authority.Issue(ca.Leaf{CommonName: "edge.example", DNSNames: []string{"edge.example"}})
	must(t, err)
	both := slices.Concat(rsa, rsaKey)
	for name, data := range map[string][]byte{
		"ca.pem": authority.PEM(), "crl.pem": crl, "both.pem": both, "ecdsa.pem": ecdsa, "ecdsa.pem.key": ecdsaKey, "certs.list": []byte("# a list\nboth.pem\necdsa.pem [alpn h2] *.example\n"),
		"folder/a.pem": both, "folder/b.pem": ecdsa, "folder/b.pem.key": ecdsaKey, "folder/.hidden": nil, "folder/c.ocsp": nil,
	} {
		file := filepath.Join(dir, "certs", name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, data, 0o600))
	}
	return dir
}

func TestEachConfigurationBecomesWhatIsWrittenBesideIt(t *testing.T) {
	testdata, err := filepath.Abs("testdata")
	must(t, err)
	dir := folder(t)
	t.Chdir(dir)
	files, err := filepath.Glob("*.cfg")
	must(t, err)
	if len(files) < 8 {
		t.Fatalf("there are %d files", len(files))
	}
	for _, file := range files {
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
			golden := filepath.Join(testdata, strings.TrimSuffix(file, ".cfg"))
			compare(t, golden+".yaml", strings.ReplaceAll(string(result.YAML), dir, "DIR"))
			compare(t, golden+".txt", strings.ReplaceAll(lines.String(), dir, "DIR"))
			cfg, problems := configs.Parse(filepath.Join(dir, "mqedge.yaml"), result.YAML)
			must(t, problems.Err())
			cfg.Dir = ""
			if !reflect.DeepEqual(*cfg, result.Config) {
				t.Errorf("what is printed is\n%s\nand not\n%s", cfg.YAML(), result.Config.YAML())
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
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return Import(file, o)
}

func TestTheProtocolCanBeSetForAll(t *testing.T) {
	const text = "listen a\n bind :8083\n server a emqx_ws:8083\nlisten b\n bind :7777\n server b b:7777\nlisten c\n bind :8883\n server c c:8883\n"
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
		"stream {\n}\n":                       "haproxy.cfg:1: this is not an HAProxy configuration: stream is not in a section such as frontend or backend",
		"frontend a\n bind \":1\n":            `haproxy.cfg:2: this is not an HAProxy configuration: the quote " is not closed`,
		"frontend a\n bind \"${A:1\"\n":       "haproxy.cfg:2: this is not an HAProxy configuration: ${ is not closed",
		"":                                    "there is nothing to import: it is empty",
		"# only this\n":                       "there is nothing to import: it is empty",
		"global\n daemon\n":                   "there is nothing to import: it has no frontend or listen of streams",
		"frontend a\n bind :1\n":              "it has no frontend or listen",
		"listen a\n bind :1\n mode http\n":    "it has no frontend or listen",
		"\x7fELF\x00\x01\x02":                 "this is not an HAProxy configuration",
		"listeners:\n  mqtts: {bind: \":1\"}": "this is not an HAProxy configuration",
	} {
		result, err := importText(t, text, Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if result != nil && !errors.Is(err, ErrNothing) {
			t.Errorf("%q: a result with %v", text, err)
		}
	}
	if _, err := Import(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "cannot read the file: is a directory") {
		t.Errorf("a folder: %v", err)
	}
}

func TestTimesAreReadAsHAProxyWritesThem(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"10000": 10 * time.Second, "240s": 4 * time.Minute, "5m": 5 * time.Minute, "1d": 24 * time.Hour, "500us": 500 * time.Microsecond, "20ms": 20 * time.Millisecond, "0": 0,
	} {
		if got, ok := parseTime(text); !ok || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "s", "-1s", "1x", "1.5s", "1h30m", "never", "99999999999999999999", "999999999999d", " 1s"} {
		if got, ok := parseTime(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestWordsAreTakenApartAsHAProxyDoes(t *testing.T) {
	t.Setenv("WORD", "from outside")
	for text, want := range map[string][]string{
		`a  b	c`:                         {"a", "b", "c"},
		`a "b c" 'd e'f`:                 {"a", "b c", "d ef"},
		`a\ b \\ \# \x41 \q # c`:         {"a b", `\`, "#", "A", `\q`},
		`a#b`:                            {"a"},
		`"$WORD" $WORD '$WORD' "\$WORD"`: {"from outside", "$WORD", "$WORD", "$WORD"},
		`"${WORD}x${NONE-y}${NONE}"`:     {"from outsidexy"},
		`'a\' ""`:                        {`a\`, ""},
	} {
		r := reader{env: map[string]string{}}
		got, _, _, err := r.split(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q %v, want %q", text, got, err, want)
		}
	}
}

// FuzzImport looks for files that end the program, and for results that mqedge would refuse.
func FuzzImport(f *testing.F) {
	dir := folder(f)
	files, err := filepath.Glob("testdata/*.cfg")
	must(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(f, err)
		f.Add(string(data), "")
	}
	f.Add("listen a\nbind :1\nserver a ::1:1 port 70000 check\n", "mqtt")
	f.Fuzz(func(t *testing.T, text, protocol string) {
		if protocol != "mqtt" && protocol != "tcp" {
			protocol = ""
		}
		file := filepath.Join(dir, "fuzz.cfg")
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
