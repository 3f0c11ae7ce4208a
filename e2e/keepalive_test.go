package e2e

import (
	"fmt"
	"testing"
	"time"
)

const shortIdle = `
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx, idle_timeout: %s}
upstreams:
  emqx: {endpoints: %s}
`

func TestASilentClientIsClosedAfterOneAndAHalfTimesItsKeepalive(t *testing.T) {
	t.Parallel()
	e := start(t, fmt.Sprintf(shortIdle, "350s", endpoints(startFake(t, acknowledge).address())))
	began := time.Now()
	silent, err := introduce(dial(t, e.addr("mqtt")), "silent", 1)
	must(t, err)
	lively, err := introduce(dial(t, e.addr("mqtt")), "lively", 1)
	must(t, err)

	closed := make(chan time.Duration)
	go func() {
		awaitClosed(t, silent)
		closed <- time.Since(began)
	}()
	pings := time.NewTicker(200 * time.Millisecond)
	defer pings.Stop()
	for after := time.Duration(0); after == 0 || time.Since(began) < 2500*time.Millisecond; {
		select {
		case <-pings.C:
			must(t, lively.ping())
		case after = <-closed:
			if after < 1500*time.Millisecond {
				t.Errorf("closed after %v, before 1.5 times the keepalive", after)
			}
		}
	}
	line := e.awaitAccess("mqtt_client_id", "silent")
	if line["reason"] != "keepalive_timeout" || line["mqtt_keepalive"] != 1.0 || line["session_time"].(float64) > 2.5 {
		t.Errorf("access log: %v", line)
	}
	e.awaitMetric(`mqedge_connections_closed_total{listener="mqtt",reason="keepalive_timeout"}`, 1)
	must(t, lively.ping())
}

func TestAClientWithoutKeepaliveHasTheIdleTimeout(t *testing.T) {
	t.Parallel()
	e := start(t, fmt.Sprintf(shortIdle, "300ms", endpoints(startFake(t, acknowledge).address())))
	began := time.Now()
	d, err := introduce(dial(t, e.addr("mqtt")), "silent", 0)
	must(t, err)
	awaitClosed(t, d)
	if after := time.Since(began); after < 300*time.Millisecond {
		t.Errorf("closed after %v", after)
	}
	e.awaitMetric(`mqedge_connections_closed_total{listener="mqtt",reason="idle_timeout"}`, 1)
}
