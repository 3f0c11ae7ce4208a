package e2e

import (
	"crypto/tls"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mqedge/mqedge/certs/ca"
)

// example is a file of configs/examples with other words in places. Each must be there.
func example(t testing.TB, name string, others map[string]string) string {
	t.Helper()
	text, err := os.ReadFile("../configs/examples/" + name)
	must(t, err)
	config := withoutComments(string(text))
	for from, to := range others {
		if !strings.Contains(config, from) {
			t.Fatalf("%s has no %s", name, from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	if left := regexp.MustCompile(`10\.0\.0\.\d+:|example\.com|/var/`).FindString(config); left != "" {
		t.Fatalf("%s has %s, which the test does not know", name, left)
	}
	return config
}

func TestTheExampleOfASidecarServesHooks(t *testing.T) {
	t.Parallel()
	hooks := []string{"client.authenticate", "client.authorize", "message.publish"}
	a, b, c := startProvider(t, "127.0.0.1:0", hooks...), startProvider(t, "127.0.0.1:0", hooks...), startProvider(t, "127.0.0.1:0", hooks...)
	state := t.TempDir() + "/exhook.json"
	e := start(t, example(t, "exhook-sidecar.yaml", map[string]string{
		"127.0.0.1:9000": "127.0.0.1:0", "10.0.0.21:9000": a.addr, "10.0.0.22:9000": b.addr, "10.0.0.23:9000": c.addr,
		"/var/lib/mqedge/exhook.json": state,
	}))
	node := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	answersTheHooks(t, node)
	eventually(t, func() string {
		if _, err := os.Stat(state); err != nil {
			return err.Error()
		}
		return ""
	})
}

func TestTheCentralExampleServesHooksAndABridgeOverTLS(t *testing.T) {
	t.Parallel()
	pki := newAuthority(t)
	pair := pki.server()
	certificate, err := tls.LoadX509KeyPair(pair.cert, pair.key)
	must(t, err)
	secure := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}}
	var decide, bridge []*provider
	for range 3 {
		p := &provider{hooks: []string{"client.authenticate", "client.authorize", "message.publish"}}
		decide = append(decide, p.start(t, "127.0.0.1:0", secure))
	}
	for range 2 {
		p := &provider{hooks: []string{"client.connected"}}
		bridge = append(bridge, p.start(t, "127.0.0.1:0", secure))
	}
	dir := t.TempDir()
	e := start(t, example(t, "exhook-central.yaml", map[string]string{
		"127.0.0.1:9901": "127.0.0.1:0", "0.0.0.0:9443": "127.0.0.1:0", "0.0.0.0:9444": "127.0.0.2:0", "10.0.0.0/8": "127.0.0.0/8",
		"certs/cert.pem": pair.cert, "certs/key.pem": pair.key, "certs/emqx-ca.pem": pki.file(), "certs/providers-ca.pem": pki.file(),
		"provider-1.example.com:9000": decide[0].addr, "provider-2.example.com:9000": decide[1].addr, "provider-3.example.com:9000": decide[2].addr,
		"bridge-1.example.com:9000": bridge[0].addr, "bridge-2.example.com:9000": bridge[1].addr, "/var/lib/mqedge": dir,
	}))
	shown := credentials.NewTLS(pki.trusting(pki.issue("emqx", ca.Leaf{CommonName: "emqx", Client: true})))
	answersTheHooks(t, startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", shown))

	node := startEMQX(t, e.addr("bridge"), "emqx@10.0.0.1", shown)
	if _, err := node.load(); err != nil {
		t.Fatal(err)
	}
	must(t, node.notify("OnClientConnected", "device"))
	eventually(t, func() string {
		if len(deliveries("device", bridge...)) == 0 {
			return "the notification is not delivered"
		}
		return ""
	})
}

// answersTheHooks loads the hooks that decide, and has a client let in.
func answersTheHooks(t testing.TB, node *emqx) {
	t.Helper()
	told, err := node.load()
	must(t, err)
	for _, name := range []string{"client.authenticate", "client.authorize", "message.publish"} {
		if strings.Count(told, name) != 1 {
			t.Errorf("%s: EMQX was told %q", name, told)
		}
	}
	if got, err := node.authenticate("device"); err != nil || got != allowed {
		t.Errorf("%q %v", got, err)
	}
}
