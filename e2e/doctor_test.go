package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mqedge/mqedge/demo/broker"
)

// fitHost are the files of a host that is fit for small configurations, for --root.
func fitHost(t testing.TB, changes map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	files := map[string]string{
		"proc/self/limits":                             "Max open files            1024                 1048576              files     \n",
		"proc/sys/kernel/osrelease":                    "6.1.0-18-amd64\n",
		"proc/sys/net/core/somaxconn":                  "4096\n",
		"proc/sys/net/ipv4/ip_local_port_range":        "1\t600\n", // no port that a test listens on
		"proc/sys/net/ipv4/ip_local_reserved_ports":    "\n",
		"proc/sys/net/ipv4/tcp_syncookies":             "1\n",
		"proc/sys/net/ipv4/ip_unprivileged_port_start": "1024\n",
		"proc/sys/net/ipv4/tcp_tw_reuse":               "2\n",
		"proc/sys/net/netfilter/nf_conntrack_count":    "7\n",
		"proc/sys/net/netfilter/nf_conntrack_max":      "262144\n",
	}
	for name, text := range changes {
		files[name] = text
	}
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		mustWrite(t, filepath.Join(root, name), []byte(text))
	}
	return root
}

// doctorOf writes a configuration and examines the host for it.
func doctorOf(t testing.TB, config string, args ...string) (out string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mqedge.yaml")
	mustWrite(t, file, []byte(config))
	out, errs, code := run(t, append([]string{"doctor", file}, args...)...)
	if errs != "" {
		t.Errorf("on standard error: %s", errs)
	}
	return out, code
}

// fitting is a configuration without a fixed port, for an endpoint.
func fitting(endpoint, more string) string {
	return fmt.Sprintf(`
admin: {bind: 127.0.0.1:0}
listeners: {mqtt: {bind: "127.0.0.1:0", upstream: emqx, max_connections: 500}}
upstreams: {emqx: {%s endpoints: [{address: %q}]}}
`, more, endpoint)
}

