package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/mqedge/mqedge/balancer"
	"github.com/mqedge/mqedge/proxy/mqtt"
)

// A packet of the server's in two halves.
var firstHalf, secondHalf = []byte{0x30, 9, 0, 1, 't', 'h'}, []byte("alves")

// attend opens a connection of a client with that version to an endpoint that
// the test plays.
func attend(t *testing.T, r *rig, e *endpoint, enter func(*net.TCPConn) stream, version string) (client stream, broker *net.TCPConn) {
	t.Helper()
	client = enter(r.dial(t))
	send(t, client, connects("device")[version])
	broker = e.next(t)
	receive(t, broker, len(connects("device")[version]))
	level := byte(mqtt.Level311)
	if version == "5" {
		level = mqtt.Level5
	}
	send(t, broker, connackOf(level, 0))
	receive(t, client, len(connackOf(level, 0)))
	return client, broker
}

func TestAClientIsPartedWithBetweenTwoPackets(t *testing.T) {
	for version, words := range map[string][]byte{"5": {0xe0, 2, 0x8b, 0}, "3.1.1": nil} {
		t.Run(version, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, secure func(*Settings), enter func(*net.TCPConn) stream) {
				e := newEndpoint(t, nil)
				s := settings(MQTT)
				secure(s)
				r := newRig(t, s, e.addr)
				client, broker := attend(t, r, e, enter, version)
				send(t, broker, firstHalf)
				receive(t, client, len(firstHalf))
				drained := make(chan struct{})
				go func() {
					defer close(drained)
					Drain(t.Context(), []*Listener{r.Listener}, 100*time.Millisecond)
				}()
				<-drained // the client is in the middle of a packet
				send(t, broker, secondHalf)
				if got, want := receiveEnd(t, client), slices.Concat(secondHalf, words); !bytes.Equal(got, want) {
					t.Errorf("the client got %x, want %x", got, want)
				}
				receiveEnd(t, broker)
				if l := r.wantClosed(t, ReasonShutdown); l.BytesSent != l.UpstreamReceived+len(words) {
					t.Errorf("access log: %+v", l)
				}
			})
		})
	}
}

func TestAnOpenExchangeIsWaitedFor(t *testing.T) {
	e := newEndpoint(t, nil)
	r := newRig(t, settings(MQTT), e.addr)
	client, broker := attend(t, r, e, func(c *net.TCPConn) stream { return c }, "5")
	publish := []byte{0x34, 6, 0, 1, 'q', 0, 7, 0} // QoS 2, identifier 7
	send(t, client, publish)
	receive(t, broker, len(publish))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		Drain(ctx, []*Listener{r.Listener}, time.Hour)
	}()
	for _, step := range []struct {
		from, to net.Conn
		packet   []byte
	}{
		{broker, client, []byte{0x50, 2, 0, 7}}, // PUBREC
		{client, broker, []byte{0x62, 2, 0, 7}}, // PUBREL
		{broker, client, []byte{0x70, 2, 0, 7}}, // PUBCOMP
	} {
		send(t, step.from, step.packet)
		if got := receive(t, step.to, len(step.packet)); !bytes.Equal(got, step.packet) {
			t.Fatalf("got %x, want %x", got, step.packet)
		}
	}
	if got, want := receiveEnd(t, client), []byte{0xe0, 2, 0x8b, 0}; !bytes.Equal(got, want) {
		t.Errorf("behind the exchange the client got %x, want %x", got, want)
	}
	<-drained // since nobody is left
}

func TestAKickNamesItsReason(t *testing.T) {
	e := newEndpoint(t, nil)
	r := newRig(t, settings(MQTT), e.addr)
	client, _ := attend(t, r, e, func(c *net.TCPConn) stream { return c }, "5")
	if n := r.Kick("device"); n != 1 {
		t.Errorf("kicked %d", n)
	}
	if got, want := receiveEnd(t, client), []byte{0xe0, 2, 0x98, 0}; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	r.wantClosed(t, "kicked")
}

