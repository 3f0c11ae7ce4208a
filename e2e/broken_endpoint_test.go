package e2e

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

func TestAnEndpointThatNeverAnswersCostsItsConnectTimeoutAndNoClient(t *testing.T) {
	t.Parallel()
	hole, alive := blackHole(t), startFake(t, acknowledge)
	e := balanced(t, fmt.Sprintf(`{connect_timeout: 300ms, health: {passive: {max_fails: 1, fail_timeout: 60s}}, endpoints: [{address: %q, weight: 100}, {address: %q}]}`,
		hole, alive.address()))
	began := time.Now()
	crowd(t, e, 1)
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("served after %v, so the endpoint was not tried", took)
	}
	if got := e.endpoint("emqx", hole); !got.Ejected || !containsAll(got.Reason, []string{"timeout"}) {
		t.Errorf("the endpoint that never answers: %+v", got)
	}
	crowd(t, e, 5)
	if got := e.endpoint("emqx", hole); got.Connects != 1 {
		t.Errorf("it was tried %d times, want once", got.Connects)
	}
}

func TestAnEndpointThatResetsEndsTheClientsConnectionToo(t *testing.T) {
	t.Parallel()
	node := startFake(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		readPacket(r)
		c.Write([]byte{packetConnack, 2, 0, 0})
		readPacket(r) // and then, as a process that was killed
		c.(*net.TCPConn).SetLinger(0)
	})
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(node.address())))
	for i := range 5 {
		id := fmt.Sprintf("client-%d", i)
		d := mustConnect(t, e.addr("mqtt"), nil, id)
		if err := d.ping(); err == nil {
			t.Error("somebody answered")
		}
		awaitClosed(t, d)
		must(t, d.Close())
		if line := e.awaitAccess("mqtt_client_id", id); line["reason"] != "upstream_reset" || line["status"] != 200.0 {
			t.Errorf("access log: %v", line)
		}
	}
	e.awaitMetric(`mqedge_connections_closed_total{listener="mqtt",reason="upstream_reset"}`, 5)
	e.awaitActive("mqtt", 0)
}

func TestAnEndpointThatRefusesAClientIsHeardAndCounted(t *testing.T) {
	t.Parallel()
	node := startFake(t, func(c net.Conn) {
		readPacket(bufio.NewReader(c))
		c.Write([]byte{packetConnack, 2, 0, 5}) // not authorized
	})
	e := balanced(t, fmt.Sprintf(`{endpoints: %s}`, endpoints(node.address())))
	c := dial(t, e.addr("mqtt"))
	_, err := c.Write(connectPacket("stranger", 0))
	must(t, err)
	kind, body, err := readPacket(bufio.NewReader(c))
	if err != nil || kind != packetConnack || body[1] != 5 {
		t.Errorf("the client heard %#x % x, %v", kind, body, err)
	}
	must(t, c.Close())
	if line := e.awaitAccess("mqtt_client_id", "stranger"); line["connack_code"] != 5.0 {
		t.Errorf("access log: %v", line)
	}
	e.awaitMetric(`mqedge_mqtt_connacks_total{code="5",listener="mqtt"}`, 1)
}
