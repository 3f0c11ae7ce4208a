package e2e

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// A cluster that is upgraded node by node from EMQX 5.8 to 5.9 speaks v2 and v3 at the same time.
func TestARollingUpgradeIsServedByProvidersOfOneVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v2", "v3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			p := &provider{hooks: []string{"client.authenticate"}, only: "emqx.exhook." + version + "."}
			p.start(t, "127.0.0.1:0", nil)
			e := start(t, hooking("exhook: {call_as: "+version+"}", p))
			older := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
			newer := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.2", insecure.NewCredentials())
			newer.speak = "v3"
			for _, node := range []*emqx{older, newer, older} {
				if told, err := node.load(); err != nil || !strings.Contains(told, "client.authenticate") {
					t.Fatalf("%s was told %q, %v", node.node, told, err)
				}
				for i := range 10 {
					if got, err := node.authenticate(fmt.Sprint("device-", i)); err != nil || got != allowed {
						t.Fatalf("%s, call %d: %q %v", node.node, i, got, err)
					}
				}
			}
		})
	}
}

func TestANodeOfAVersionThatNoProviderServesIsToldSoAndShown(t *testing.T) {
	t.Parallel()
	p := &provider{hooks: []string{"client.authenticate"}, only: "emqx.exhook.v2."}
	p.start(t, "127.0.0.1:0", nil)
	e := start(t, hooking("exhook: {}", p))
	older := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.1", insecure.NewCredentials())
	newer := startEMQX(t, e.addr("hooks"), "emqx@10.0.0.2", insecure.NewCredentials())
	newer.speak = "v3"
	if _, err := older.load(); err != nil {
		t.Fatal(err)
	}
	if _, err := newer.load(); status.Code(err) != codes.Unavailable {
		t.Errorf("a node of v3 was told %v", err)
	}
	if got, err := older.authenticate("device"); err != nil || got != allowed {
		t.Errorf("the node of v2: %q %v", got, err)
	}
	eventually(t, func() string {
		out, _, _ := run(t, "status", "--admin", e.admin)
		if flat := strings.Join(strings.Fields(out), " "); !strings.Contains(flat, "it does not serve emqx.exhook.v3") {
			return "the status does not say why:\n" + out
		}
		return ""
	})
}
