// Package golden is what the tests of importers share: a folder with the files that configurations name, what each
// configuration is expected to become, and what holds of every result.
package golden

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/certs/ca"
	"github.com/mqedge/mqedge/configs"
	"github.com/mqedge/mqedge/configs/convert"
)

// Folder returns a folder with the files of testdata and, in certs, those that they name: ca.pem and crl.pem, cert.pem
// with key.pem for RSA, ecdsa.pem with ecdsa.key. Its path has one length, whatever the random part: where a line of a
// result is broken depends on it.
func Folder(t testing.TB) string {
	t.Helper()
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

// Compare holds a result against the files want.yaml and want.txt, in which DIR stands for dir, or writes them if update
// is true. What is printed has to be what mqedge would run with; elsewhere, if not "", is where the certificates of dir are
// in the result.
func Compare(t *testing.T, dir, want string, result *convert.Result, elsewhere string, update bool) {
	t.Helper()
	var lines strings.Builder
	for _, note := range result.Notes {
		lines.WriteString(note.String() + "\n")
	}
	for _, p := range result.Problems {
		lines.WriteString("mqedge check: " + p.String() + "\n")
	}
	for end, got := range map[string]string{".yaml": string(result.YAML), ".txt": lines.String()} {
		got = strings.ReplaceAll(got, dir, "DIR")
		if update {
			must(t, os.WriteFile(want+end, []byte(got), 0o644))
		}
		expected, err := os.ReadFile(want + end)
		must(t, err)
		if got != string(expected) {
			t.Errorf("%s: got\n%s\nwant\n%s", filepath.Base(want+end), got, expected)
		}
	}
	here := string(result.YAML)
	if elsewhere != "" {
		here = strings.ReplaceAll(here, elsewhere, filepath.Join(dir, "certs"))
	}
	cfg, problems := configs.Parse(filepath.Join(dir, "mqedge.yaml"), []byte(here))
	must(t, problems.Err())
	cfg.Dir = ""
	if here == string(result.YAML) && !reflect.DeepEqual(*cfg, result.Config) {
		t.Errorf("what is printed is\n%s\nand not\n%s", cfg.YAML(), result.Config.YAML())
	}
}

// Sound holds of whatever a file becomes: an error has its place on one line, a note has one too, and mqedge would refuse
// a result for files that are not here only.
func Sound(t *testing.T, file string, result *convert.Result, err error) {
	t.Helper()
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
}

// Protocols compares the protocols of three listeners, on the ports 8083, 7777 and 8883, with what --protocol makes of them.
func Protocols(t *testing.T, importWith func(protocol string) (*convert.Result, error)) {
	t.Helper()
	for protocol, want := range map[string]string{"mqtt": "mqtt mqtt tcp", "tcp": "tcp tcp tcp", "": "mqtt_ws tcp tcp"} {
		result, err := importWith(protocol)
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
