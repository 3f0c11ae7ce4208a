package e2e

import (
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// draining listens where no other test does, so that nobody takes the port over once it is closed.
const draining = `
drain: %s
listeners:
  mqtt: {bind: 127.0.0.5:0, upstream: emqx}
upstreams:
  emqx: {connect_timeout: 60s, endpoints: %s}
`

func TestTERMDrains(t *testing.T) {
	t.Parallel()
	const clients, delay, over = 20, time.Second, time.Second
	node := startFake(t, acknowledge)
	e := start(t, fmt.Sprintf(draining, fmt.Sprintf("{delay: %v, over: %v, deadline: 30s}", delay, over), endpoints(node.address())))
	addr := e.addr("mqtt")

	closed := make(chan time.Time, clients)
	for i := range clients {
		d := mustConnect(t, addr, nil, fmt.Sprintf("client-%d", i))
		go func() {
			io.Copy(io.Discard, d)
			closed <- time.Now()
			d.Close()
		}()
	}
	termed := time.Now()
	e.signal(syscall.SIGTERM)

	// At once it is not ready, while for the delay it serves on.
	eventually(t, func() string {
		if status, body, err := e.request("GET", "/readyz", ""); err != nil || status != 503 || body != "draining\n" {
			return fmt.Sprintf("/readyz: %d %q %v", status, body, err)
		}
		return ""
	})
	if out, errs, code := run(t, "health", "--admin", e.admin); code != 1 || !containsAll(errs, []string{"draining"}) {
		t.Errorf("mqedge health: %d %s%s", code, out, errs)
	}
	late, err := connect(addr, nil, "late")
	if err != nil {
		t.Fatalf("during the delay a client was refused: %v", err)
	}
	defer late.Close()
	if status, body, _ := e.request("POST", "/api/v1/reload", ""); status != 422 || !containsAll(body, []string{"shutting down"}) {
		t.Errorf("a reload while draining: %d %s", status, body)
	}

	// Then no connection gets in, and the open ones are closed one after the other.
	for i := range clients {
		at := (<-closed).Sub(termed)
		// The client that came late is one more to be closed at some time.
		if earliest := delay + over*time.Duration(i)/(clients+1); at < earliest {
			t.Errorf("connection %d of %d was closed after %v, before its time of %v", i+1, clients, at, earliest)
		}
		if i > 0 {
			continue
		}
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Error("it still takes connections")
		}
	}
	awaitClosed(t, late)
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if line := e.awaitAccess("mqtt_client_id", "client-0"); line["reason"] != "shutdown" {
		t.Errorf("access log: %v", line)
	}
	served := 0
	for _, line := range records(t, e.stdout.text()) {
		if line["mqtt_client_id"] != nil {
			served++
		}
	}
	if served != clients+1 {
		t.Errorf("%d clients in the access log, want %d", served, clients+1)
	}
}

func TestWhatIsStuckIsCutOffAtTheDeadline(t *testing.T) {
	t.Parallel()
	flood := startFake(t, func(c net.Conn) {
		go io.Copy(io.Discard, c)
		io.Copy(c, stream(1))
	})
	e := start(t, fmt.Sprintf(draining, "{over: 100ms, deadline: 300ms}", endpoints(flood.address())))
	deaf := dial(t, e.addr("mqtt"))
	_, err := deaf.Write(connectPacket("deaf", 0))
	must(t, err)
	bytes, since := 0, time.Now()
	eventually(t, func() string { // until the edge is in the middle of a write that nobody takes
		if now := e.listener("mqtt").BytesOut; now == 0 || now != bytes {
			bytes, since = now, time.Now()
		}
		if time.Since(since) < time.Second {
			return "bytes still move"
		}
		return ""
	})
	termed := time.Now()
	e.signal(syscall.SIGTERM)
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	// Beyond the deadline it waits a little for what it has just closed.
	if took := time.Since(termed); took < 300*time.Millisecond || took > 10*time.Second {
		t.Errorf("it took %v, the deadline is 300ms", took)
	}
	e.awaitLog("drain.deadline reached")
}

func TestAConnectionThatStillDialsDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	e := start(t, fmt.Sprintf(draining, "{over: 100ms, deadline: 1s}", endpoints(blackHole(t))))
	c := dial(t, e.addr("mqtt"))
	_, err := c.Write(connectPacket("waits", 0)) // and the edge dials, for a minute
	must(t, err)
	eventually(t, func() string {
		if len(fetch[[]connectionState](e, "/api/v1/connections?client_id=waits")) == 0 {
			return "the CONNECT has not been read"
		}
		return ""
	})
	termed := time.Now()
	e.signal(syscall.SIGTERM)
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(termed); took > 10*time.Second {
		t.Errorf("it took %v, the deadline is 1s", took)
	}
}

// blackHole is an address whose queue of connections is full, so that nobody answers.
func blackHole(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 8}}))
	must(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	must(t, err)
	address := fmt.Sprintf("127.0.0.8:%d", name.(*syscall.SockaddrInet4).Port)
	for { // until one gets no answer
		c, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { c.Close() })
	}
}

func TestASecondTERMEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, first := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		node := startFake(t, acknowledge)
		e := start(t, fmt.Sprintf(draining, "{over: 5m, deadline: 10m}", endpoints(node.address())))
		clients := crowd(t, e, 3)
		e.signal(first)
		e.awaitLog("draining")
		e.signal(syscall.SIGTERM)
		if code := e.exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		for _, d := range clients {
			awaitClosed(t, d)
		}
	}
}

func TestADrainWithoutConnectionsEndsAtOnce(t *testing.T) {
	t.Parallel()
	e := start(t, fmt.Sprintf(draining, "{over: 5m, deadline: 10m}", endpoints(deadAddress(t))))
	e.signal(syscall.SIGINT)
	if code := e.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
