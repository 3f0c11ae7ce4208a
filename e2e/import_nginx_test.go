package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/demo/broker"
)

func TestTheNginxFileOfAnOperatorBecomesARunningEdge(t *testing.T) {
	t.Parallel()
	const nodes = 15
	pki := newAuthority(t)
	pair, dir, address := pki.server(), t.TempDir(), deadAddress(t)
	var brokers []*recorder
	for range nodes {
		brokers = append(brokers, startBroker(t))
	}
	log := filepath.Join(dir, "access.log")
	conf := filepath.Join(dir, "tcpstream.conf")
	text, err := os.ReadFile("../configs/nginx/testdata/tcpstream.conf")
	must(t, err)
	next := 0
	text = exampleEndpoint.ReplaceAllFunc(text, func([]byte) []byte {
		next++
		return []byte(brokers[next-1].Addr())
	})
	if next != nodes {
		t.Fatalf("the file has %d endpoints", next)
	}
	for from, to := range map[string]string{
		"listen 8884 ": "listen " + address + " ", "/var/log/nginx/access.log": log,
		" /etc/nginx/certs/cert.pem": " " + pair.cert, " /etc/nginx/certs/key.pem": " " + pair.key,
	} {
		if !strings.Contains(string(text), from) {
			t.Fatalf("the file has no %s", from)
		}
		text = []byte(strings.ReplaceAll(string(text), from, to))
	}
	mustWrite(t, conf, text)

	config, stderr, code := run(t, "import", "nginx", conf)
	if code != 0 || strings.Contains(stderr, "mqedge check:") {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	var said []string
	for _, m := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(conf)+`:\d+: (\w+): `).FindAllStringSubmatch(stderr, -1) {
		said = append(said, m[1])
	}
	if want := []string{"error_log", "ssl_protocols", "ssl_ciphers"}; !slices.Equal(said, want) || strings.Count(stderr, "\n") != len(want) {
		t.Errorf("it says of %v, want %v:\n%s", said, want, stderr)
	}

	start(t, config)
	at := func(id string) int {
		return slices.IndexFunc(brokers, func(b *recorder) bool {
			return slices.ContainsFunc(b.Clients(), func(c broker.Client) bool { return c.ID == id })
		})
	}
	first := 0
	for i := range 2 * nodes {
		id := fmt.Sprintf("client-%d", i)
		must(t, mustConnect(t, address, pki.trusting(), id).publish("a/b", []byte("c")))
		if i == 0 {
			first = at(id)
		}
		if got, want := at(id), (first+i)%nodes; got != want {
			t.Errorf("%s is at broker %d, want %d: nginx goes round", id, got, want)
		}
	}
	old := pki.trusting()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	d := mustConnect(t, address, old, "old-device")
	if got := brokers[first].client(t, "old-device"); got.ProxyVersion != 1 || got.Addr.String() != d.LocalAddr().String() {
		t.Errorf("the old device came from %v by PROXY v%d", got.Addr, got.ProxyVersion)
	}
	must(t, d.leave())
	if line := awaitText(t, log); !basicLine.MatchString(line) {
		t.Errorf("the log has %q", line)
	}
}

