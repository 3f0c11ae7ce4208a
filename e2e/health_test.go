package e2e

import (
	"fmt"
	"strings"
	"testing"
)

func TestADeadEndpointCostsNoClientItsConnection(t *testing.T) {
	t.Parallel()
	dead, alive := deadAddress(t), startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{balance: round_robin, tries: 2, health: {passive: {max_fails: 0}}, endpoints: %s}`,
		endpoints(dead, alive.address())))
	clients := crowd(t, e, 10)
	got := e.endpoint("emqx", dead)
	if got.Failures < 5 || got.Connects != got.Failures || got.Connections != 0 || !got.Up {
		t.Errorf("the dead endpoint: %+v, want its share of failures and, with max_fails 0, no ejection", got)
	}
	e.awaitMetric(fmt.Sprintf(`mqedge_upstream_retries_total{endpoint=%q,upstream="emqx"}`, alive.address()), float64(got.Failures))
	for _, d := range clients {
		must(t, d.leave())
	}
	line := e.awaitAccess("upstream_addr", dead+", "+alive.address())
	if line["status"] != 200.0 {
		t.Errorf("access log: %v", line)
	}
}

func TestAClientIsRefusedOnceItsTriesAreSpent(t *testing.T) {
	t.Parallel()
	dead := []string{deadAddress(t), deadAddress(t), deadAddress(t)}
	for tries, want := range map[int]int{1: 1, 2: 2, 0: 3} {
		e := balanced(t, fmt.Sprintf(`{balance: round_robin, tries: %d, endpoints: %s}`, tries, endpoints(dead...)))
		if _, err := connect(e.addr("mqtt"), nil, "unlucky"); err == nil {
			t.Error("a client got in")
		}
		line := e.awaitAccess("mqtt_client_id", "unlucky")
		tried := strings.Split(line["upstream_addr"].(string), ", ")
		if line["reason"] != "upstream_failed" || line["status"] != 502.0 || len(tried) != want {
			t.Errorf("tries %d: access log %v, want %d endpoints", tries, line, want)
		}
		e.awaitMetric(`mqedge_connections_refused_total{listener="mqtt",reason="upstream_failed"}`, 1)
	}
}

// The dead ones have no clients left, and least_conn likes them best. The first clients to come find out which are dead; a
// client that does has 3 tries, so of 4 dead endpoints one client may know 3 and be refused for it.
func TestWhenFourOfFiveEndpointsDieTogetherOnlyWhoFindsOutIsRefused(t *testing.T) {
	t.Parallel()
	var brokers []*fake
	var addresses []string
	for range 5 {
		f := startFake(t, acknowledge)
		brokers, addresses = append(brokers, f), append(addresses, f.address())
	}
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(addresses...)))
	crowd(t, e, 50)
	for _, f := range brokers[:4] {
		f.stop()
	}
	eventually(t, func() string {
		for _, address := range addresses[:4] {
			if n := e.endpoint("emqx", address).Connections; n > 0 {
				return fmt.Sprintf("%d clients are still on %s", n, address)
			}
		}
		return ""
	})
	refused := 0
	for i := range 200 {
		if _, err := connect(e.addr("mqtt"), nil, fmt.Sprint("later-", i)); err != nil {
			refused++
		}
	}
	t.Logf("%d of 200 clients were refused", refused)
	if refused > 1 {
		t.Errorf("%d of 200 clients were refused", refused)
	}
}

func TestAnEndpointThatFailsIsEjectedAndComesBackWithTheReasonShown(t *testing.T) {
	t.Parallel()
	flaky, steady := deadAddress(t), startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{balance: round_robin, health: {passive: {max_fails: 2, fail_timeout: 1s}}, endpoints: %s}`,
		endpoints(flaky, steady.address())))
	up := fmt.Sprintf(`mqedge_upstream_endpoint_up{endpoint=%q,upstream="emqx"}`, flaky)
	if got := e.metrics()[up]; got != 1 {
		t.Fatalf("%s is %v before anything failed", up, got)
	}

	crowd(t, e, 4)
	got := e.endpoint("emqx", flaky)
	if !got.Ejected || got.Up || !strings.Contains(got.Reason, "connection refused (2 of 2 within 1s), next try") {
		t.Fatalf("after two failures: %+v", got)
	}
	if e.metrics()[up] != 0 {
		t.Error("the metric says that it is up")
	}
	e.awaitLog("endpoint is out of use", flaky, "connection refused")
	if out, _, _ := run(t, "status", "--admin", e.admin); !strings.Contains(out, "ejected") || !strings.Contains(out, "connection refused") {
		t.Errorf("mqedge status:\n%s", out)
	}

	back := startFakeAt(t, flaky, acknowledge)
	eventually(t, func() string {
		mustConnect(t, e.addr("mqtt"), nil, "probe")
		if got := e.endpoint("emqx", flaky); got.Ejected || !got.Up || got.Reason != "" {
			return fmt.Sprintf("it is not back: %+v", got)
		}
		return ""
	})
	e.awaitLog("endpoint is back", flaky)
	e.awaitMetric(up, 1)
	before := back.came()
	crowd(t, e, 4)
	if back.came() != before+2 {
		t.Errorf("it got %d of 4 connections, want its share of 2", back.came()-before)
	}
}

func TestWithEveryEndpointDeadTheFirstThatIsBackServesAtOnce(t *testing.T) {
	t.Parallel()
	a, b := deadAddress(t), deadAddress(t)
	e := balanced(t, fmt.Sprintf(`{tries: 0, health: {passive: {max_fails: 1, fail_timeout: 60s}}, endpoints: %s}`, endpoints(a, b)))
	if _, err := connect(e.addr("mqtt"), nil, "unlucky"); err == nil {
		t.Fatal("a client got in")
	}
	eventually(t, func() string {
		if !e.endpoint("emqx", a).Ejected || !e.endpoint("emqx", b).Ejected {
			return "not both are ejected"
		}
		return ""
	})
	startFakeAt(t, b, acknowledge)
	mustConnect(t, e.addr("mqtt"), nil, "lucky")
	if got := e.endpoint("emqx", b); !got.Up {
		t.Errorf("it served and is not up: %+v", got)
	}
}