func TestAKickDoesNotWaitForTheEndOfAMove(t *testing.T) {
	e := newEndpoint(t, nil)
	r := newRig(t, settings(MQTT), e.addr)
	client, broker := attend(t, r, e, func(c *net.TCPConn) stream { return c }, "5")
	publish := []byte{0x34, 6, 0, 1, 'q', 0, 7, 0} // QoS 2, identifier 7, never finished
	send(t, client, publish)
	receive(t, broker, len(publish))
	c := r.conns.all()[0]
	until(t, "the relay has the connection", func() bool { return !isEarly(c) })
	c.leave(moved, time.Hour)
	r.Kick("device")
	if got, want := receiveEnd(t, client), []byte{0xe0, 2, 0x9c, 0}; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestOverWebSocketTheWordsAreFrames(t *testing.T) {
	s := settings(MQTTOverWebSocket)
	r := newRig(t, s, webSocketEndpoint(t, connackOf(5, 0)))
	client := webSocketClient(t, r.dial(t))
	must(t, client.WriteMessage(websocket.BinaryMessage, connects("browser")["5"]))
	if _, b, err := client.ReadMessage(); err != nil || !bytes.Equal(b, connackOf(5, 0)) {
		t.Fatalf("%x %v", b, err)
	}
	Drain(t.Context(), []*Listener{r.Listener}, 0)
	if _, b, err := client.ReadMessage(); err != nil || !bytes.Equal(b, []byte{0xe0, 2, 0x8b, 0}) {
		t.Errorf("got %x, %v", b, err)
	}
	if _, _, err := client.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("then %v", err)
	}
	r.wantClosed(t, ReasonShutdown)
}

func TestWhoIsNotServedYetIsToldDuringADrain(t *testing.T) {
	for version, words := range map[string][]byte{"5": {0x20, 3, 0, 0x89, 0}, "3.1.1": {0x20, 2, 0, 3}} {
		e := newEndpoint(t, answers(connackOf(5, 0)))
		r := newRig(t, settings(MQTT), e.addr)
		client := r.dial(t)
		packet := connects("late")[version]
		send(t, client, packet[:5])
		until(t, "the connection", func() bool { return r.Stats().Active == 1 })
		ctx, cancel := context.WithCancel(t.Context())
		drained := make(chan struct{})
		go func() {
			defer close(drained)
			Drain(ctx, []*Listener{r.Listener}, time.Hour)
		}()
		until(t, "the drain", func() bool {
			c := r.conns.all()[0]
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.early.closing != ""
		})
		send(t, client, packet[5:])
		if got := receiveEnd(t, client); !bytes.Equal(got, words) {
			t.Errorf("%s: got %x, want %x", version, got, words)
		}
		e.wantNoDials(t)
		r.wantRefused(t, ReasonShutdown, 503)
		cancel()
		<-drained
	}
}

func TestAMoveEmptiesOneEndpoint(t *testing.T) {
	a, b := newEndpoint(t, answers(connackOf(5, 0))), newEndpoint(t, answers(connackOf(5, 0)))
	r := newRig(t, settings(MQTT), a.addr, b.addr)
	const n = 20
	ends := make(chan []byte, n)
	for range n {
		client := r.dial(t)
		send(t, client, connects("device")["5"])
		receive(t, client, len(connackOf(5, 0)))
		go func() {
			got, _ := io.ReadAll(client)
			ends <- got
		}()
	}
	must(t, r.pool.SetDraining(a.addr, true))
	Move(t.Context(), func() []*Listener { return []*Listener{r.Listener} }, r.pool, a.addr, 200*time.Millisecond)
	for range n / 2 {
		if got, want := <-ends, []byte{0xe0, 2, 0x9c, 0}; !bytes.Equal(got, want) {
			t.Errorf("a client was told %x, want %x", got, want)
		}
	}
	for _, e := range r.pool.Status().Endpoints {
		if want := map[string]int64{a.addr: 0, b.addr: n / 2}[e.Address]; e.Connections != want {
			t.Errorf("%s has %d connections, want %d", e.Address, e.Connections, want)
		}
	}
	r.lines(t, n/2)
	if s := r.Stats(); s.Closed["endpoint_drained"] != n/2 || s.Active != n/2 {
		t.Errorf("%+v", s)
	}
}