func TestDoctorFindsNothingOnAHostThatIsFit(t *testing.T) {
	t.Parallel()
	n := startBrokerWith(t, broker.Options{})
	root := fitHost(t, nil)
	out, code := doctorOf(t, fitting(n.Addr(), ""), "--root", root)
	if code != 0 || !strings.HasPrefix(out, "clean: looked at addresses, ports, endpoints, ") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if n.total() != 1 {
		t.Errorf("%d clients came to ask", n.total())
	}
	out, code = doctorOf(t, fitting(n.Addr(), ""), "--root", root, "--offline")
	if code != 0 || !strings.HasPrefix(out, "clean: ") || strings.Contains(out, "endpoints") || n.total() != 1 {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestDoctorNamesPortsThatOutgoingConnectionsMayTake(t *testing.T) {
	t.Parallel()
	root := fitHost(t, map[string]string{
		"proc/sys/net/ipv4/ip_local_port_range": "10240\t65535\n", "proc/sys/net/ipv4/ip_local_reserved_ports": "8080,21872\n",
	})
	out, code := doctorOf(t, `
admin: {bind: 127.0.0.1:0}
listeners:
  a: {bind: 127.0.0.1:18884, upstream: emqx, max_connections: 500}
  b: {bind: 127.0.0.1:1884, upstream: emqx, max_connections: 500}
upstreams:
  emqx: {endpoints: [{address: 127.0.0.1:21871}, {address: 127.0.0.1:21872}, {address: "192.0.2.1:21873"}]}
`, "--root", root, "--offline")
	want := []string{
		"warning  ", "10240 to 65535", "18884  listeners.a.bind\n", "21871  upstreams.emqx.endpoints[0].address\n",
		"$ sysctl -w net.ipv4.ip_local_reserved_ports=8080,18884,21871-21872\n", "/etc/sysctl.d/60-mqedge.conf",
		"  net.ipv4.ip_local_reserved_ports = 8080,18884,21871-21872\n",
	}
	if code != 1 || !containsAll(out, want) || strings.Contains(out, "listeners.b.bind\n") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestDoctorNamesAnnouncedPortsThatOutgoingConnectionsMayTakeOrHave(t *testing.T) {
	t.Parallel()
	there := startBroker(t)
	from, err := net.Listen("tcp", "127.0.0.9:0") // to have a port that is free
	must(t, err)
	port := from.Addr().(*net.TCPAddr).Port
	from.Close()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9), Port: port}}
	outgoing, err := dialer.Dial("tcp", there.Addr())
	must(t, err)
	defer outgoing.Close()
	agent := strings.NewReplacer("127.0.0.1:7946", "127.0.0.1:1", "127.0.0.1:7947", "127.0.0.1:0", "127.0.0.1:9902", "127.0.0.1:0").
		Replace(example(t, "host-network-agent.yaml", map[string]string{":61881": fmt.Sprintf("127.0.0.9:%d", port), "  key_file: gossip.keys": ""}))
	linux := fitHost(t, map[string]string{"proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n"})
	if out, code := doctorOf(t, agent, "--root", linux, "--offline"); strings.Contains(out, "61891") {
		t.Errorf("the ports of the example lie outside of Linux's default range; exit code %d:\n%s", code, out)
	}
	wide := fitHost(t, map[string]string{"proc/sys/net/ipv4/ip_local_port_range": "1024\t65535\n"})
	out, code := doctorOf(t, agent, "--root", wide, "--offline")
	if code != 1 || !containsAll(out, []string{"warning  ", "61891  gossip.announce[1].address\n", "net.ipv4.ip_local_reserved_ports", "61871-61875,61882-61885,61891-61895"}) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	out, code = doctorOf(t, agent, "--offline") // this host, whose sockets are real
	if code != 1 || !containsAll(out, []string{fmt.Sprintf("gossip.announce[0].address: nobody listens on port %d, and a connection has it", port), "ss -tanp"}) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestDoctorNamesWhoHasAPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	config := strings.Replace(fitting("127.0.0.1:1", ""), `"127.0.0.1:0"`, fmt.Sprintf("%q", taken.Addr()), 1)
	out, code := doctorOf(t, config, "--offline")
	words := strings.Join(strings.Fields(out), " ")
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	if code != 1 || !containsAll(words, []string{"error listeners.mqtt.bind: port " + port + " is taken", fmt.Sprintf("(pid %d) listens", os.Getpid()), "ss -tanp"}) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestDoctorTakesARunningMqedgeForNoMistake(t *testing.T) {
	t.Parallel()
	n := startBroker(t)
	e := start(t, fitting(n.Addr(), "send_proxy: v2,"))
	config := strings.Replace(fitting(n.Addr(), "send_proxy: v2,"), `"127.0.0.1:0"`, fmt.Sprintf("%q", e.addr("mqtt")), 1)
	out, _ := doctorOf(t, config, "--json")
	for _, f := range findings(t, out) {
		if f.Severity == "error" {
			t.Errorf("%+v", f)
		}
	}
	if !strings.Contains(out, fmt.Sprintf("mqedge runs already (pid %d)", e.cmd.Process.Pid)) {
		t.Error(out)
	}
}

type finding struct {
	Severity, Check, What, Why string
	Commands                   []string
}

func findings(t testing.TB, out string) []finding {
	t.Helper()
	var report struct{ Findings []finding }
	must(t, json.Unmarshal([]byte(out), &report))
	return report.Findings
}

func TestDoctorFindsOutWhoDoesNotSpeakPROXYProtocol(t *testing.T) {
	t.Parallel()
	root := fitHost(t, nil)
	for _, test := range []struct {
		expects bool
		send    string
		code    int
		says    string
	}{
		{true, "v2", 0, ""},
		{true, "v1", 0, ""},
		{true, `"off"`, 1, "endpoints expect a PROXY header, but send_proxy is off"},
		{false, "v2", 1, "endpoints do not expect the PROXY header that send_proxy: v2 sends"},
	} {
		n := startBrokerWith(t, broker.Options{ProxyProtocol: test.expects})
		out, code := doctorOf(t, fitting(n.Addr(), "send_proxy: "+test.send+","), "--root", root, "--json")
		says := ""
		for _, f := range findings(t, out) {
			if f.Check == "endpoints" {
				says += f.Severity + ": " + f.What
			}
		}
		if code != test.code || (test.says == "") != (says == "") || !strings.Contains(says, test.says) {
			t.Errorf("send_proxy %s, expected: %v: exit code %d: %s", test.send, test.expects, code, says)
		}
	}
}

func TestDoctorNamesAnEndpointThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	pki, other := newAuthority(t), newAuthority(t)
	ends := pki.server()
	pair, err := tls.LoadX509KeyPair(ends.cert, ends.key)
	must(t, err)
	n := startBrokerWith(t, broker.Options{TLS: &tls.Config{Certificates: []tls.Certificate{pair}}})
	root := fitHost(t, nil)
	for file, want := range map[string]int{pki.file(): 0, other.file(): 1} {
		out, code := doctorOf(t, fitting(n.Addr(), fmt.Sprintf("tls: {ca_file: %q},", file)), "--root", root)
		if code != want || code == 1 && !strings.Contains(out, "unknown authority") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	}
}
