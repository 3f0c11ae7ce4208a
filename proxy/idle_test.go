package proxy

import (
	"net"
	"testing"
	"time"
)

// chatter sends a byte now and then until the connection ends.
func chatter(c *net.TCPConn) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := c.Write([]byte{0}); err != nil {
			return
		}
	}
}

func wantTook(t testing.TB, start time.Time, want time.Duration) {
	t.Helper()
	if took := time.Since(start); took < want-50*time.Millisecond || took > want+1500*time.Millisecond {
		t.Errorf("closed after %v, want %v", took, want)
	}
}

func TestAClientThatMissesItsKeepAliveIsClosed(t *testing.T) {
	t.Parallel()
	eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
		e := newEndpoint(t, chatter) // what the endpoint sends does not count
		s := settings(MQTT)
		s.IdleTimeout = 100 * time.Millisecond // is for clients without a keep alive
		secure(s)
		r := newRig(t, s, e.addr)
		client := enter(r.dial(t))
		start := time.Now()
		send(t, client, connect("sleepy", 1))
		receiveEnd(t, client)
		wantTook(t, start, 1500*time.Millisecond)
		client.Close()
		r.wantClosed(t, "keepalive_timeout")
	})
}

func TestAClientWithinItsKeepAliveStays(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, echo)
	r := newRig(t, settings(MQTT), e.addr)
	client := r.dial(t)
	packet := string(connect("awake", 1))
	send(t, client, []byte(packet))
	receiveText(t, client, packet)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range 3 {
		<-tick.C
		send(t, client, []byte("\xc0\x00"))
		receiveText(t, client, "\xc0\x00")
	}
}

func TestWithoutAKeepAliveTheIdleTimeoutHolds(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t, echo)
	s := settings(MQTT)
	s.IdleTimeout = 300 * time.Millisecond
	r := newRig(t, s, e.addr)
	client := r.dial(t)
	start := time.Now()
	send(t, client, connect("no-keep-alive", 0))
	receiveEnd(t, client)
	wantTook(t, start, 300*time.Millisecond)
	r.wantClosed(t, "idle_timeout")
}

func TestTheIdleTimeoutOfTCPCountsBothDirections(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	e := newEndpoint(t, func(c *net.TCPConn) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for range 10 {
			<-tick.C
			c.Write([]byte{0})
		}
		<-stop
	})
	defer close(stop)
	s := settings(TCP)
	s.IdleTimeout = 500 * time.Millisecond
	r := newRig(t, s, e.addr)
	start := time.Now()
	if got := receiveEnd(t, r.dial(t)); len(got) != 10 {
		t.Errorf("got %d bytes", len(got))
	}
	wantTook(t, start, 1500*time.Millisecond)
	r.wantClosed(t, "idle_timeout")
}
