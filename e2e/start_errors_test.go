package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// failedStart runs mqedge with a configuration it cannot start with.
func failedStart(t testing.TB, config string, prepare ...func(*edge)) (stderr string, code int) {
	t.Helper()
	e := newEdge(t, config)
	for _, p := range prepare {
		p(e)
	}
	e.launch()
	code = e.exit()
	if out := e.stdout.text(); out != "" {
		t.Errorf("on standard output: %s", out)
	}
	return e.stderr.text(), code
}

func simple(bind string) string {
	return fmt.Sprintf("listeners:\n  mqtt: {bind: %q, upstream: emqx}\nupstreams:\n  emqx: {endpoints: [{address: 127.0.0.1:1}]}\n", bind)
}

func TestATakenPortIsNamedWithTheRemedy(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	for key, config := range map[string]string{
		"listeners.mqtt.bind": simple(taken.Addr().String()),
		"admin.bind":          fmt.Sprintf("admin: {bind: %q}\n", taken.Addr()) + simple("127.0.0.1:0"),
	} {
		says, code := failedStart(t, config)
		if code != 1 || !containsAll(says, []string{key, taken.Addr().String(), "address already in use", "ss -ltnp"}) {
			t.Errorf("exit code %d: %s", code, says)
		}
	}
}

func TestAnAddressThisHostDoesNotHaveIsNamedWithTheRemedy(t *testing.T) {
	t.Parallel()
	says, code := failedStart(t, simple("192.0.2.1:1883"))
	if code != 1 || !containsAll(says, []string{"listeners.mqtt.bind", "192.0.2.1:1883", "ip address"}) {
		t.Errorf("exit code %d: %s", code, says)
	}
}

func TestAPortThatNeedsAPrivilegeIsNamedWithTheRemedy(t *testing.T) {
	t.Parallel()
	if start, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start"); err != nil || strings.TrimSpace(string(start)) == "0" {
		t.Logf("every port is open to everybody on this host (%v): nothing to refuse", err)
		return
	}
	says, code := failedStart(t, simple("127.0.0.1:883"), func(e *edge) {
		if os.Getuid() != 0 {
			return
		}
		const nobody = 65534
		e.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		for dir := e.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
			must(t, os.Chmod(dir, 0o755))
		}
		must(t, os.Chmod(filepath.Dir(mqedge), 0o755))
	})
	if code != 1 || !containsAll(says, []string{"listeners.mqtt.bind", "127.0.0.1:883", "permission denied", "CAP_NET_BIND_SERVICE"}) {
		t.Errorf("exit code %d: %s", code, says)
	}
}

func TestABadConfigurationIsToldWholeWithPlaces(t *testing.T) {
	t.Parallel()
	says, code := failedStart(t, `
admin: {bind: 127.0.0.1:0}
drain: {}
listeners:
  mqtts:
    bind: 127.0.0.1:0
    upsteam: emqx
    upstream: emqx
    tls: {certificates: [{cert_file: missing.pem, key_file: missing-key.pem}]}
upstreams:
  emqx:
    balance: fastest
    endpoints: [{address: 127.0.0.1}]
`)
	for _, line := range []string{
		`:7:5: listeners.mqtts.upsteam: `, `did you mean "upstream"?`,
		`:9:38: listeners.mqtts.tls.certificates[0].cert_file: cannot read `, `missing.pem: no such file or directory`,
		`:9:61: listeners.mqtts.tls.certificates[0].key_file: `,
		`:12:14: upstreams.emqx.balance: `, `:13:27: upstreams.emqx.endpoints[0].address: `, `127.0.0.1:PORT`,
	} {
		if !strings.Contains(says, line) {
			t.Errorf("%q is missing", line)
		}
	}
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
	if t.Failed() {
		t.Log(says)
	}
}

func TestAMissingFileIsABadConfiguration(t *testing.T) {
	t.Parallel()
	says, code := failedStart(t, "", func(e *edge) { must(t, os.Remove(e.path("mqedge.yaml"))) })
	if code != 2 || !containsAll(says, []string{"mqedge.yaml:1:1: cannot read the file: no such file or directory"}) {
		t.Errorf("exit code %d: %s", code, says)
	}
}

func TestAnAccessLogInAFolderThatIsNotThereIsNamedWithTheRemedy(t *testing.T) {
	t.Parallel()
	says, code := failedStart(t, "access_log: {path: logs/access.log}\n"+simple("127.0.0.1:0"))
	if code == 0 || !containsAll(says, []string{"access_log.path", "logs/access.log", "no such file or directory"}) {
		t.Errorf("exit code %d: %s", code, says)
	}
}
