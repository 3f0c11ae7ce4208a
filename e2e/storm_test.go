package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// arrivals is a broker that knows when its clients came.
type arrivals struct {
	*fake
	mu    sync.Mutex
	times []time.Time
}

func startArrivals(t testing.TB) *arrivals {
	t.Helper()
	a := new(arrivals)
	a.fake = startFake(t, func(c net.Conn) {
		a.mu.Lock()
		a.times = append(a.times, time.Now())
		a.mu.Unlock()
		acknowledge(c)
	})
	return a
}

// checkPace fails the test if at any moment more had come than the rate allows since the beginning. So no window has more
// than a burst and its share, but for what a busy machine passes on late, which cannot be held against the edge.
func (a *arrivals) checkPace(t testing.TB, began time.Time, perSecond, burst int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, at := range a.times {
		if most := burst + int(at.Sub(began).Seconds()*float64(perSecond)); i+1 > most {
			t.Errorf("%d had come after %v, %d are allowed", i+1, at.Sub(began), most)
			return
		}
	}
	t.Logf("%d came in %v", len(a.times), a.times[len(a.times)-1].Sub(began))
}

// storm connects n clients at once and returns what became of each.
func storm(t testing.TB, n int, connect func(i int) (fate, net.Conn)) map[fate]int {
	t.Helper()
	fates := make([]fate, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			var c net.Conn
			if fates[i], c = connect(i); c != nil {
				t.Cleanup(func() { c.Close() })
			}
		})
	}
	all.Wait()
	count := make(map[fate]int)
	for _, f := range fates {
		count[f]++
	}
	return count
}

// fate is what became of a client.
type fate string

const (
	served fate = "served"
	told   fate = "told that there are too many" // in the words of its version
	closed fate = "closed"
	lost   fate = "without an answer"
)

// fateOf sends CONNECT in the version of MQTT given and waits for what comes of it.
func fateOf(c net.Conn, level byte, id string) fate {
	packet := connectPacket(id, 0)
	if level == 5 { // no properties
		packet[1]++
		packet[8] = 5
		packet = append(packet[:12:12], append([]byte{0}, packet[12:]...)...)
	}
	c.SetDeadline(time.Now().Add(patience()))
	if _, err := c.Write(packet); err != nil {
		return closed
	}
	kind, body, err := readPacket(bufio.NewReader(c))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return lost
	case err != nil:
		return closed
	case kind == packetConnack && len(body) >= 2 && body[1] == 0:
		return served
	case kind == packetConnack && (level == 5 && len(body) == 3 && body[1] == 0x9f || level == 4 && len(body) == 2 && body[1] == 3):
		return told
	}
	return fate(fmt.Sprintf("answered %#x % x", kind, body))
}

// dialer connects from an address of this host.
func dialer(source string) *net.Dialer {
	return &net.Dialer{Timeout: patience(), LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
}

func (e *edge) waiting(queue string) float64 {
	return e.metrics()[fmt.Sprintf(`mqedge_connections_waiting{listener="mqtt",queue=%q}`, queue)]
}

func (e *edge) refused(reason string) float64 {
	return e.metrics()[fmt.Sprintf(`mqedge_connections_refused_total{listener="mqtt",reason=%q}`, reason)]
}

func startPaced(t testing.TB, listener, node string) *edge {
	t.Helper()
	return start(t, pacedConfig(listener, node))
}

func pacedConfig(listener, node string) string {
	return fmt.Sprintf(`
access_log: {path: ""}
listeners:
  mqtt: {bind: 127.0.0.1:0, upstream: emqx, %s}
upstreams:
  emqx: {endpoints: %s}
`, listener, endpoints(node))
}

// The tests here are not parallel: each fills the machine.

func TestAStormIsPacedAndNobodyIsRefusedOrLost(t *testing.T) {
	clients, perSecond, burst := 5000, 2000, 200
	if underRace {
		clients = 2000
	}
	node := startArrivals(t)
	e := startPaced(t, fmt.Sprintf("connect_rate: {per_second: %d, burst: %d, queue: 8192, wait: 30s}", perSecond, burst), node.address())
	addr := e.addr("mqtt")
	began := time.Now()
	fates := storm(t, clients, func(i int) (fate, net.Conn) {
		d, err := connect(addr, nil, fmt.Sprintf("device-%d", i))
		if err != nil {
			t.Error(err)
			return lost, nil
		}
		return served, d
	})
	if fates[served] != clients {
		t.Errorf("%v, want all %d served", fates, clients)
	}
	node.checkPace(t, began, perSecond, burst)
	if got := e.listener("mqtt"); got.Active != clients || len(got.Refused) != 0 {
		t.Errorf("%d active, refused %v", got.Active, got.Refused)
	}
	if n := e.waiting("connect_rate"); n != 0 {
		t.Errorf("%v still wait", n)
	}
}

func TestWhenTheQueueIsTooSmallTheOthersHearOrSeeItAndTheCountsAddUp(t *testing.T) {
	const clients, perSecond, burst, queue = 1500, 200, 50, 300
	node := startArrivals(t)
	e := startPaced(t, fmt.Sprintf("connect_rate: {per_second: %d, burst: %d, queue: %d, wait: 30s}", perSecond, burst, queue), node.address())
	addr := e.addr("mqtt")
	began := time.Now()
	fates := storm(t, clients, func(i int) (fate, net.Conn) {
		c, err := dialer("127.0.0.1").Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return lost, nil
		}
		return fateOf(c, byte(4+i%2), fmt.Sprintf("device-%d", i)), c
	})
	if fates[served]+fates[told]+fates[closed] != clients {
		t.Errorf("%v: some of %d are missing", fates, clients)
	}
	if fates[served] < burst+queue || fates[told] == 0 {
		t.Errorf("%v, want at least %d served, and some told", fates, burst+queue)
	}
	eventually(t, func() string {
		if got, want := e.refused("connect_rate"), float64(fates[told]+fates[closed]); got != want {
			return fmt.Sprintf("%v are counted as refused, want %v", got, want)
		}
		return ""
	})
	got := e.listener("mqtt")
	if got.Active != fates[served] || len(got.Refused) != 1 || node.came() != fates[served] {
		t.Errorf("%d active, refused %v, %d at the broker, want %d served", got.Active, got.Refused, node.came(), fates[served])
	}
	node.checkPace(t, began, perSecond, burst)
}

