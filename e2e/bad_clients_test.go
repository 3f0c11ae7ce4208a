package e2e

import (
	"bytes"
	"fmt"
	"net"
	"testing"
)

func TestBadClientsReachNoEndpointAndAreCountedByReason(t *testing.T) {
	t.Parallel()
	pki, sink := newAuthority(t), startFake(t, swallow)
	e := start(t, fmt.Sprintf(`
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx, mqtt: {connect_timeout: 300ms, max_connect_size: 1KiB}}
  mqtts:
    bind: 127.0.0.2:0
    upstream: emqx
    handshake_timeout: 300ms
    mqtt: {connect_timeout: 300ms}
    tls: {certificates: [%s]}
upstreams:
  emqx: {endpoints: %s}
`, pki.server().yaml(), endpoints(sink.address())))

	whole := connectPacket("slow", 60)
	type sent struct {
		listener, reason string
		bytes            []byte
	}
	for name, bad := range map[string]sent{
		"a web browser":            {"mqtt", "not_mqtt", []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")},
		"TLS where there is none":  {"mqtt", "not_mqtt", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc")},
		"PINGREQ first":            {"mqtt", "not_mqtt", []byte{packetPingreq, 0}},
		"random bytes":             {"mqtt", "not_mqtt", bytes.Repeat([]byte{0xa5}, 1<<14)},
		"a wrong protocol name":    {"mqtt", "not_mqtt", []byte("\x10\x0c\x00\x04MQXX\x04\x02\x00\x3c\x00\x00")},
		"a reserved flag":          {"mqtt", "malformed_connect", []byte("\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00")},
		"a length without end":     {"mqtt", "malformed_connect", []byte("\x10\xff\xff\xff\xff\xff\xff")},
		"a CONNECT over the limit": {"mqtt", "connect_too_large", connectPacket(string(bytes.Repeat([]byte("x"), 2000)), 60)},
		"256 MB announced":         {"mqtt", "connect_too_large", []byte("\x10\xff\xff\xff\x7f\x00\x04MQTT")},
		"half a CONNECT":           {"mqtt", "connect_timeout", whole[:len(whole)-1]},
		"nothing at all":           {"mqtt", "connect_timeout", nil},
		"no TLS where there is":    {"mqtts", "tls_failed", whole},
		"no handshake":             {"mqtts", "tls_timeout", nil},
		"half a handshake":         {"mqtts", "tls_timeout", []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
	} {
		t.Run(name, func(t *testing.T) {
			e := e.in(t)
			series := fmt.Sprintf("mqedge_connections_refused_total{listener=%q,reason=%q}", bad.listener, bad.reason)
			before := e.metrics()[series]
			c := dial(t, e.addr(bad.listener))
			c.Write(bad.bytes) // the edge may have closed before all is written
			awaitClosed(t, c)
			e.awaitMetric(series, before+1)
			port := c.LocalAddr().(*net.TCPAddr).Port
			line := e.awaitAccess("remote_port", float64(port))
			if line["reason"] != bad.reason || line["status"] != 400.0 || line["upstream_addr"] != nil {
				t.Errorf("access log: %v", line)
			}
		})
	}

	t.Run("a port scan", func(t *testing.T) {
		e := e.in(t)
		c := dial(t, e.addr("mqtt"))
		must(t, c.Close())
		e.awaitMetric(`mqedge_connections_refused_total{listener="mqtt",reason="client_gone"}`, 1)
	})
	t.Run("TLS without CONNECT", func(t *testing.T) {
		e := e.in(t)
		c := dialTLS(t, e.addr("mqtts"), pki.trusting())
		awaitClosed(t, c)
		e.awaitMetric(`mqedge_connections_refused_total{listener="mqtts",reason="connect_timeout"}`, 1)
	})
	if sink.came() != 0 {
		t.Errorf("%d connections reached the endpoint", sink.came())
	}
	e.awaitActive("mqtt", 0)
	e.awaitActive("mqtts", 0)
}

func TestClientsBeyondTheRulesAreRefused(t *testing.T) {
	t.Parallel()
	node := startFake(t, acknowledge)
	e := start(t, fmt.Sprintf(`
listeners:
  denied:  {bind: 127.0.0.1:0, upstream: emqx, allow: [127.0.0.0/8], deny: [127.0.0.1]}
  allowed: {bind: 127.0.0.2:0, upstream: emqx, allow: [10.0.0.0/8]}
  two:     {bind: 127.0.0.3:0, upstream: emqx, max_connections: 2}
  one_ip:  {bind: 127.0.0.4:0, upstream: emqx, max_connections_per_ip: 1}
upstreams:
  emqx: {endpoints: %s}
`, endpoints(node.address())))
	var guests []*device
	for _, listener := range []string{"two", "two", "one_ip"} {
		guests = append(guests, mustConnect(t, e.addr(listener), nil, "guest"))
	}
	for listener, reason := range map[string]string{
		"denied": "denied", "allowed": "denied", "two": "max_connections", "one_ip": "max_connections_per_ip",
	} {
		if _, err := connect(e.addr(listener), nil, "uninvited"); err == nil {
			t.Errorf("%s let a client in", listener)
		}
		e.awaitMetric(fmt.Sprintf("mqedge_connections_refused_total{listener=%q,reason=%q}", listener, reason), 1)
	}
	for _, d := range guests {
		must(t, d.ping())
		must(t, d.leave())
	}
	e.awaitActive("two", 0)
	e.awaitActive("one_ip", 0)
	mustConnect(t, e.addr("two"), nil, "next")
	mustConnect(t, e.addr("one_ip"), nil, "next")
}