// TestWhatNginxTakesIsTaken compares with nginx itself which files are configurations.
func TestWhatNginxTakesIsTaken(t *testing.T) {
	t.Parallel()
	binary := program(t, "nginx")
	pair := newAuthority(t).server()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	for i, c := range []struct {
		stream string
		takes  bool
	}{
		{"server { listen 127.0.0.1:1883; proxy_pass 127.0.0.1:11883; }", true},
		{"server{listen 1883;proxy_pass 127.0.0.1:11883;}", true},
		{"server { listen '1883' \"reuseport\"; proxy_pass \"127.0.0.1:11883\"; }", true},
		{"server { listen 1883; listen [::]:1883; listen 1884-1886; proxy_pass 127.0.0.1:11883; }", true},
		{"server {\r\n  listen 1883; # a comment; with } in it\r\n  proxy_pass 127.0.0.1:11883;\r\n}\r\n", true},
		{"upstream a { server 127.0.0.1:11883 weight=2 max_fails=3 fail_timeout=1m30s max_conns=7; server 127.0.0.1:11884 backup; } server { listen 1883; proxy_pass a; }", true},
		{"upstream a { zone a 64k; hash $remote_addr consistent; server 127.0.0.1:11883; } server { listen 1883; proxy_pass a; proxy_timeout 1d; }", true},
		{"upstream a { random two least_conn; server 127.0.0.1:11883; } server { listen 1883; proxy_pass a; proxy_next_upstream off; }", true},
		{"upstream a { server 127.0.0.1:11883; server 127.0.0.1:11883; } server { listen 1883; proxy_pass a; }", true},
		{"log_format a escape=json '$remote_addr \\'x\\' ${status}' \" $time_local\"; server { listen 1883; proxy_pass 127.0.0.1:11883; access_log DIR/a.log a; }", true},
		{"limit_conn_zone $binary_remote_addr zone=a:1m; server { listen 1883; limit_conn a 5; allow 10.0.0.0/8; deny all; proxy_pass 127.0.0.1:11883; }", true},
		{"server { listen 1883 proxy_protocol; set_real_ip_from 10.0.0.0/8; proxy_pass 127.0.0.1:11883; proxy_protocol on; }", true},
		{"map $ssl_preread_server_name $n { hostnames; default 127.0.0.1:1; *.a.b 127.0.0.1:2; } server { listen 1883; proxy_pass 127.0.0.1:11883; }", true},
		{"server { listen 8883 ssl; ssl_certificate CERT; ssl_certificate_key KEY; ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers HIGH:!aNULL; proxy_pass 127.0.0.1:11883; }", true},
		{"server { listen 1883; proxy_pass 127.0.0.1:8883; proxy_ssl on; proxy_ssl_verify off; proxy_bind 127.0.0.1; proxy_socket_keepalive on; }", true},
		{"server { listen 1883 so_keepalive=30m::10 backlog=511; proxy_pass 127.0.0.1:11883; tcp_nodelay off; }", true},
		{"include part.inc; server { listen 1883; proxy_pass parts; }", true},
		{"include nothing/*.conf; server { listen 1883; proxy_pass 127.0.0.1:11883; }", true},
		{"server { listen 1883; proxy_pass 127.0.0.1:11883 }", false},
		{"server { listen 1883; proxy_pass 127.0.0.1:11883;", false},
		{"server { listen 1883; proxy_pass 127.0.0.1:11883;; }", false},
		{"server { listen 1883; proxy_pass 127.0.0.1:11883; } }", false},
		{"server { listen 1883; proxy_pass 127.0.0.1:11883; access_log \"a; }", false},
		{"include missing.conf; server { listen 1883; proxy_pass 127.0.0.1:11883; }", false},
	} {
		text := strings.NewReplacer("DIR", dir, "CERT", pair.cert, "KEY", pair.key).Replace(c.stream)
		conf := filepath.Join(dir, fmt.Sprintf("nginx-%d.conf", i))
		mustWrite(t, filepath.Join(dir, "part.inc"), []byte("upstream parts { server 127.0.0.1:11883; }"))
		mustWrite(t, conf, fmt.Appendf(nil, "%s\npid %s/nginx.pid;\nerror_log stderr;\nevents {}\nstream {\n%s\n}\n", loadStream(), dir, text))
		out, err := exec.Command(binary, "-t", "-p", dir, "-c", conf).CombinedOutput()
		if (err == nil) != c.takes {
			t.Errorf("nginx says of %s\n%s", c.stream, out)
		}
		_, stderr, code := run(t, "import", "nginx", conf)
		if want := map[bool]int{true: 0, false: 2}[c.takes]; code != want {
			t.Errorf("exit code %d, want %d, with %s\n%s", code, want, c.stream, stderr)
		}
	}
}
