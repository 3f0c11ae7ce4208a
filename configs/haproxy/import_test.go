package haproxy

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// folder adds HAProxy's ways to keep a certificate and its key to the usual files.
func folder(t testing.TB) string {
	dir := golden.Folder(t)
	certs := filepath.Join(dir, "certs")
	pem := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(certs, name))
		must(t, err)
		return data
	}
	both := slices.Concat(pem("cert.pem"), pem("key.pem"))
	must(t, os.Mkdir(filepath.Join(certs, "folder"), 0o755))
	for name, data := range map[string][]byte{
		"both.pem": both, "ecdsa.pem.key": pem("ecdsa.key"), "certs.list": []byte("# a list\nboth.pem\necdsa.pem [alpn h2] *.example\n"),
		"folder/a.pem": both, "folder/b.pem": pem("ecdsa.pem"), "folder/b.pem.key": pem("ecdsa.key"), "folder/.hidden": nil, "folder/c.ocsp": nil,
	} {
		must(t, os.WriteFile(filepath.Join(certs, name), data, 0o600))
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
			golden.Compare(t, dir, filepath.Join(testdata, strings.TrimSuffix(file, ".cfg")), result, "", *update)
		})
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
	golden.Protocols(t, func(protocol string) (*convert.Result, error) {
		return importText(t, text, Options{Protocol: protocol})
	})
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
		golden.Sound(t, file, result, err)
	})
}
