package e2e

import (
	"fmt"
	"testing"
)

// balanced is a listener in front of the endpoints given, which stands in the line of the upstream.
func balanced(t testing.TB, upstream string) *edge {
	t.Helper()
	return start(t, fmt.Sprintf(`
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: %s
`, upstream))
}

// crowd connects n clients, one after the other, for as long as the test lasts.
func crowd(t testing.TB, e *edge, n int) []*device {
	t.Helper()
	addr := e.addr("mqtt")
	var all []*device
	for i := range n {
		all = append(all, mustConnect(t, addr, nil, fmt.Sprintf("client-%d", i)))
	}
	return all
}

// shares are the connections of each endpoint, in the order of the configuration.
func shares(e *edge) []int {
	var all []int
	for _, ep := range e.upstream("emqx").Endpoints {
		all = append(all, ep.Connections)
	}
	return all
}

func TestEveryPolicyGivesEachEndpointItsShareByWeight(t *testing.T) {
	t.Parallel()
	a, b, c := startFake(t, acknowledge), startFake(t, acknowledge), startFake(t, acknowledge)
	for _, policy := range []string{"round_robin", "least_conn", "random_two"} {
		t.Run(policy, func(t *testing.T) {
			e := balanced(t, fmt.Sprintf(`{balance: %s, endpoints: [{address: %q, weight: 2}, {address: %q}, {address: %q}]}`,
				policy, a.address(), b.address(), c.address()))
			crowd(t, e, 80)
			got, want := shares(e), []int{40, 20, 20}
			tolerated := 0
			if policy == "random_two" {
				tolerated = 8
			}
			for i := range want {
				if off := got[i] - want[i]; off > tolerated || off < -tolerated {
					t.Fatalf("shares %v, want %v (give or take %d)", got, want, tolerated)
				}
			}
		})
	}
}

func TestLeastConnFillsUpTheEndpointThatLostItsClients(t *testing.T) {
	t.Parallel()
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{balance: least_conn, endpoints: %s}`, endpoints(a.address(), b.address())))
	clients := crowd(t, e, 20)
	for _, conn := range fetch[[]connectionState](e, "/api/v1/connections") {
		if conn.Endpoint == b.address() {
			e.call("DELETE", "/api/v1/connections?client_id="+conn.ClientID)
		}
	}
	e.awaitActive("mqtt", 10)
	for i := range 10 {
		mustConnect(t, e.addr("mqtt"), nil, fmt.Sprintf("new-%d", i))
	}
	if got := shares(e); got[0] != 10 || got[1] != 10 {
		t.Errorf("shares %v, want 10 and 10 again", got)
	}
	survivors := 0
	for _, d := range clients {
		if d.ping() == nil {
			survivors++
		}
	}
	if survivors != 10 {
		t.Errorf("%d of the first clients are left, want 10", survivors)
	}
}

func TestABackupServesOnlyWhileNoOtherDoes(t *testing.T) {
	t.Parallel()
	address := deadAddress(t)
	backup := startFake(t, acknowledge)
	main := startFakeAt(t, address, acknowledge)
	e := balanced(t, fmt.Sprintf(
		`{tries: 0, health: {passive: {max_fails: 1, fail_timeout: 1s}}, endpoints: [{address: %q}, {address: %q, backup: true}]}`,
		address, backup.address()))

	crowd(t, e, 3)
	if main.came() != 3 || backup.came() != 0 {
		t.Fatalf("%d and %d at the backup, want all 3 at the main endpoint", main.came(), backup.came())
	}
	main.stop()
	crowd(t, e, 3)
	if backup.came() != 3 {
		t.Fatalf("%d at the backup, want 3", backup.came())
	}
	again := startFakeAt(t, address, acknowledge)
	eventually(t, func() string {
		mustConnect(t, e.addr("mqtt"), nil, "probe")
		if again.came() == 0 {
			return "the main endpoint is back but gets no connection"
		}
		return ""
	})
	before := backup.came()
	crowd(t, e, 3)
	if backup.came() != before {
		t.Error("the backup was used though the main endpoint is back")
	}
}

func TestAFullEndpointGetsNoMoreAndAFullUpstreamRefuses(t *testing.T) {
	t.Parallel()
	small, big := startFake(t, acknowledge), startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{endpoints: [{address: %q, max_connections: 2}, {address: %q, max_connections: 5}]}`,
		small.address(), big.address()))
	clients := crowd(t, e, 7)
	if got := shares(e); got[0] != 2 || got[1] != 5 {
		t.Errorf("shares %v, want 2 and 5", got)
	}
	if got := e.endpoint("emqx", small.address()).Reason; got != "full: 2 of 2 connections" {
		t.Errorf("reason %q", got)
	}
	if _, err := connect(e.addr("mqtt"), nil, "one-too-many"); err == nil {
		t.Error("a client beyond all limits got in")
	}
	e.awaitMetric(`mqedge_connections_refused_total{listener="mqtt",reason="no_endpoint"}`, 1)
	must(t, clients[0].leave())
	e.awaitActive("mqtt", 6)
	mustConnect(t, e.addr("mqtt"), nil, "next")
}
