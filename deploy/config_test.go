// Package deploy_test keeps what is deployed true: the configurations load, and the files around them agree with them in ports, paths
// and times. deploy/validate holds them against the schemas of those who read them.
package deploy_test

import (
	"crypto/rand"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/mqedge/mqedge/certs/ca"
	"github.com/mqedge/mqedge/configs"
)

// given are the variables that the containers get from outside.
var given = map[string]string{
	"POD_NAME": "mqedge-7d9c5f6b8-x2x7q", "POD_IP": "10.1.0.7", "NODE_NAME": "node-1", "HOST_IP": "10.0.0.11", "EDGES": "edges.example.internal:7946",
}

func TestEveryConfigurationHereLoads(t *testing.T) {
	for name, value := range given {
		t.Setenv(name, value)
	}
	files := configurations(t)
	if len(files) < 8 {
		t.Errorf("found only %q", files)
	}
	for _, file := range files {
		load(t, file)
	}
}

// configurations are the files of mqedge's own format.
func configurations(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".yaml") {
			return err
		}
		top := make(map[string]any)
		if yaml.Unmarshal(read(t, path), &top) == nil && top["apiVersion"] == nil && (top["listeners"] != nil || top["gossip"] != nil) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// load checks a configuration as `mqedge check` does in the container, where the files exist that it names.
func load(t *testing.T, file string) *configs.Config {
	t.Helper()
	text := read(t, file)
	for name, value := range given {
		t.Setenv(name, value)
	}
	root := t.TempDir()
	text = regexp.MustCompile(`(_file: *)/`).ReplaceAll(text, []byte("${1}"+root+"/"))
	for _, m := range regexp.MustCompile(`(\w+)_file: *([^\s,}]+)`).FindAllSubmatch(text, -1) {
		if string(m[1]) != "state" {
			provide(t, string(m[2]))
		}
	}
	c, problems := configs.Parse(filepath.Join(root, "mqedge.yaml"), text)
	for _, p := range problems {
		if p.Warning && p.Path == "admin.bind" && strings.Contains(string(text), "so there is no token") {
			continue // it is meant
		}
		t.Errorf("%s: %v", file, p)
	}
	if c == nil {
		t.FailNow()
	}
	return c
}

// provide writes what a configuration names.
func provide(t *testing.T, file string) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, "keys") || strings.HasSuffix(file, "token") {
		secret := make([]byte, 32)
		rand.Read(secret)
		write(t, file, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"))
		return
	}
	authority, err := ca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := authority.Issue(ca.Leaf{CommonName: "edge.example", DNSNames: []string{"edge.example"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file)
	for name, pem := range map[string][]byte{"cert.pem": cert, "tls.crt": cert, "key.pem": key, "tls.key": key} {
		write(t, filepath.Join(dir, name), pem)
	}
}

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// decode reads a YAML document into a type that names only what is looked at.
func decode[T any](t *testing.T, text []byte) T {
	t.Helper()
	var v T
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