func TestAFloodFromOneNetworkDoesNotKeepAnotherWaitingBehindIt(t *testing.T) {
	const flood, queue = 800, 500
	node := startFake(t, acknowledge)
	const listener = "connect_rate: {per_second: %d, burst: 1, queue: 500, wait: 60s}"
	e := startPaced(t, fmt.Sprintf(listener, 10), node.address())
	addr := e.addr("mqtt")
	results := make(chan map[fate]int, 1)
	go func() {
		results <- storm(t, flood, func(i int) (fate, net.Conn) {
			c, err := dialer("127.0.0.2").Dial("tcp", addr)
			if err != nil {
				return lost, nil
			}
			return fateOf(c, 4, fmt.Sprintf("flood-%d", i)), c
		})
	}()
	eventually(t, func() string {
		if n := e.refused("connect_rate"); n < flood-queue-200 || e.waiting("connect_rate") < queue-10 {
			return fmt.Sprintf("%v of the flood were refused, %v wait", n, e.waiting("connect_rate"))
		}
		return ""
	})

	c, err := dialer("127.1.0.1").Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	if f := fateOf(c, 4, "another"); f != served {
		t.Errorf("another network's client: %s", f)
	}
	if n := e.waiting("connect_rate"); n < queue/2 {
		t.Errorf("%v of the flood wait when it is served: it had to wait for the others", n)
	}

	e.reload(pacedConfig(fmt.Sprintf(listener, 5000), node.address()))
	fates := <-results
	if fates[served] < queue-1 || fates[lost] > 0 || fates[served]+fates[told]+fates[closed] != flood {
		t.Errorf("%v after a reload with a greater rate: all that waited should be served", fates)
	}
}

func TestFullHandshakesArePacedAndResumedOnesPassThem(t *testing.T) {
	const clients, perSecond, burst = 300, 100, 10
	pki, node := newAuthority(t), startArrivals(t)
	e := startPaced(t, fmt.Sprintf("tls: {certificates: [%s], full_handshakes: {per_second: %d, burst: %d, queue: %d}}",
		pki.server().yaml(), perSecond, burst, clients), node.address())
	addr := e.addr("mqtt")
	resuming := pki.trusting()
	resuming.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	first := mustConnect(t, addr, resuming, "first") // and has its ticket with the CONNACK
	must(t, first.leave())

	began := time.Now()
	results := make(chan map[fate]int, 1)
	go func() {
		results <- storm(t, clients, func(i int) (fate, net.Conn) {
			d, err := connect(addr, pki.trusting(), fmt.Sprintf("device-%d", i))
			if err != nil {
				t.Error(err)
				return lost, nil
			}
			return served, d
		})
	}()
	eventually(t, func() string {
		if n := e.waiting("full_handshakes"); n < clients/4 {
			return fmt.Sprintf("%v wait", n)
		}
		return ""
	})
	conn := dialTLS(t, addr, resuming)
	if !conn.ConnectionState().DidResume {
		t.Error("the session was not resumed")
	}
	if e.waiting("full_handshakes") == 0 {
		t.Error("the resumed handshake had to wait for the others")
	}
	if fates := <-results; fates[served] != clients {
		t.Errorf("%v, want all %d served", fates, clients)
	}
	node.checkPace(t, began, perSecond, burst+2) // the first was before, the resumed one does not count
	if got := e.listener("mqtt"); len(got.Refused) > 1 || got.Refused["handshake_rate"] != 0 {
		t.Errorf("refused %v", got.Refused)
	}
}
