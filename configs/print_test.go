package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestThePrintedConfigLoadsAgainAsItWas(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	examples, err := filepath.Glob("examples/*.yaml")
	must(t, err)
	texts := map[string]string{
		"reference": string(Reference()), "full reference": string(fullReference()), "minimal": minimal,
		"odd": `
access_log: {path: "$${literal}/$x", format: '${status} "$reason" # '}
upstreams:
  "off": {connect_timeout: 1ms, endpoints: [{address: "[::1]:1883"}]}
  "true": {tries: 0, endpoints: [{address: "10.0.0.1:1883"}]}
  'a: b #"c" é ☃': {send_proxy: "off", endpoints: [{address: "10.0.0.1:1883"}]}
listeners:
  "5": {bind: ":1", upstream: "off", allow: ["fd00::/8", 10.0.0.1], mqtt: {max_connect_size: 1025}}
  ~x: {bind: ":2", upstream: "true", protocol: tcp, idle_timeout: 1h0m0.5s}
  y: {bind: ":3", upstream: 'a: b #"c" é ☃', protocol: tcp}
`,
	}
	for _, file := range examples {
		data, err := os.ReadFile(file)
		must(t, err)
		texts[file] = string(data)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			first, problems := parseText(dir, text)
			must(t, problems.Err())
			second, again := parseText(dir, string(first.YAML()))
			if len(again) != len(problems) {
				t.Errorf("printed it has other problems: %v", again)
			}
			if !reflect.DeepEqual(first, second) {
				t.Errorf("printed as\n%s", first.YAML())
			}
		})
	}
}

func TestThePublicConfigHidesPasswordsAndLeavesTheConfigAlone(t *testing.T) {
	cfg, problems := parseText(t.TempDir(), `
upstreams:
  emqx: {health: {active: {type: mqtt, username: monitor, password: hush}}, endpoints: [{address: "10.0.0.1:1883"}]}
listeners: {mqtt: {bind: "0.0.0.0:1883", upstream: emqx}}
`)
	must(t, problems.Err())
	if text := string(cfg.Public()); strings.Contains(text, "hush") || !strings.Contains(text, "password: (hidden)") || !strings.Contains(text, "monitor") {
		t.Errorf("others see\n%s", text)
	}
	if !strings.Contains(string(cfg.YAML()), "password: hush") {
		t.Error("the password is gone")
	}
}

// FuzzParse looks for files that end the program, and for those that do not survive being printed.
func FuzzParse(f *testing.F) {
	f.Add(Reference())
	f.Add([]byte(minimal))
	for _, pattern := range []string{"examples/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		must(f, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			must(f, err)
			f.Add(data)
		}
	}
	dir := f.TempDir()
	fixtures(f, dir)
	name := filepath.Join(dir, "fuzz.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, problems := Parse(name, data)
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Message == "" || p.String() == "" {
				t.Errorf("a problem without a place or a message: %+v", p)
			}
		}
		if (cfg == nil) != (problems.Err() != nil) {
			t.Fatalf("config %v with error %v", cfg, problems.Err())
		}
		if cfg == nil {
			return
		}
		again, problems := Parse(name, cfg.YAML())
		if err := problems.Err(); err != nil || !reflect.DeepEqual(cfg, again) {
			t.Fatalf("printed as\n%s\nwith %v", cfg.YAML(), err)
		}
	})
}
