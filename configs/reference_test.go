package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestTheReferenceFileIsTheDefaults(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	got, problems := parseText(dir, string(Reference()))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := Default()
	want.Dir = dir
	listener, tls := DefaultListener(), DefaultTLS()
	listener.Bind = []string{"0.0.0.0:8884"}
	listener.Upstream = "emqx"
	tls.Certificates = []Certificate{{CertFile: filepath.Join(dir, "certs/cert.pem"), KeyFile: filepath.Join(dir, "certs/key.pem")}}
	listener.TLS = &tls
	upstream, endpoint := DefaultUpstream(), DefaultEndpoint()
	endpoint.Address = "127.0.0.1:1883"
	upstream.Endpoints = []Endpoint{endpoint}
	want.Listeners = map[string]*Listener{"mqtts": &listener}
	want.Upstreams = map[string]*Upstream{"emqx": &upstream}
	if !reflect.DeepEqual(got, &want) {
		t.Errorf("got\n%swant\n%s", got.YAML(), want.YAML())
	}
}

func TestTheCommentedKeysOfTheReferenceFileAreTheDefaultsToo(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	cfg, problems := parseText(dir, string(fullReference()))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	proxy := DefaultProxyProtocol()
	proxy.Trust = cfg.Listeners["mqtts"].ProxyProtocol.Trust
	if got := cfg.Listeners["mqtts"].ProxyProtocol; !reflect.DeepEqual(got, &proxy) || len(proxy.Trust) != 1 {
		t.Errorf("proxy_protocol is %+v", got)
	}
	exhook := DefaultExHook()
	exhook.Hooks = cfg.Upstreams["hooks"].ExHook.Hooks
	if got := cfg.Upstreams["hooks"].ExHook; !reflect.DeepEqual(got, &exhook) || len(exhook.Hooks) != 1 {
		t.Errorf("exhook is %+v", got)
	}
	dns := DefaultDNS()
	dns.Name, dns.Port = "emqx.example.com", 1883
	if got := cfg.Upstreams["emqx"].DNS; !reflect.DeepEqual(got, &dns) {
		t.Errorf("dns is %+v", got)
	}
	gossip, announcement := DefaultGossip(), DefaultAnnouncement()
	announcement.Service, announcement.Address = "emqx", ":1883"
	gossip.KeyFile, gossip.Announce = filepath.Join(dir, "gossip.keys"), []Announcement{announcement}
	docker := DefaultDocker()
	gossip.Docker = &docker
	gossip.Join, gossip.Allow = cfg.Gossip.Join, cfg.Gossip.Allow // empty, or nil
	if got := cfg.Gossip; !reflect.DeepEqual(got, &gossip) || len(gossip.Join)+len(gossip.Allow) > 0 {
		t.Errorf("gossip is %+v", got)
	}
	if got := cfg.Upstreams["emqx"].TLS; !reflect.DeepEqual(got, &UpstreamTLS{}) {
		t.Errorf("tls is %+v", got)
	}
}

func TestTheReferenceFileHasEveryKeyWithAReason(t *testing.T) {
	found := descriptions()
	for _, path := range schemaPaths() {
		if found[path] == "" {
			t.Errorf("%s has no reason", path)
		}
	}
}

func TestTheReferenceFileNamesEveryVariableOfTheAccessLog(t *testing.T) {
	for _, name := range AccessLogVariables() {
		if !strings.Contains(string(Reference()), "$"+name) {
			t.Errorf("$%s is missing", name)
		}
	}
}

func TestEveryExampleLoads(t *testing.T) {
	files, err := filepath.Glob("examples/*.yaml")
	must(t, err)
	if len(files) < 10 { // the pattern may be wrong
		t.Errorf("found %v", files)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			must(t, err)
			dir := t.TempDir()
			fixtures(t, dir)
			_, problems := parseText(dir, string(data))
			for _, p := range problems {
				if wanted := file == "examples/nginx-replacement.yaml" && strings.Contains(p.Message, "TLS 1.0"); !wanted {
					t.Error(p)
				}
			}
		})
	}
}

func TestTheNginxReplacementKeepsTheLogFormat(t *testing.T) {
	dir := t.TempDir()
	fixtures(t, dir)
	data, err := os.ReadFile("examples/nginx-replacement.yaml")
	must(t, err)
	cfg, problems := parseText(dir, string(data))
	must(t, problems.Err())
	const nginx = `$proxy_protocol_addr - $remote_addr [$time_local] ` +
		`$protocol $status $bytes_sent $bytes_received ` +
		`$session_time "$upstream_addr" ` +
		`"$upstream_bytes_sent" "$upstream_bytes_received" "$upstream_connect_time"`
	if cfg.AccessLog.Format != nginx {
		t.Errorf("got  %s\nwant %s", cfg.AccessLog.Format, nginx)
	}
	if n := len(cfg.Upstreams["mqtt_broker"].Endpoints); n != 15 {
		t.Errorf("%d endpoints", n)
	}
}
