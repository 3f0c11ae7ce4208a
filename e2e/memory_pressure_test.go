package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limited runs mqedge with a limit on its memory, for clients that are given all the time for a large CONNECT.
func limited(t *testing.T, limit string) *edge {
	t.Helper()
	node := startBroker(t)
	e := newEdge(t, fmt.Sprintf(`
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx, mqtt: {connect_timeout: 1h, max_connect_size: 1MiB}}
  other: {bind: 127.0.0.1:0, upstream: emqx}
upstreams:
  emqx: {send_proxy: v2, endpoints: %s}
`, endpoints(node.Addr())))
	e.cmd.Env = append(e.cmd.Env, "GOMEMLIMIT="+limit)
	e.launch()
	e.awaitReady()
	return e
}

// fill connects clients that send all but the end of a large CONNECT, until memory is short.
func fill(t *testing.T, e *edge) (hogs []net.Conn) {
	t.Helper()
	field := "\xff\xff" + strings.Repeat("x", 0xffff)
	body := "\x00\x04MQTT\x04\xc2\x00\x00" + field + field + field // client id, user name, password
	packet := append(binary.AppendUvarint([]byte{packetConnect}, uint64(len(body))), body[:len(body)-1]...)
	addr := e.addr("mqtt")
	for i := 0; e.metrics()["mqedge_memory_pressure"] == 0; i++ {
		if i == 1000 {
			t.Fatalf("1000 clients, and memory is not short: %v of %v", e.metrics()["mqedge_memory_used_bytes"], e.metrics()["mqedge_memory_limit_bytes"])
		}
		c := dial(t, addr)
		c.SetDeadline(time.Now().Add(time.Second))
		c.Write(packet) // in vain, perhaps, where it is one too many
		hogs = append(hogs, c)
	}
	return hogs
}

func TestWhereMemoryIsShortNobodyIsAcceptedAndThoseThatAreThereGoOn(t *testing.T) {
	t.Parallel()
	e := limited(t, "48MiB")
	subscriber, publisher := mustConnect(t, e.addr("mqtt"), nil, "subscriber"), mustConnect(t, e.addr("other"), nil, "publisher")
	must(t, subscriber.exchange([]byte("\x82\x08\x00\x01\x00\x03t/1\x00"), 0x90)) // SUBSCRIBE, SUBACK
	e.awaitMetric("mqedge_memory_limit_bytes", 48<<20)
	if m := e.metrics(); m["mqedge_memory_pressure"] != 0 || m["mqedge_memory_used_bytes"] == 0 {
		t.Errorf("before: %v used, pressure %v", m["mqedge_memory_used_bytes"], m["mqedge_memory_pressure"])
	}

	addrs := []string{e.addr("mqtt"), e.addr("other")}
	hogs := fill(t, e)
	e.awaitLog("WARN", "memory is short", "GOMEMLIMIT", "limit=\"48.0 MiB\"", "remedy")
	if status, body, err := e.request("GET", "/readyz", ""); err != nil || status != 503 || !strings.Contains(body, "memory is short") {
		t.Errorf("/readyz: %d %s %v", status, body, err)
	}
	if status, _, err := e.request("GET", "/livez", ""); err != nil || status != 200 {
		t.Errorf("/livez: %d %v", status, err)
	}
	if out, _, code := run(t, "status", "--admin", e.admin); code != 0 || !containsAll(out, []string{"NOT READY: memory is short"}) {
		t.Errorf("mqedge status: %d %s", code, out)
	}
	accepted := func() (n float64) {
		for _, listener := range []string{"mqtt", "other"} {
			n += e.metrics()[fmt.Sprintf(`mqedge_connections_accepted_total{listener=%q}`, listener)]
		}
		return n
	}
	before := accepted()
	var waiting []net.Conn
	for i, addr := range addrs {
		c := dial(t, addr) // the kernel takes it
		_, err := c.Write(connectPacket(fmt.Sprintf("waiting-%d", i), 0))
		must(t, err)
		waiting = append(waiting, c)
	}
	for range 50 {
		must(t, publisher.publish("t/1", []byte("goes on")))
		kind, body, err := readPacket(subscriber.r)
		if err != nil || kind != packetPublish || !strings.HasSuffix(string(body), "goes on") {
			t.Fatalf("%#x %q %v", kind, body, err)
		}
	}
	for _, c := range waiting {
		c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)) // a CONNACK takes one
		if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a client that came later: %d bytes, %v", n, err)
		}
	}
	if after := accepted(); after != before {
		t.Errorf("%v were accepted", after-before)
	}

	for _, c := range hogs {
		c.Close()
	}
	for _, c := range waiting {
		c.SetDeadline(time.Now().Add(patience()))
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Errorf("a client that waited: %v", err)
		}
	}
	e.awaitMetric("mqedge_memory_pressure", 0)
	e.awaitLog("INFO", "memory is no longer short", "after=")
	e.call("GET", "/readyz")
	must(t, subscriber.ping())
}

func TestWhileMemoryIsShortItReloadsAndEndsAsAlways(t *testing.T) {
	t.Parallel()
	e := limited(t, "48MiB")
	hogs := fill(t, e)
	if !e.hup() {
		t.Error("it does not reload")
	}
	d := dial(t, e.addr("mqtt"))
	e.signal(syscall.SIGTERM)
	awaitClosed(t, d)
	awaitClosed(t, hogs[0])
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
