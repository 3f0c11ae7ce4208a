package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	paho5 "github.com/eclipse/paho.golang/paho"
)

func TestAnEndpointThatIsDrainedLosesItsClientsBitByBitAndEachIsTold(t *testing.T) {
	t.Parallel()
	const clients = 20 // of each version, half of them on each broker
	brokers := []*recorder{startBroker(t), startBroker(t)}
	e := start(t, fmt.Sprintf(`
listeners:
  mqtt: {bind: "127.0.0.1:0", upstream: emqx}
upstreams:
  emqx: {balance: round_robin, send_proxy: v2, endpoints: %s}
`, endpoints(brokers[0].Addr(), brokers[1].Addr())))
	told := make(chan byte, 2*clients)
	closed := make(chan time.Time, clients)
	for i := range clients {
		connect5With(t, dial(t, e.addr("mqtt")), fmt.Sprint("v5-", i), func(d *paho5.Disconnect) { told <- d.ReasonCode })
	}
	for i := range clients {
		older := mustConnect(t, e.addr("mqtt"), nil, fmt.Sprint("v311-", i))
		go func() {
			if _, err := older.r.ReadByte(); err != nil {
				closed <- time.Now()
			}
		}()
	}
	e.awaitActive("mqtt", 2*clients)

	began := time.Now()
	out, errs, code := run(t, "drain", "--admin", e.admin, "--over", "1s", "emqx", brokers[0].Addr())
	if code != 0 || !strings.Contains(out, "draining") {
		t.Fatalf("mqedge drain: %d %s%s", code, out, errs)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience())
	defer cancel()
	for i := range clients / 2 {
		select {
		case code := <-told:
			if code != 0x9c {
				t.Errorf("a client of MQTT 5 was told %#x, want 0x9c, Use another server", code)
			}
		case <-ctx.Done():
			t.Fatalf("%d of %d clients of MQTT 5 were told anything", i, clients/2)
		}
		select {
		case <-closed:
		case <-ctx.Done():
			t.Fatalf("%d of %d clients of MQTT 3.1.1 were closed", i, clients/2)
		}
	}
	if took := time.Since(began); took < 800*time.Millisecond {
		t.Errorf("all had gone after %v, want them spread over 1s", took)
	}
	e.awaitActive("mqtt", clients)
	if ep := e.endpoint("emqx", brokers[0].Addr()); ep.Connections != 0 || !ep.Draining {
		t.Errorf("the drained endpoint: %+v", ep)
	}
	line := e.awaitAccess("reason", "endpoint_drained")
	if line["status"] != 200.0 {
		t.Errorf("access log: %v", line)
	}
	for i := range 4 { // those that come back
		mustConnect(t, e.addr("mqtt"), nil, fmt.Sprint("back-", i))
	}
	if ep := e.endpoint("emqx", brokers[0].Addr()); ep.Connections != 0 {
		t.Errorf("clients came back to the drained endpoint: %+v", ep)
	}
}

func TestADrainThatKeepsClientsAndOneThatIsCalledOff(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf("{endpoints: %s}", endpoints(node.address())))
	kept := crowd(t, e, 10)
	for _, args := range [][]string{{"drain", "--keep"}, {"drain", "--over", "1h"}, {"enable"}} {
		if out, errs, code := run(t, append(args, "--admin", e.admin, "emqx", node.address())...); code != 0 {
			t.Fatalf("%s: %d %s%s", args, code, out, errs)
		}
	}
	gone := 0
	for _, d := range kept {
		if d.ping() != nil {
			gone++
		}
	}
	if gone > 1 { // the first is told at once
		t.Errorf("%d of 10 clients have gone", gone)
	}
	if out, errs, code := run(t, "drain", "--keep", "--over", "1s", "emqx", "x"); code != 2 {
		t.Errorf("both flags: %d %s%s", code, out, errs)
	}
}

func TestTheClientsOfOthersAreRebalancedToAnEndpointThatIsBack(t *testing.T) {
	t.Parallel()
	a, b := startFake(t, acknowledge), startFake(t, acknowledge)
	config := fmt.Sprintf(`{rebalance: {disconnects_per_second: 10, threshold_percent: 10}, endpoints: %s}`, endpoints(a.address(), b.address()))
	e := balanced(t, config)
	e.call("POST", "/api/v1/upstreams/emqx/endpoints/"+b.address()+"/drain")
	clients := crowd(t, e, 20)
	if got := shares(e); got[0] != 20 || got[1] != 0 {
		t.Fatalf("shares %v while b is drained", got)
	}
	addr := e.addr("mqtt")
	for i, d := range clients { // a client that is sent off comes back
		go func() {
			if _, err := d.r.ReadByte(); err == nil {
				return
			}
			if c, err := connect(addr, nil, fmt.Sprint("again-", i)); err == nil {
				t.Cleanup(func() { c.Close() })
			}
		}()
	}
	e.call("POST", "/api/v1/upstreams/emqx/endpoints/"+b.address()+"/enable")
	eventually(t, func() string {
		if got := shares(e); got[0] != 10 && got[0] != 11 || got[0]+got[1] != 20 {
			return fmt.Sprintf("shares %v, want 10 and 10, or 11 and 9, which is within 10 percent", got)
		}
		return ""
	})
	if n := e.metrics()[`mqedge_connections_closed_total{listener="mqtt",reason="rebalanced"}`]; n < 9 || n > 10 {
		t.Errorf("%v clients were sent off, want 9 or 10", n)
	}
}
