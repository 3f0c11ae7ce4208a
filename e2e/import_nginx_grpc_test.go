package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials/insecure"
)

// TestTheHooksThatNginxBalancedAreBalancedByMqedge takes a file that nginx itself takes.
func TestTheHooksThatNginxBalancedAreBalancedByMqedge(t *testing.T) {
	t.Parallel()
	binary := program(t, "nginx")
	a := startProvider(t, "127.0.0.1:0", "client.authenticate")
	b := startProvider(t, "127.0.0.1:0", "client.connected")
	address, dir := deadAddress(t), t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	mustWrite(t, conf, fmt.Appendf(nil, `%s
pid %s/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    upstream providers { server %s; server %s; keepalive 8; }
    server {
        listen %s http2;
        location /emqx.exhook.v2.HookProvider/ { grpc_pass grpc://providers; grpc_read_timeout 4s; }
    }
}
`, loadStream(), dir, a.addr, b.addr, address))
	if out, err := exec.Command(binary, "-t", "-p", dir, "-c", conf).CombinedOutput(); err != nil {
		t.Fatalf("nginx says %s", out)
	}
	config, stderr, code := run(t, "import", "nginx", conf)
	if code != 0 || strings.Contains(stderr, "mqedge check:") {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	start(t, config)
	node := startEMQX(t, address, "emqx@10.0.0.1", insecure.NewCredentials())
	answer, err := node.load()
	must(t, err)
	for _, name := range []string{"client.authenticate", "client.connected"} {
		if !strings.Contains(answer, name) {
			t.Errorf("%s: EMQX was told %q, so the calls are not known as those of hooks", name, answer)
		}
	}
	if got, err := node.authenticate("device-1"); err != nil || got != allowed {
		t.Errorf("%q %v", got, err)
	}
}
