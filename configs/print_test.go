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
			short := first.Short(map[string]string{"listeners": "a: comment", "upstreams": "# another"})
			third, again := parseText(dir, string(short))
			if len(again) != len(problems) || !reflect.DeepEqual(first, third) {
				t.Errorf("in short it is\n%s\nwith %v", short, again)
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

func TestInShortThereIsOnlyWhatDiffersFromTheDefaults(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	cfg, problems := parseText(dir, `
access_log:
  path: /var/log/access.log
  format: '$remote_addr - [$time_local] $protocol $status $bytes_sent $bytes_received $session_time "$upstream_addr" $reason'
listeners:
  mqtts:
    bind: [0.0.0.0:8883, 0.0.0.0:8884]
    upstream: emqx
    idle_timeout: 10m
    tls: {certificates: [{cert_file: certs/cert.pem, key_file: certs/key.pem}], min_version: "1.2"}
  ws: {bind: 0.0.0.0:8083, upstream: emqx, protocol: mqtt_ws, max_connections: 0}
upstreams:
  emqx:
    tls: {}
    balance: hash
    endpoints: [{address: 10.0.0.1:1883, weight: 2}, {address: 10.0.0.2:1883}]
    health: {passive: {max_fails: 1}, active: {interval: 5s}}
`)
	must(t, problems.Err())
	want := `access_log:
  path: /var/log/access.log
  format: >-
    $remote_addr - [$time_local] $protocol $status $bytes_sent $bytes_received $session_time
    "$upstream_addr" $reason

listeners:
  mqtts: # nginx.conf:7
    bind: [0.0.0.0:8883, 0.0.0.0:8884]
    upstream: emqx
    tls:
      certificates:
        - {cert_file: DIR/certs/cert.pem, key_file: DIR/certs/key.pem}
    idle_timeout: 600s # in silence

  ws:
    bind: 0.0.0.0:8083
    protocol: mqtt_ws
    upstream: emqx

upstreams:
  emqx:
    balance: hash
    tls: {}
    endpoints:
      - {address: 10.0.0.1:1883, weight: 2}
      - {address: 10.0.0.2:1883} # the other
    health:
      passive: {max_fails: 1}
`
	got := cfg.Short(map[string]string{
		"listeners.mqtts": "nginx.conf:7", "listeners.mqtts.idle_timeout": "in silence", "upstreams.emqx.endpoints[1]": "the other",
	})
	if text := strings.ReplaceAll(string(got), dir, "DIR"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
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
		again, problems = Parse(name, cfg.Short(nil))
		if err := problems.Err(); err != nil || !reflect.DeepEqual(cfg, again) {
			t.Fatalf("in short it is\n%s\nwith %v", cfg.Short(nil), err)
		}
	})
}
