package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/demo/broker"
)

// TestTheHAProxyFileOfAnOperatorBecomesARunningEdge has the layout that EMQX's pages recommend, which HAProxy itself takes.
func TestTheHAProxyFileOfAnOperatorBecomesARunningEdge(t *testing.T) {
	t.Parallel()
	binary := program(t, "haproxy")
	pki := newAuthority(t)
	pair, dir := pki.server(), t.TempDir()
	plain, secure := deadAddress(t), deadAddress(t)
	brokers := []*recorder{startBroker(t), startBroker(t), startBroker(t)}
	cert, err := os.ReadFile(pair.cert)
	must(t, err)
	key, err := os.ReadFile(pair.key)
	must(t, err)
	both, conf := filepath.Join(dir, "both.pem"), filepath.Join(dir, "haproxy.cfg")
	mustWrite(t, both, bytes.Join([][]byte{cert, key}, nil))
	mustWrite(t, conf, fmt.Appendf(nil, `global
  log 127.0.0.1 local3 info
  maxconn 1000

defaults
  log global
  mode tcp
  option tcplog
  timeout connect 10000
  # timeout > mqtt's keepalive * 1.2
  timeout client 240s
  timeout server 240s

frontend mqtt_servers
  bind %s
  tcp-request inspect-delay 10s
  tcp-request content reject unless { req.payload(0,0), mqtt_is_valid }
  default_backend mqtt_backend

frontend mqtt_tls_frontend
  bind %s ssl crt %s ca-file %s verify optional
  default_backend mqtt_backend

backend mqtt_backend
  stick-table type string len 32 size 100k expire 30m
  stick on req.payload(0,0),mqtt_field_value(connect,client_identifier)
  balance roundrobin
  server emqx1 %s check-send-proxy send-proxy-v2-ssl-cn
  server emqx2 %s check-send-proxy send-proxy-v2-ssl-cn
  server emqx3 %s check-send-proxy send-proxy-v2-ssl-cn
`, plain, secure, both, pki.file(), brokers[0].Addr(), brokers[1].Addr(), brokers[2].Addr()))
	if out, err := exec.Command(binary, "-c", "-f", conf).CombinedOutput(); err != nil {
		t.Fatalf("HAProxy says %s", out)
	}
	config, stderr, code := run(t, "import", "haproxy", conf)
	if code != 0 || strings.Contains(stderr, "mqedge check:") {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	start(t, config)
	at := func(id string) int {
		return slices.IndexFunc(brokers, func(b *recorder) bool {
			return slices.ContainsFunc(b.Clients(), func(c broker.Client) bool { return c.ID == id })
		})
	}
	used := map[int]bool{}
	for i := range 20 {
		id := fmt.Sprint("client-", i)
		d := mustConnect(t, plain, nil, id)
		first := at(id)
		must(t, d.leave())
		eventually(t, func() string {
			if at(id) >= 0 {
				return id + " has left and is still there"
			}
			return ""
		})
		d = mustConnect(t, secure, pki.trusting(), id)
		if second := at(id); second != first || first < 0 {
			t.Fatalf("%s was at broker %d and comes back to %d", id, first, second)
		}
		if got := brokers[first].client(t, id); got.ProxyVersion != 2 || got.Addr.String() != d.LocalAddr().String() {
			t.Errorf("%s came from %v by PROXY v%d", id, got.Addr, got.ProxyVersion)
		}
		must(t, d.leave())
		used[first] = true
	}
	if len(used) != len(brokers) {
		t.Errorf("of three brokers %d have clients", len(used))
	}
}

// TestWhatHAProxyTakesIsTaken compares with HAProxy itself which files are configurations, and how words are read.
func TestWhatHAProxyTakesIsTaken(t *testing.T) {
	t.Parallel()
	binary := program(t, "haproxy")
	dir := t.TempDir()
	const times = "defaults\n mode tcp\n timeout connect 1s\n timeout client 1m\n timeout server 1m\n"
	for i, c := range []struct {
		text  string
		takes bool
		want  string // in what it becomes
	}{
		{times + "listen a\n bind :1883\n server a 127.0.0.1:11883\n", true, "bind: 0.0.0.0:1883"},
		{times + "listen a\r\n\tbind\t:1883\r\n\tserver a 127.0.0.1:11883 # a comment\r\n", true, "address: 127.0.0.1:11883"},
		{times + "listen 'a'\n bind \":1883\" name x\\ y\n server \"a\" '127.0.0.1:11883' weight 2\n", true, "weight: 2"},
		{times + "listen a\n bind \"127.0.0.1:${NOPORT-1883}\"\n server a 127.0.0.1:11883\n", true, "bind: 127.0.0.1:1883"},
		{"global\n setenv NODE 127.0.0.5\n" + times + "listen a\n bind :1883\n server a \"$NODE:11883\"\n", true, "address: 127.0.0.5:11883"},
		{times + "listen a\n bind :1883-1885,127.0.0.1:2883\n server a 127.0.0.1:11883 check inter 3s\n", true, "0.0.0.0:1885"},
		{times + "listen a\n bind :1883 maxconn 5\n server a ::1:11883 backup maxconn 7\n", true, "max_connections: 7"},
		{times + "listen a\n bind :1883\n balance source\n default-server send-proxy-v2\n server a 127.0.0.1:11883\n", true, "send_proxy: v2"},
		{times + "listen a\n bind :1883\n acl x src 10.0.0.0/8\n tcp-request connection reject if x\n server a 127.0.0.1:11883\n", true, "deny: [10.0.0.0/8]"},
		{times + "listen a\n bind :1883\n server a 127.0.0.1\n", true, "address: 127.0.0.1:1883"},
		{times + "listen a\n bind \":1883\n server a 127.0.0.1:11883\n", false, ""},
		{"bind :1883\n", false, ""},
		{"stream { }\n", false, ""},
		{times + "listen a\n bind \"${A\"\n server a 127.0.0.1:1\n", false, ""},
	} {
		conf := filepath.Join(dir, fmt.Sprintf("haproxy-%d.cfg", i))
		mustWrite(t, conf, []byte(c.text))
		out, err := exec.Command(binary, "-c", "-f", conf).CombinedOutput()
		if (err == nil) != c.takes {
			t.Errorf("HAProxy says of %s\n%s", c.text, out)
		}
		config, stderr, code := run(t, "import", "haproxy", conf)
		if want := map[bool]int{true: 0, false: 2}[c.takes]; code != want || !strings.Contains(config, c.want) {
			t.Errorf("exit code %d, want %d and %s, with\n%s\n%s%s", code, want, c.want, c.text, stderr, config)
		}
	}
}