func TestTheNewestWithoutASessionAreRebalancedFirst(t *testing.T) {
	a, b := newEndpoint(t, answers(connackOf(4, 0))), newEndpoint(t, answers(connackOf(4, 0)))
	s := settings(MQTT)
	pool := balancer.New("test", balancer.Options{})
	pool.Update([]balancer.Endpoint{{Addr: a.addr}})
	s.Route.Upstream = pool
	r := newRig(t, s)
	enter := func(id string, flags byte) {
		client := r.dial(t)
		send(t, client, packet(body("MQTT", 4, flags, 60, nil), text(id)))
		receive(t, client, len(connackOf(4, 0)))
	}
	const clean, kept = 0x02, 0x00
	enter("old", clean)
	enter("session", kept)
	enter("new", clean)
	enter("new session", kept)
	until(t, "four that the relay has", func() bool {
		return len(r.conns.all()) == 4 && !slices.ContainsFunc(r.conns.all(), isEarly)
	})
	pool.Update([]balancer.Endpoint{{Addr: a.addr}, {Addr: b.addr}, {Addr: "127.0.0.1:1"}, {Addr: "127.0.0.1:2"}})
	choose := func(perSecond int) []string {
		var ids []string
		for _, c := range (Rebalancing{PerSecond: perSecond}).choose(r.conns.all(), pool, pool.Surplus(0)) {
			ids = append(ids, c.greeting.connect().ClientID)
		}
		return ids
	}
	if got, want := choose(100), []string{"new", "old", "new session"}; !slices.Equal(got, want) {
		t.Errorf("chose %q, want %q: three are above its share of one", got, want)
	}
	if got := (Rebalancing{PerSecond: 1}).choose(r.conns.all(), pool, map[string]int{b.addr: 9}); len(got) != 0 {
		t.Errorf("chose %d of another endpoint's", len(got))
	}
}

func TestRebalancingStopsWhenAnEndpointCanTakeNoMore(t *testing.T) {
	a, b := newEndpoint(t, answers(connackOf(5, 0))), newEndpoint(t, answers(connackOf(5, 0)))
	s := settings(MQTT)
	pool := newPool(a.addr)
	s.Route.Upstream = pool
	r := newRig(t, s)
	const n = 10
	for range n {
		client := r.dial(t)
		send(t, client, connects("device")["5"])
		receive(t, client, len(connackOf(5, 0)))
	}
	until(t, "the relay has all", func() bool { return !slices.ContainsFunc(r.conns.all(), isEarly) })
	pool.Update([]balancer.Endpoint{{Addr: a.addr}, {Addr: b.addr}})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		(Rebalancing{PerSecond: 1}).shed(t.Context(), pool, r.conns.all()) // the first at once, the others within 10 s
	}()
	r.wantClosed(t, "rebalanced")
	must(t, pool.SetDraining(b.addr, true))
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if left := r.Stats().Active; left < n/2 {
		t.Errorf("%d of %d are left", left, n)
	}
}

// Its value is what the race detector says.
func TestRebalancingLooksAtConnectionsThatAreOnTheirWay(t *testing.T) {
	e := newEndpoint(t, answers(connackOf(5, 0)))
	r := newRig(t, settings(MQTT), e.addr)
	over := make(chan struct{})
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		for {
			select {
			case <-over:
				return
			default:
				(Rebalancing{PerSecond: 1}).choose(r.conns.all(), r.pool, map[string]int{e.addr: 1})
			}
		}
	}()
	for range 50 {
		client := r.dial(t)
		send(t, client, connects("device")["5"])
		receive(t, client, len(connackOf(5, 0)))
	}
	close(over)
	<-looked
}

func isEarly(c *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.early != nil
}
