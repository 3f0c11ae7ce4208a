package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
)

func TestMosquittoClientsTalkThroughTheEdge(t *testing.T) {
	t.Parallel()
	pub, sub := program(t, "mosquitto_pub"), program(t, "mosquitto_sub")
	pki, node := newAuthority(t), startBroker(t)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtts:
    bind: 127.0.0.1:0
    upstream: emqx
    tls: {certificates: [%s]}
upstreams:
  emqx: {send_proxy: v2, endpoints: %s}
`, pki.server().yaml(), endpoints(node.Addr())))
	host, port, err := net.SplitHostPort(e.addr("mqtts"))
	must(t, err)

	for _, version := range []string{"mqttv31", "mqttv311", "mqttv5"} {
		t.Run(version, func(t *testing.T) {
			to := []string{"-h", host, "-p", port, "--cafile", pki.file(), "-V", version, "-t", "from/" + version, "-q", "1"}
			// Retained, so that it does not matter which of the two is first.
			out, err := exec.Command(pub, append(to, "-i", "pub-"+version, "-r", "-m", "hello")...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err = exec.Command(sub, append(to, "-i", "sub-"+version, "-C", "1", "-W", "20")...).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != "hello" {
				t.Fatalf("mosquitto_sub: %v\n%s", err, out)
			}
			for _, id := range []string{"pub-" + version, "sub-" + version} {
				if got := node.client(t, id); !got.TLVs.SSL || !got.Addr.IsValid() || got.Addr != got.ProxySource {
					t.Errorf("%s came as %+v", id, got)
				}
			}
		})
	}
}
