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

	"github.com/mqedge/mqedge/configs"
)

var exampleEndpoint = regexp.MustCompile(`127\.0\.0\.1:218\d\d`)

// nginxReplacement is the example of that name with other ports, files and brokers.
func nginxReplacement(t testing.TB, pair keyPair, brokers []*recorder) string {
	t.Helper()
	text, err := os.ReadFile("../configs/examples/nginx-replacement.yaml")
	must(t, err)
	next := 0
	config := exampleEndpoint.ReplaceAllStringFunc(withoutComments(string(text)), func(string) string {
		next++
		return brokers[next-1].Addr()
	})
	if next != len(brokers) {
		t.Fatalf("the example has %d endpoints, want %d", next, len(brokers))
	}
	for from, to := range map[string]string{
		"0.0.0.0:8884": "127.0.0.1:0", "certs/cert.pem": pair.cert, "certs/key.pem": pair.key,
	} {
		if !strings.Contains(config, from) {
			t.Fatalf("the example has no %s", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	return config
}

func withoutComments(text string) string {
	return regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, "")
}

func TestTheReplacementOfAnNginxServesFifteenBrokersOnOneHost(t *testing.T) {
	t.Parallel()
	const nodes = 15
	pki := newAuthority(t)
	pair := pki.server()
	var brokers []*recorder
	for range nodes {
		brokers = append(brokers, startBroker(t))
	}
	config := nginxReplacement(t, pair, brokers)
	if _, problems := configs.Parse("nginx-replacement.yaml", []byte(config)); problems.Err() != nil {
		t.Fatal(problems.Err())
	}
	e := start(t, config)

	var clients []*device
	for i := range nodes {
		clients = append(clients, mustConnect(t, e.addr("mqtts"), pki.trusting(), fmt.Sprintf("client-%d", i)))
	}
	for i, d := range clients {
		must(t, d.publish("a/b", []byte("c")))
		id := fmt.Sprintf("client-%d", i)
		at := slices.IndexFunc(brokers, func(b *recorder) bool { return len(b.Clients()) == 1 && b.Clients()[0].ID == id })
		if at < 0 {
			t.Errorf("no broker has %s for itself", id)
			continue
		}
		if got := brokers[at].client(t, id); got.Addr.String() != d.LocalAddr().String() || got.ProxyVersion != 1 {
			t.Errorf("%s came from %v by PROXY v%d", id, got.Addr, got.ProxyVersion)
		}
	}
	brokers[3].Close() // one node is restarted: nobody else notices
	for i := range nodes {
		mustConnect(t, e.addr("mqtts"), pki.trusting(), fmt.Sprintf("later-%d", i))
	}

	old := pki.trusting() // nginx's ssl_protocols TLSv1
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	mustConnect(t, e.addr("mqtts"), old, "old-device")

	must(t, clients[0].leave())
	eventually(t, func() string {
		for line := range strings.Lines(e.stdout.text()) {
			if basicLine.MatchString(line) {
				return ""
			}
		}
		return "no line as nginx writes it in " + e.stdout.text()
	})
}

func TestALineOfTheAccessLogIsThatOfNginx(t *testing.T) {
	t.Parallel()
	binary := program(t, "nginx")
	pki := newAuthority(t)
	pair := pki.server()

	dir := t.TempDir()
	ofNginx := basicFields(t, func() string {
		node := startBroker(t)
		addr := startNginx(t, binary, dir, pair, node.Addr())
		visit(t, addr, pki, node)
		return awaitText(t, filepath.Join(dir, "access.log"))
	})
	ofMqedge := basicFields(t, func() string {
		node := startBroker(t)
		e := start(t, fmt.Sprintf(`
access_log: {path: access.log, format: %q}
listeners:
  mqtts: {bind: 127.0.0.1:0, upstream: emqx, tls: {certificates: [%s]}}
upstreams:
  emqx: {send_proxy: v1, endpoints: %s}
`, basic, pair.yaml(), endpoints(node.Addr())))
		visit(t, e.addr("mqtts"), pki, node)
		return awaitText(t, e.path("access.log"))
	})
	t.Logf("nginx:  %q", ofNginx)
	t.Logf("mqedge: %q", ofMqedge)
	for i, name := range []string{
		"proxy_protocol_addr", "remote_addr", "", "protocol", "status", "bytes_sent", "bytes_received",
		"", "", "upstream_bytes_sent", "upstream_bytes_received", "",
	} {
		if name != "" && ofMqedge[i] != ofNginx[i] {
			t.Errorf("$%s is %s, with nginx it is %s", name, ofMqedge[i], ofNginx[i])
		}
	}
}

// basicFields are the fields of the only line of a log.
func basicFields(t testing.TB, log func() string) []string {
	t.Helper()
	text := log()
	fields := basicLine.FindStringSubmatch(text)
	if fields == nil {
		t.Fatalf("the log is %q", text)
	}
	return fields[1:]
}

// visit is the same connection every time; ports that the system chooses have five digits, so the PROXY header is of
// the same length too.
func visit(t testing.TB, addr string, pki *authority, node *recorder) {
	t.Helper()
	d := mustConnect(t, addr, pki.trusting(), "visitor")
	must(t, d.publish("a/b", make([]byte, 1000)))
	must(t, d.ping())
	must(t, d.leave())
	eventually(t, func() string {
		if node.Connections() > 0 {
			return "the visitor is still connected"
		}
		return ""
	})
}

const nginxConf = `%s
daemon off;
worker_processes 1;
pid %[2]s/nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
stream {
  log_format basic '%[3]s';
  access_log %[2]s/access.log basic;
  server {
    listen %[4]s ssl;
    proxy_pass %[5]s;
    proxy_protocol on;
    ssl_certificate %[6]s;
    ssl_certificate_key %[7]s;
  }
}
`

// loadStream loads nginx's stream module, where that is one of its own.
func loadStream() string {
	for _, path := range []string{"/usr/lib/nginx/modules/ngx_stream_module.so", "/usr/share/nginx/modules/ngx_stream_module.so"} {
		if _, err := os.Stat(path); err == nil {
			return "load_module " + path + ";"
		}
	}
	return ""
}

// startNginx runs nginx in front of a broker and returns its address.
func startNginx(t testing.TB, binary, dir string, pair keyPair, to string) string {
	t.Helper()
	address, conf := deadAddress(t), filepath.Join(dir, "nginx.conf")
	mustWrite(t, conf, fmt.Appendf(nil, nginxConf, loadStream(), dir, basic, address, to, pair.cert, pair.key))
	must(t, os.Chmod(dir, 0o777))
	cmd := exec.Command(binary, "-p", dir, "-c", conf)
	var log output
	cmd.Stderr = &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	eventually(t, func() string { // connecting would be a line in its log
		if _, err := os.Stat(filepath.Join(dir, "nginx.pid")); err != nil {
			return fmt.Sprintf("nginx has not started: %s", log.text())
		}
		return ""
	})
	return address
}
